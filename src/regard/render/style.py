"""The few constants that make every picture look alike. Lengths are pixels of the PNG."""

from typing import Final

DPI: Final = 200
"""Pixels per inch: how large a picture is in a PDF or a document."""

PAGE_WIDTH: Final = 1600
"""Width of pictures that are laid out freely: 8 inches, text width of a page or a slide."""

MARGIN: Final = 48
GAP: Final = 16
"""Between panels."""

TITLE: Final = 38
TEXT: Final = 25
SMALL: Final = 21
"""Heights of type, from ascender to descender."""

Colour = tuple[int, int, int]

PAPER: Final[Colour] = (255, 255, 255)
INK: Final[Colour] = (28, 28, 32)
QUIET: Final[Colour] = (104, 106, 114)
"""Colours: ground, type, and type that should stay in the background."""

UNSEEN: Final[Colour] = (226, 227, 231)
PADDING: Final[Colour] = (196, 199, 206)
MASKED: Final[Colour] = (150, 153, 162)
INFINITE: Final[Colour] = (0, 214, 255)
"""Colours of what is not a value; no colour map that is offered passes through them."""

BAR_WIDTH: Final = 280
BAR_HEIGHT: Final = 16

"""The line around a mask, on a photo: light with a dark edge, so that it shows on any ground."""

import numpy as np
from PIL import Image

from regard.render.arrays import Flags
from regard.render.style import Colour

WHITE: Colour = (255, 255, 255)
_SHADOW: Colour = (20, 20, 20)


def draw_contour(
    image: Image.Image, mask: Flags, colour: Colour = WHITE, *, thickness: int | None = None
) -> None:
    """Draw the line into ``image``, just inside the mask; a dark pixel runs around it.

    Args:
        image: RGB; it is changed.
        mask: Bool (height, width) of the image's size.
        colour: Of the line.
        thickness: Of the line in pixels; by default what suits the image's size.
    """
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not rows.size:
        return
    width = line_width(image.size) if thickness is None else thickness
    top, left = max(rows[0] - width, 0), max(columns[0] - width, 0)
    around = mask[top : rows[-1] + width + 1, left : columns[-1] + width + 1]
    part = np.ascontiguousarray(around)  # masks of run lengths go down the columns
    inner = part
    for _ in range(width):
        inner = ~_grown(~inner)
    outer = part
    for _ in range(-(-width // 2)):
        outer = _grown(outer)
    image.paste(_SHADOW, (int(left), int(top)), _as_stencil(outer & ~part))
    image.paste(colour, (int(left), int(top)), _as_stencil(part & ~inner))


def line_width(size_wh: tuple[int, int]) -> int:
    """Width of lines that suits a picture: 2 pixels at 720 lines."""
    return max(1, round(min(size_wh) / 360))


def _grown(mask: Flags) -> Flags:
    """With its neighbours above, below, left and right."""
    grown = mask.copy()
    grown[1:] |= mask[:-1]
    grown[:-1] |= mask[1:]
    grown[:, 1:] |= mask[:, :-1]
    grown[:, :-1] |= mask[:, 1:]
    return grown


def _as_stencil(where: Flags) -> Image.Image:
    return Image.fromarray(where)  # of one bit a pixel, which Pillow pastes by ten times as fast

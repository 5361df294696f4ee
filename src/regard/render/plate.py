"""Words on a dark plate, laid on frames of a film: set once, laid down as often as needed."""

import functools
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from regard.render.picture import clean
from regard.render.style import Colour

_FONT = Path(__file__).parent / "fonts" / "Inter-SemiBold.ttf"
_COVER = 168
_WHITE: Colour = (255, 255, 255)


def type_size(size_wh: tuple[int, int]) -> int:
    """Height of type that suits a picture: 24 pixels at 720 lines."""
    return max(13, round(min(size_wh) / 30))


def write_plate(
    image: Image.Image,
    words: str,
    at_xy: tuple[int, int],
    *,
    size: int,
    colour: Colour = _WHITE,
    align_right: bool = False,
) -> None:
    """Lay one line of words into ``image``.

    Args:
        image: RGB; it is changed.
        words: Letters that the font lacks become a replacement mark.
        at_xy: Upper left corner of the plate, or the upper right one.
        size: Height of the type in pixels.
        colour: Of the type.
        align_right: Whether ``at_xy`` is the upper right corner.
    """
    plate, cover = _plate(clean(words), size, colour)
    x, y = at_xy
    image.paste(plate, (x - plate.width if align_right else x, y), cover)


@functools.lru_cache(maxsize=512)
def _plate(words: str, size: int, colour: Colour) -> tuple[Image.Image, Image.Image]:
    font = ImageFont.truetype(str(_FONT), size, layout_engine=ImageFont.Layout.BASIC)
    width, height = round(font.getlength(words)) + size, round(1.6 * size)
    plate = Image.new("RGB", (width, height), (16, 16, 18))
    ImageDraw.Draw(plate).text((size / 2, 0.29 * size), words, fill=colour, font=font)
    type_only = Image.new("L", (width, height), _COVER)
    ImageDraw.Draw(type_only).text((size / 2, 0.29 * size), words, fill=255, font=font)
    return plate, type_only

"""Pictures one below another."""

import numpy as np
import pytest

from regard.errors import GeometryError
from regard.render.picture import Picture, Text
from regard.render.stack import stack_pictures


def picture(width: int, height: int, grey: int, words: str) -> Picture:
    raster = np.full((height, width, 3), grey, np.uint8)
    text = Text(words, 2, 5, 10, (0, 0, 0), "regular", "left", 0)
    return Picture(raster, (text,))


def test_pictures_keep_their_pixels_and_words() -> None:
    both = stack_pictures([picture(10, 20, 7, "above"), picture(30, 5, 9, "below")])
    assert both.size_wh == (30, 25)
    assert (both.raster[:20, :10] == 7).all()
    assert (both.raster[:20, 10:] == 255).all()
    assert (both.raster[20:] == 9).all()
    assert both.lines == ("above", "below")
    assert [text.y for text in both.texts] == [5, 25]


def test_no_picture_is_an_error() -> None:
    with pytest.raises(GeometryError, match="no picture"):
        stack_pictures([])

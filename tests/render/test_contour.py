"""The line around a mask."""

import numpy as np
import pytest
from PIL import Image

from regard.render.contour import draw_contour, line_width


def drawn(mask: np.ndarray, thickness: int | None = 1) -> np.ndarray:
    image = Image.new("RGB", (mask.shape[1], mask.shape[0]), (100, 100, 100))
    draw_contour(image, mask, thickness=thickness)
    return np.asarray(image)


def test_it_lies_just_inside_the_mask_with_a_dark_pixel_around() -> None:
    mask = np.zeros((9, 9), bool)
    mask[2:7, 2:7] = True
    assert drawn(mask)[4, :, 0].tolist() == [100, 20, 255, 100, 100, 100, 255, 20, 100]


def test_a_wider_line_grows_inwards() -> None:
    mask = np.zeros((11, 11), bool)
    mask[2:9, 2:9] = True
    row = [100, 20, 255, 255, 100, 100, 100, 255, 255, 20, 100]
    assert drawn(mask, 2)[5, :, 0].tolist() == row


@pytest.mark.parametrize("edge", [slice(None), slice(0, 5), slice(4, 9)])
def test_at_the_pictures_edge_the_line_is_left_open(edge: slice) -> None:
    """The object goes on beyond the picture: its edge is not there."""
    mask = np.zeros((9, 9), bool)
    mask[edge] = True
    found = drawn(mask)
    assert (found[:, 0] == found[:, 4]).all()
    assert (drawn(np.ones((9, 9), bool)) == 100).all()


def test_nothing_is_drawn_for_an_empty_mask() -> None:
    assert (drawn(np.zeros((4, 5), bool)) == 100).all()


def test_lines_suit_the_picture() -> None:
    assert [line_width(size) for size in ((160, 120), (1280, 720), (3840, 2160))] == [1, 2, 6]

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from regard.errors import GeometryError, SelectionError
from regard.render import Picture, draw_heads

Heat = npt.NDArray[np.float32]
Golden = Callable[[Picture, str], None]


@pytest.fixture
def heats(heat: Heat) -> Heat:
    return np.stack([heat, heat[:, ::-1], heat[::-1] / 4])


def test_heads(photo: Image.Image, heats: Heat, golden: Golden) -> None:
    lines = ["layer 10 of 12, query CLS"]
    golden(draw_heads(photo, heats, title="DINOv2 small", lines=lines), "heads")


def test_heads_each_on_its_own_scale(photo: Image.Image, heats: Heat, golden: Golden) -> None:
    golden(draw_heads(photo, heats, scale="each", query_xy=(45, 25)), "heads_each")


def test_a_shared_scale_is_the_same_in_all_panels_and_any_order(heats: Heat) -> None:
    scales = draw_heads(None, heats).scales
    assert len(set(scales)) == 1
    assert len(scales) == 3
    assert draw_heads(None, heats[[2, 0, 1]]).scales == scales


def test_scales_of_their_own_are_all_written(heats: Heat) -> None:
    picture = draw_heads(None, heats, scale="each")
    assert [scale.high for scale in picture.scales] == pytest.approx([16.351, 16.351, 4.0877], 1e-4)
    assert picture.lines.count("16.4") == 2
    assert "4.09" in picture.lines
    assert "number below each panel" in picture.lines


def test_panels_do_not_change_with_their_order(photo: Image.Image, heats: Heat) -> None:
    one, other = draw_heads(photo, heats), draw_heads(photo, heats[::-1])
    np.testing.assert_array_equal(panel(one, 0), panel(other, 2))
    np.testing.assert_array_equal(panel(one, 1), panel(other, 1))
    assert (panel(one, 0) != panel(one, 1)).any()


def panel(picture: Picture, index: int) -> npt.NDArray[np.uint8]:
    """Pixels below the name of a panel."""
    text = next(text for text in picture.texts if text.words == f"head {index}")
    top, left = round(text.y) + 14, round(text.x)
    return picture.raster[top : top + 250, left : left + 300]


def test_one_mask_holds_for_all_heads(photo: Image.Image, heats: Heat) -> None:
    masked = np.zeros((60, 80), bool)
    masked[:30] = True
    one = draw_heads(photo, heats, masked=masked)
    stacked = draw_heads(photo, heats, masked=np.stack([masked] * 3))
    assert one.raster.tobytes() == stacked.raster.tobytes()
    assert "masked" in one.lines


@pytest.mark.parametrize("count", [1, 2, 5, 7, 12, 16, 24])
@pytest.mark.parametrize("shape_hw", [(12, 16), (2, 60), (60, 2)])
def test_any_number_of_heads_on_any_shape_fits(count: int, shape_hw: tuple[int, int]) -> None:
    heats = np.ones((count, *shape_hw), np.float32)
    picture = draw_heads(None, heats, scale="each")
    assert picture.size_wh[0] <= 1600
    assert len([line for line in picture.lines if line.startswith("h")]) == count


def test_wrong_names_and_scales(heats: Heat) -> None:
    with pytest.raises(GeometryError, match="2 names for 3 heads"):
        draw_heads(None, heats, names=["a", "b"])
    with pytest.raises(SelectionError, match="scale='one'"):
        draw_heads(None, heats, scale="one")  # type: ignore[arg-type]


def test_a_square_before_each_name(photo: Image.Image, heats: Heat) -> None:
    colours = [(250, 0, 0), (0, 250, 0), (0, 0, 250)]
    plain = np.asarray(draw_heads(photo, heats).image)
    marked = np.asarray(draw_heads(photo, heats, colours=colours).image)
    assert plain.shape == marked.shape
    for colour in colours:
        assert not (plain == colour).all(-1).any()
        rows, columns = (marked == colour).all(-1).nonzero()
        assert len(rows) == len(set(rows.tolist())) * len(set(columns.tolist())) > 50
    with pytest.raises(GeometryError, match="2 colours for 3 heads"):
        draw_heads(photo, heats, colours=colours[:2])

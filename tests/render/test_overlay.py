from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image

from regard.errors import GeometryError, SelectionError
from regard.render import Look, Picture, draw_overlay

Heat = npt.NDArray[np.float32]
Golden = Callable[[Picture, str], None]


def test_overlay(photo: Image.Image, heat: Heat, golden: Golden) -> None:
    golden(draw_overlay(photo, heat, query_xy=(45, 25)), "overlay")


def test_overlay_with_every_kind_of_place(photo: Image.Image, heat: Heat, golden: Golden) -> None:
    heat = heat.copy()
    heat[:, :10] = np.nan
    masked, padding = np.zeros((2, 60, 80), bool)
    masked[:15, 30:], padding[52:] = True, True
    picture = draw_overlay(photo, heat, masked=masked, padding=padding)
    golden(picture, "overlay_places")
    assert {"outside the model's view", "masked", "padding"} < set(picture.lines)


def test_overlay_evenly_covered_in_jet(photo: Image.Image, heat: Heat, golden: Golden) -> None:
    look = Look(cmap="jet", mixing="constant", high="max", unit="weight")
    golden(draw_overlay(photo, heat, look=look), "overlay_jet")


def test_without_a_legend_it_has_the_photos_size_and_no_type(
    photo: Image.Image, heat: Heat
) -> None:
    picture = draw_overlay(photo, heat, legend=False)
    assert picture.image.size == photo.size
    assert picture.lines == ()


def test_the_range_and_its_unit_are_written(photo: Image.Image, heat: Heat) -> None:
    (scale,) = draw_overlay(photo, heat, look=Look(high="max")).scales
    # 12 parts of 31 of the mass 0.88 on a forty-eighth of the photo
    assert scale.high == pytest.approx(0.88 * 12 / 31 * 48, rel=1e-5)  # float32
    lines = draw_overlay(photo, heat, look=Look(high="max")).lines
    assert lines == ("0", "16.4", "\N{MULTIPLICATION SIGN} uniform")
    clipped = draw_overlay(photo, heat, look=Look(high=5.0)).lines
    assert clipped == ("0", "≥ 5", "\N{MULTIPLICATION SIGN} uniform (largest 16.4)")


def test_the_unit_does_not_depend_on_resolution(photo: Image.Image, heat: Heat) -> None:
    cells = heat[::10, ::10] * 100  # the same mass on one value a cell
    (fine,), (coarse,) = (draw_overlay(photo, h).scales for h in (heat, cells))
    assert fine.high == pytest.approx(coarse.high, rel=1e-6)  # float32


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_tensors_and_arrays_draw_the_same(photo: Image.Image, dtype: torch.dtype) -> None:
    tensor = torch.zeros(60, 80, dtype=dtype, requires_grad=True)
    with torch.no_grad():
        tensor[20:30, 20:40] = 0.25  # exact in bfloat16
    array = tensor.detach().float().numpy()
    pixels = torch.from_numpy(np.array(photo))
    found = draw_overlay(pixels, tensor, masked=torch.zeros(60, 80, dtype=torch.bool))
    assert found.raster.tobytes() == draw_overlay(photo, array).raster.tobytes()


def test_infinite_and_masked_values_are_named_and_set_no_scale(
    photo: Image.Image, heat: Heat
) -> None:
    heat = heat.copy()
    heat[0, 0], heat[1, 1] = np.inf, 100
    masked = np.zeros(heat.shape, bool)
    masked[1, 1] = True
    picture = draw_overlay(photo, heat, masked=masked, look=Look(high="max"))
    assert {"infinite", "masked"} < set(picture.lines)
    assert picture.scales[0].largest == pytest.approx(0.88 * 12 / 31 * 48, rel=1e-5)  # float32


@pytest.mark.parametrize("size_wh", [(1600, 40), (40, 1600), (32, 24), (1, 1), (3000, 2000)])
def test_photos_of_any_shape(size_wh: tuple[int, int]) -> None:
    width, height = size_wh
    heat = np.full((height, width), 1 / (width * height), np.float32)
    picture = draw_overlay(Image.new("RGB", size_wh, "teal"), heat)
    assert all(0 <= text.x < picture.size_wh[0] for text in picture.texts)
    assert all(0 < text.y < picture.size_wh[1] for text in picture.texts)


def test_the_inputs_are_left_as_they_were(photo: Image.Image, heat: Heat) -> None:
    pixels, before = np.array(photo), heat.copy()
    copy = pixels.copy()
    draw_overlay(pixels, heat, padding=heat > 0)
    np.testing.assert_array_equal(heat, before)
    np.testing.assert_array_equal(pixels, copy)


def test_a_map_of_other_proportions_is_refused(photo: Image.Image, heat: Heat) -> None:
    with pytest.raises(GeometryError, match=r"map of 80 x 60 .* does not cover a photo of 60 x 80"):
        draw_overlay(photo, heat.T)


@pytest.mark.parametrize(
    "picture", [np.zeros((60, 80), np.uint8), np.zeros((60, 80, 3)), np.zeros((0, 80, 3), np.uint8)]
)
def test_a_photo_of_another_kind_is_refused(picture: object, heat: Heat) -> None:
    with pytest.raises(GeometryError, match="expected a PIL image or uint8"):
        draw_overlay(picture, heat)  # type: ignore[arg-type]


def test_a_map_of_another_rank_is_refused(photo: Image.Image, heat: Heat) -> None:
    with pytest.raises(GeometryError, match=r"heat has shape \(1, 60, 80\), expected \(height"):
        draw_overlay(photo, heat[None])


def test_an_unknown_colour_map(photo: Image.Image, heat: Heat) -> None:
    with pytest.raises(SelectionError, match="try viridis"):
        draw_overlay(photo, heat, look=Look(cmap="viridiss"))

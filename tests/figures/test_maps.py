"""Maps of a subject: smooth, and by cell, in times the even share."""

import numpy as np
import pytest

from made_video import SIZE_HW
from regard.errors import SelectionError
from regard.figures.maps import Maps, small_hw
from regard.figures.subject import Subject
from regard.runs import RecordedVideo


def test_smooth_is_the_heat_of_the_run_times_its_pixels(
    discs: RecordedVideo, salmon: Subject
) -> None:
    heat = discs.heat(0, 3)
    assert heat is not None
    found = Maps.of(salmon).smooth(3, SIZE_HW)
    assert found is not None
    expected = heat.numpy() * SIZE_HW[0] * SIZE_HW[1]
    np.testing.assert_allclose(found, expected, rtol=1e-5)  # float32, another order


@pytest.mark.parametrize("layer", [6, 7, 8])
def test_cells_of_a_layer_are_its_weights_over_the_even_share(
    discs: RecordedVideo, salmon: Subject, layer: int
) -> None:
    cells = Maps.of(salmon, [layer]).cells(3)
    weights = discs.attention.cell_weights(0, 3, layer)
    assert cells is not None
    assert weights is not None
    stride = {6: 32, 7: 16, 8: 8}[layer]
    even = stride**2 / (96 * 143)
    expected = weights.view(discs.level_hw(layer)).numpy() / even
    np.testing.assert_allclose(cells.values, expected, rtol=1e-6)


def test_cells_lie_where_the_model_saw_them_and_padding_is_left_out(salmon: Subject) -> None:
    """96 x 143 pixels of photo in an input of 96 x 160."""
    cells = Maps.of(salmon, [8]).cells(0)
    assert cells is not None
    down, across = cells.edges_yx
    np.testing.assert_allclose(down, np.arange(13) * 8 / 96, atol=1e-6)
    np.testing.assert_allclose(across, np.arange(21) * 8 / 143, atol=1e-6)
    shown = cells.map((286, 192))  # two pixels for each of the model's
    np.testing.assert_array_equal(shown[0, ::16][:17], cells.values[0, :17])
    assert shown.shape == (192, 286)


def test_the_mean_of_layers_is_taken_on_the_finest_cells(salmon: Subject) -> None:
    alone = [Maps.of(salmon, [layer]).cells(2) for layer in (6, 7, 8)]
    mean = Maps.of(salmon).cells(2)
    assert mean is not None
    large = []
    for cells, by in zip(alone, (4, 2, 1), strict=True):
        assert cells is not None
        large.append(np.kron(cells.values, np.ones((by, by)))[:12, :20])
    np.testing.assert_allclose(mean.values, np.mean(large, 0), rtol=1e-5)


def test_outside_of_its_life_there_is_no_map(trout: Subject) -> None:
    maps = Maps.of(trout)
    assert [maps.cells(frame) is not None for frame in (1, 2, 5, 6)] == [False, True, True, False]
    assert maps.smooth(1, SIZE_HW) is None


def test_a_layer_that_was_not_kept_is_said(salmon: Subject) -> None:
    with pytest.raises(SelectionError, match=r"layers \[5\] of the predictor; kept .* \[6, 7, 8\]"):
        Maps.of(salmon, [5])


def test_small_maps_keep_proportions() -> None:
    assert small_hw((720, 1280), 320) == (180, 320)
    assert small_hw((90, 134), 320) == (90, 134)

"""The four ways in which frames share a scale, by hand."""

import numpy as np
import pytest

from regard.errors import SelectionError
from regard.figures.scaling import FrameScales
from regard.render.arrays import Floats
from regard.render.colour import High

ONE: Floats = np.array([[1, 5]], np.float32)
TWO: Floats = np.array([[2, 9]], np.float32)
WEIGHTS: Floats = np.array([0.75, 0.25], np.float32)


def scales(scaling: str, high: High = "max") -> FrameScales:
    return FrameScales.of(scaling, [(0, ONE), (1, TWO), (2, None)], WEIGHTS, high=high)


def test_per_frame_goes_from_least_to_most_of_each() -> None:
    found = scales("per_frame")
    assert [(found.scale(i).low, found.scale(i).high) for i in (0, 1)] == [(1, 5), (2, 9)]
    assert found.shown(1, TWO) is TWO


def test_across_frames_goes_from_least_to_most_of_all() -> None:
    found = scales("across_frames")
    assert found.scale(0) == found.scale(1)
    assert (found.scale(0).low, found.scale(0).high) == (1, 9)


def test_temporal_per_frame_is_the_place_in_the_frames_range_times_its_weight() -> None:
    found = scales("temporal_per_frame")
    assert found.shown(0, ONE).tolist() == [[0, 0.75]]
    assert found.shown(1, TWO).tolist() == [[0, 0.25]]
    assert (found.scale(1).low, found.scale(1).high) == (0, 0.75)


def test_temporal_across_frames_is_values_times_weights_on_one_scale() -> None:
    found = scales("temporal_across_frames")
    assert found.shown(0, ONE).tolist() == [[0.75, 3.75]]
    assert found.shown(1, TWO).tolist() == [[0.5, 2.25]]
    assert (found.scale(0).low, found.scale(0).high) == (0.5, 3.75)


def test_a_constant_frame_shows_its_weight() -> None:
    flat = np.full((1, 2), 4, np.float32)
    found = FrameScales.of("temporal_per_frame", [(0, flat)], WEIGHTS)
    assert found.shown(0, flat).tolist() == [[0.75, 0.75]]


def test_a_clipped_scale_still_says_its_largest_value() -> None:
    values = np.ones((20, 20), np.float32)
    values[0, 0] = 50
    found = FrameScales.of("across_frames", [(0, values)], high="p99.5")
    assert (found.scale(0).high, found.scale(0).largest) == (1, 50)
    assert found.scale(0).clips_high


def test_what_has_no_meaning_is_refused() -> None:
    with pytest.raises(SelectionError, match="scale is 'global'"):
        scales("global")
    with pytest.raises(SelectionError, match="needs the weights of frames"):
        FrameScales.of("temporal_per_frame", [(0, ONE)])
    with pytest.raises(SelectionError, match="no frame with attention"):
        FrameScales.of("per_frame", [(0, None)])

"""Attention within regions, counted by hand."""

import math

import numpy as np
import pytest

from regard.analysis.region_attention import box_mask, region_attention, weighted_mean
from regard.errors import GeometryError

HEAT = np.array([[1.0, 3.0, np.nan], [2.0, 2.0, np.nan]])


def test_mass_and_lift() -> None:
    region = np.array([[False, True, True], [False, False, False]])
    found = region_attention(HEAT, region)
    assert (found.mass, found.area, found.lift) == (3 / 8, 1 / 4, 1.5)
    everything = region_attention(HEAT, np.ones((2, 3), bool))
    assert (everything.mass, everything.area, everything.lift) == (1, 1, 1)


def test_nothing_to_measure_is_no_number() -> None:
    nowhere = region_attention(HEAT, np.zeros((2, 3), bool))
    assert (nowhere.mass, nowhere.area) == (0, 0)
    assert math.isnan(nowhere.lift)
    assert math.isnan(region_attention(np.zeros((2, 3)), np.ones((2, 3), bool)).mass)
    with pytest.raises(GeometryError, match=r"\(2, 3\).*\(3, 2\)"):
        region_attention(HEAT, np.ones((3, 2), bool))


def test_means_over_frames_count_by_importance() -> None:
    assert weighted_mean([1.0, math.nan, 4.0], [2, 9, 1]) == 2.0
    assert math.isnan(weighted_mean([math.nan, 1.0], [1, 0]))


def test_a_box_holds_the_pixels_whose_centres_lie_in_it() -> None:
    assert box_mask((0.4, 0.6, 1.5, 2), (2, 3)).tolist() == [
        [False, False, False],
        [True, False, False],
    ]
    assert box_mask((-5, -5, 50, 50), (2, 3)).all()

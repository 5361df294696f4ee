"""Intersection over union of parts, by hand."""

import numpy as np
import pytest

from regard.errors import InputError
from regard.evaluation.occupancy import part_ious

ONE = np.array([[1, 1, 1, 1, 0, 0, 0, 0], [0, 0, 0, 0, 1, 1, 0, 0]], bool)


def test_parts_are_matched_whatever_their_order() -> None:
    values, matched = part_ious(ONE[::-1], ONE)
    assert values.tolist() == [1, 1]
    assert matched == [1, 0]


def test_a_share_of_the_space() -> None:
    found = np.array([[1, 1, 0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 1, 1, 1, 1]], bool)
    values, _ = part_ious(found, ONE)
    assert values.tolist() == [0.5, 0.5]


def test_the_sum_is_largest_not_the_first_come() -> None:
    """Each alone would take the second part found; only one can."""
    truth = np.array([[1, 1, 1, 1, 0, 0], [0, 1, 1, 1, 1, 0]], bool)
    found = np.array([[1, 1, 0, 0, 0, 0], [0, 1, 1, 1, 0, 0]], bool)
    values, matched = part_ious(found, truth)
    assert matched == [0, 1]
    assert values == pytest.approx([0.5, 0.75])


def test_a_part_too_few_and_an_empty_one() -> None:
    values, matched = part_ious(ONE[:1], ONE)
    assert values.tolist() == [1, 0]
    assert matched == [0, -1]
    assert part_ious(np.zeros((2, 8), bool), ONE)[0].tolist() == [0, 0]


def test_other_points_are_an_error() -> None:
    with pytest.raises(InputError, match="over the same points"):
        part_ious(ONE[:, :5], ONE)

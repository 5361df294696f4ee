"""Right words, and words that look at what they speak of."""

import numpy as np
import pytest
import torch

from regard.errors import GeometryError
from regard.evaluation.captions import object_at_peak, word_accuracy
from regard.models.aoanet import whole_photo_grid
from regard.tokens.regions import RegionTokens


@pytest.mark.parametrize(
    ("words", "truth", "expected"),
    [
        (["a", "red", "disc"], ["a", "red", "disc"], 1),
        (["a", "blue", "disc"], ["a", "red", "disc"], 2 / 3),
        (["a", "red"], ["a", "red", "disc", "on"], 0.5),
        (["a", "red", "disc", "on"], ["a", "red"], 0.5),
        (["red", "a"], ["a", "red"], 0),
        ([], [], 0),
    ],
)
def test_word_accuracy(words: list[str], truth: list[str], expected: float) -> None:
    assert word_accuracy(words, truth) == pytest.approx(expected)


def test_the_object_at_the_peak_is_the_one_that_fills_most_of_the_cell() -> None:
    layout = whole_photo_grid((2, 2), (8, 12))
    masks = np.zeros((2, 8, 12), bool)
    masks[0, :4, 6:9] = True
    masks[1, :2, 9:] = True
    weights = torch.tensor([0.1, 0.6, 0.2, 0.1])
    assert object_at_peak(weights, layout, masks) == 0
    assert object_at_peak(weights, layout, masks[::-1]) == 1
    assert object_at_peak(weights, layout, masks[1:]) == 0  # a quarter of the cell
    assert object_at_peak(weights.flip(0), layout, masks) is None
    assert object_at_peak(weights, layout, masks[:0]) is None


def test_regions_may_overlap() -> None:
    layout = RegionTokens.of([(0, 0, 6, 6), (2, 2, 5, 5)], (6, 6))
    masks = np.zeros((1, 6, 6), bool)
    masks[0, 2:4, 2:4] = True
    assert object_at_peak(torch.tensor([0.2, 0.8]), layout, masks) == 0
    assert object_at_peak(torch.tensor([0.8, 0.2]), layout, masks) is None


def test_weights_of_other_regions() -> None:
    with pytest.raises(GeometryError):
        object_at_peak(torch.ones(3), whole_photo_grid((2, 2), (8, 8)), np.ones((1, 8, 8), bool))

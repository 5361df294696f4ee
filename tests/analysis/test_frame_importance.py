"""Statistics of frame weights, counted by hand."""

import numpy as np
import pytest
import torch

from regard.analysis.frame_importance import (
    by_importance,
    effective_frames,
    frames_to_cover,
    frames_to_reach,
    share_within,
    shares,
    stretched,
    top_frames,
)
from regard.errors import InputError

WEIGHTS = [1.0, 4.0, 2.0, 0.0, 1.0]


def test_frames_to_reach_a_share() -> None:
    reached = {share: frames_to_reach(WEIGHTS, share) for share in (0.0, 0.5, 0.51, 0.75, 0.9, 1.0)}
    assert reached == {0.0: 1, 0.5: 1, 0.51: 2, 0.75: 2, 0.9: 4, 1.0: 4}
    assert frames_to_reach([0.1] * 10, 0.9) == 9
    assert frames_to_reach(torch.tensor([0.25, 0.75]), 0.9) == 2


def test_the_most_important_frames_come_first_and_equal_ones_in_order() -> None:
    assert by_importance(WEIGHTS).tolist() == [1, 2, 0, 4, 3]
    assert top_frames(WEIGHTS, 0.75).tolist() == [1, 2]
    assert top_frames(WEIGHTS, 0.95, at_most=3).tolist() == [1, 2, 0]


def test_shares_and_how_wide_they_are_spread() -> None:
    assert shares(WEIGHTS).tolist() == [0.125, 0.5, 0.25, 0.0, 0.125]
    assert effective_frames([3, 3, 3]) == pytest.approx(3)
    assert effective_frames([0, 7, 0]) == pytest.approx(1)
    assert share_within(WEIGHTS, [False, True, False, True, True]) == 0.625


def test_frames_to_cover_those_of_an_object() -> None:
    chosen = [True, False, True, False, True]
    covered = {share: frames_to_cover(WEIGHTS, chosen, share) for share in (0.01, 0.5, 0.75, 1.0)}
    assert covered == {0.01: 2, 0.5: 3, 0.75: 4, 1.0: 4}
    assert frames_to_cover(WEIGHTS, [False] * 5, 0.5) is None


def test_stretched_weights_run_from_0_to_1_and_equal_ones_lie_between() -> None:
    assert stretched(WEIGHTS).tolist() == [0.25, 1.0, 0.5, 0.0, 0.25]
    assert stretched([0.3, 0.3]).tolist() == [0.5, 0.5]


@pytest.mark.parametrize("weights", [[], [[1.0]], [1.0, -1.0], [np.nan], [0.0, 0.0]])
def test_what_is_no_weight_is_refused(weights: list[float]) -> None:
    with pytest.raises(InputError, match="weights"):
        frames_to_reach(weights, 0.5)

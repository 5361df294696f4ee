"""Attention over time."""

from typing import Any

import pytest
import torch

from regard.analysis.temporal_rollout import temporal_rollout
from regard.errors import SelectionError
from regard.figures.subject import Subject, choose
from regard.figures.temporal import TimeAttention, draw_temporal
from regard.runs import RecordedVideo

Golden = Any


def test_matrices_rollout_and_what_reaches_all(trout: Subject, golden: Golden) -> None:
    golden(draw_temporal(trout), "temporal")


def test_a_matrix_for_each_head(salmon: Subject) -> None:
    lines = draw_temporal(salmon, by_head=True).lines
    assert {"layer 0, head 0", "layer 0, head 1", "layer 2, head 1"} <= set(lines)


def test_the_rollout_is_that_of_the_runs_attention(discs: RecordedVideo, trout: Subject) -> None:
    heads = [torch.stack([discs.temporal(layer, 1, head) for head in (0, 1)]) for layer in range(3)]
    time = TimeAttention.of(trout)
    assert torch.equal(time.rollout(fusion="max"), temporal_rollout(heads, fusion="max"))
    alone = TimeAttention.of(trout, [1, 2], head=0)
    assert torch.equal(alone.rollout(), temporal_rollout([heads[1][0], heads[2][0]]))


def test_the_residual_and_the_fusion_are_written(salmon: Subject) -> None:
    lines = draw_temporal(salmon, residual=0.25, fusion="min").lines
    assert any("residual 0.25, min of heads" in line for line in lines)


def test_what_has_no_attention_over_time_is_said(
    online: RecordedVideo, discs: RecordedVideo
) -> None:
    with pytest.raises(SelectionError, match="no attention over time: online models"):
        draw_temporal(choose(online)[0])
    with pytest.raises(SelectionError, match="for instances only"):
        draw_temporal(choose(discs, query=0)[0])
    with pytest.raises(SelectionError, match="row 2 has no record in the refiner"):
        draw_temporal(choose(discs, instances=[3])[0])

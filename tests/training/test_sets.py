"""Matching and losses, against values worked out by hand or pair by pair."""

import pytest
import torch
import torch.nn.functional as F

pytest.importorskip("scipy")

from training.sets import (
    box_cost,
    class_cost,
    class_loss,
    generalised_iou,
    mask_cost,
    mask_loss,
    match,
)


def test_the_cheapest_pairs_win_not_the_first_ones() -> None:
    queries, segments = match(torch.tensor([[1.0, 2.0], [0.0, 9.0], [5.0, 5.0]]))
    assert list(zip(queries.tolist(), segments.tolist(), strict=True)) == [(0, 1), (1, 0)]


def test_generalised_iou() -> None:
    one = torch.tensor([0.25, 0.5, 0.5, 1.0])  # the left half
    assert generalised_iou(one, one).item() == pytest.approx(1)
    right = torch.tensor([0.75, 0.5, 0.5, 1.0])
    assert generalised_iou(one, right).item() == pytest.approx(0, abs=1e-6)
    # apart: no overlap, hull 1, union 1/8
    corner = torch.tensor([0.125, 0.125, 0.25, 0.25])
    other = torch.tensor([0.875, 0.875, 0.25, 0.25])
    assert generalised_iou(corner, other).item() == pytest.approx(-7 / 8)


def test_costs_are_the_losses_of_each_pair() -> None:
    logits, true = torch.randn(3, 40), torch.rand(2, 40)
    entropy, dice = mask_cost(logits, true)
    boxes, true_boxes = torch.rand(3, 4), torch.rand(2, 4)
    l1, minus_iou = box_cost(boxes, true_boxes)
    for query in range(3):
        for segment in range(2):
            pair = mask_loss(logits[query][None], true[segment][None])
            # float32 sums in another order
            assert entropy[query, segment].item() == pytest.approx(pair[0].item(), abs=1e-5)
            assert dice[query, segment].item() == pytest.approx(pair[1].item(), abs=1e-5)
            gap = (boxes[query] - true_boxes[segment]).abs().sum()
            assert l1[query, segment].item() == pytest.approx(gap.item(), abs=1e-5)
            own = -generalised_iou(boxes[query], true_boxes[segment])
            assert minus_iou[query, segment].item() == pytest.approx(own.item(), abs=1e-5)


def test_a_query_without_a_segment_is_of_no_object() -> None:
    logits = torch.randn(1, 3, 5)
    matches = [(torch.tensor([2]), torch.tensor([0]))]
    loss = class_loss(logits, [torch.tensor([1])], matches, no_object=0.1)
    wanted, weights = torch.tensor([4, 4, 1]), torch.tensor([0.1, 0.1, 1.0])
    each = F.cross_entropy(logits[0], wanted, reduction="none")
    assert loss.item() == pytest.approx(float((weights * each).sum() / weights.sum()), abs=1e-6)
    assert class_cost(logits[0], torch.tensor([1])).shape == (3, 1)

"""Matching and losses of the video miniature, on cases that can be counted by hand."""

import numpy as np
import pytest
import torch

from training.video_losses import Objects, class_loss, mask_losses, match, pairs


def squares() -> Objects:
    shares = torch.zeros(1, 3, 4, 4)
    shares[0, 0, :2], shares[0, 1, 2:] = 1, 1
    return Objects(labels=torch.tensor([[0, 1, -1]]), shares=shares)


def test_each_object_gets_the_query_that_fits() -> None:
    there = squares()
    masks = torch.full((1, 4, 4, 4), -9.0)
    masks[0, 3, :2], masks[0, 1, 2:] = 9, 9
    found = match(torch.zeros(1, 4, 3), masks, there)
    assert sorted(zip(found.query.tolist(), found.target.tolist(), strict=True)) == [
        (1, 1),
        (3, 0),
    ]


def test_queries_that_are_taken_are_left_alone() -> None:
    masks = torch.full((1, 4, 4, 4), -9.0)
    masks[0, 3, :2] = 9
    free = torch.tensor([[True, False, False, False]])
    found = match(torch.zeros(1, 4, 3), masks, squares(), free=free)
    assert found.query.tolist() == [0], "one free query, so one object goes without"


def test_a_perfect_answer_costs_next_to_nothing() -> None:
    there = squares()
    found = pairs([(0, 0, 0), (0, 1, 1)])
    logits = torch.full((1, 3, 3), -20.0)
    logits[0, 0, 0] = logits[0, 1, 1] = logits[0, 2, 2] = 20
    assert class_loss(logits, there, found).item() == pytest.approx(0, abs=1e-6)
    masks = (there.shares[0, :2] * 2 - 1) * 20
    entropy, dice = mask_losses(masks, there.shares[0, :2])
    assert entropy.max().item() == pytest.approx(0, abs=1e-6)
    assert dice.max().item() == pytest.approx(0, abs=1e-6)


def test_no_object_counts_less() -> None:
    """One query answers at ln 3, one should say nothing and does so at ln 2."""
    logits = torch.zeros(1, 2, 3)
    logits[0, 1, 2] = torch.log(torch.tensor(2.0))  # probabilities 1/4, 1/4, 1/2
    expected = (np.log(3) + 0.3 * np.log(2)) / 1.3
    found = class_loss(logits, squares(), pairs([(0, 0, 0)]))
    assert found.item() == pytest.approx(expected, abs=1e-6)

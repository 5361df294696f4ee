"""Set prediction: which query answers for which segment, and the losses between the two.

Source: Carion et al. 2020 (DETR), section 3.1; Cheng et al. 2022 (Mask2Former), section 3.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import Tensor

Match = tuple[Tensor, Tensor]
"""Queries, and the segments that they answer for, of one photo."""


def match(cost: Tensor) -> Match:
    """The cheapest pairs of a cost matrix (queries, segments): every segment gets one query."""
    queries, segments = linear_sum_assignment(cost.detach().numpy())
    return torch.as_tensor(queries), torch.as_tensor(segments)


def class_cost(logits: Tensor, labels: Tensor) -> Tensor:
    """(queries, segments): minus the probability of the segment's class."""
    return -logits.softmax(-1)[:, labels]


def box_cost(boxes: Tensor, true: Tensor) -> tuple[Tensor, Tensor]:
    """L1 distance, and minus the generalised IoU: both (queries, segments)."""
    return torch.cdist(boxes, true, p=1), -generalised_iou(boxes[:, None], true[None])


def mask_cost(logits: Tensor, true: Tensor) -> tuple[Tensor, Tensor]:
    """Binary cross-entropy, and dice loss: both (queries, segments).

    Args:
        logits: (queries, pixels).
        true: (segments, pixels), 0 to 1.
    """
    entropy = (F.softplus(logits).sum(1)[:, None] - logits @ true.T) / logits.shape[1]
    inside = logits.sigmoid()
    both = 2 * inside @ true.T
    return entropy, 1 - (both + 1) / (inside.sum(1)[:, None] + true.sum(1) + 1)


def class_loss(
    logits: Tensor, labels: Sequence[Tensor], matches: Sequence[Match], no_object: float
) -> Tensor:
    """Cross-entropy of every query; those without a segment are of the last class.

    Args:
        logits: (batch, queries, classes + 1).
        labels: Class index of each photo's segments.
        matches: Who answers for what.
        no_object: Weight of the last class.
    """
    wanted = torch.full(logits.shape[:2], logits.shape[-1] - 1)
    for row, own, (queries, segments) in zip(wanted, labels, matches, strict=True):
        row[queries] = own[segments]
    weights = torch.ones(logits.shape[-1])
    weights[-1] = no_object
    return F.cross_entropy(logits.flatten(0, 1), wanted.flatten(), weights)


def mask_loss(logits: Tensor, true: Tensor) -> tuple[Tensor, Tensor]:
    """Binary cross-entropy and dice loss, means over pairs: logits and truth (pairs, pixels)."""
    inside = logits.sigmoid()
    both = 2 * (inside * true).sum(1)
    dice = 1 - (both + 1) / (inside.sum(1) + true.sum(1) + 1)
    return F.binary_cross_entropy_with_logits(logits, true), dice.mean()


def box_loss(boxes: Tensor, true: Tensor) -> tuple[Tensor, Tensor]:
    """L1 distance and one minus the generalised IoU, means over pairs (pairs, 4)."""
    return (boxes - true).abs().sum(1).mean(), 1 - generalised_iou(boxes, true).mean()


def generalised_iou(one: Tensor, other: Tensor) -> Tensor:
    """Of boxes (..., 4) given as centre and size.

    Source: Rezatofighi et al. 2019, "Generalized Intersection over Union".
    """
    (low1, high1), (low2, high2) = _corners(one), _corners(other)
    both = (torch.minimum(high1, high2) - torch.maximum(low1, low2)).clamp(min=0).prod(-1)
    union = (high1 - low1).prod(-1) + (high2 - low2).prod(-1) - both
    hull = (torch.maximum(high1, high2) - torch.minimum(low1, low2)).prod(-1)
    return both / union.clamp(min=1e-9) - (hull - union) / hull.clamp(min=1e-9)


def _corners(boxes: Tensor) -> tuple[Tensor, Tensor]:
    centre, size = boxes[..., :2], boxes[..., 2:]
    return centre - size / 2, centre + size / 2

"""Set prediction: which query answers for which object, and how wrong it is.

Source: Cheng et al. 2022, "Masked-attention Mask Transformer", section 3.2.3 and appendix; weights
as there. Masks are compared at stride 4, where a cell's target is the share of its area that the
object covers, so that the edge between two cells is known to a fraction of a cell.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import Tensor

_CLASS, _CROSS_ENTROPY, _DICE = 2.0, 5.0, 5.0
_NO_OBJECT = 0.3
"""More than the paper's 0.1: where two queries see one object, not both should be sure of it."""
_IMPOSSIBLE = 1e6


@dataclass(frozen=True, kw_only=True)
class Objects:
    """What is there, in a batch of frames; frames with fewer objects are filled up."""

    labels: Tensor
    """Class from 0, int64 (batch, objects); -1 where there is none."""
    shares: Tensor
    """Share of each cell that the object covers, float32 (batch, objects, height, width)."""

    @property
    def there(self) -> Tensor:
        """Whether the object is there, bool (batch, objects)."""
        return self.labels >= 0


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """Which query answers for which object; three int64 tensors of one length."""

    batch: Tensor
    query: Tensor
    target: Tensor

    def __len__(self) -> int:
        return len(self.batch)


def match(logits: Tensor, masks: Tensor, objects: Objects, *, free: Tensor | None = None) -> Pairs:
    """Pairs of least cost, each object with a query of its own.

    Args:
        logits: Class logits, (batch, queries, classes + 1).
        masks: Mask logits, (batch, queries, height, width).
        objects: What is there; those whose label is -1 are left out.
        free: Queries that may be taken, bool (batch, queries); all by default.
    """
    costs = _costs(logits.detach(), masks.detach(), objects)
    if free is not None:
        costs = costs.masked_fill(~free[..., None], _IMPOSSIBLE)
    found: list[tuple[int, int, int]] = []
    for index, (cost, there) in enumerate(zip(costs.numpy(), objects.there, strict=True)):
        targets = there.nonzero()[:, 0].tolist()
        for query, column in zip(*linear_sum_assignment(cost[:, targets]), strict=True):
            if cost[query, targets[column]] < _IMPOSSIBLE:
                found.append((index, int(query), targets[column]))
    return pairs(found)


def pairs(found: list[tuple[int, int, int]]) -> Pairs:
    """From (batch, query, target) tuples."""
    batch, query, target = torch.tensor(found, dtype=torch.int64).reshape(-1, 3).unbind(1)
    return Pairs(batch=batch, query=query, target=target)


def _costs(logits: Tensor, masks: Tensor, objects: Objects) -> Tensor:
    """(batch, queries, objects)."""
    labels = objects.labels.clamp(min=0)[:, None].expand(-1, logits.shape[1], -1)
    classes = -logits.softmax(-1).gather(2, labels)
    flat, targets = masks.flatten(2), objects.shares.flatten(2)
    inside = flat @ targets.transpose(1, 2)
    entropy = (F.softplus(flat).sum(-1, keepdim=True) - inside) / flat.shape[2]
    probabilities = flat.sigmoid()
    common = probabilities @ targets.transpose(1, 2)
    total = probabilities.sum(-1, keepdim=True) + targets.sum(-1)[:, None]
    dice = 1 - (2 * common + 1) / (total + 1)
    return _CLASS * classes + _CROSS_ENTROPY * entropy + _DICE * dice


def loss(
    logits: Tensor,
    masks: Tensor | None,
    objects: Objects,
    found: Pairs,
    *,
    counted: Tensor | None = None,
) -> Tensor:
    """Loss of classes and masks, a scalar.

    Args:
        logits: Class logits, (batch, queries, classes + 1).
        masks: Mask logits, (batch, queries, height, width); None where only classes are learned.
        objects: What is there.
        found: Of `match`; all other queries should say "no object".
        counted: Queries that count, bool (batch, queries); all by default.
    """
    classes = class_loss(logits, objects, found, counted=counted)
    if masks is None:
        return _CLASS * classes
    entropy, dice = mask_losses(
        masks[found.batch, found.query], objects.shares[found.batch, found.target]
    )
    count = max(1, len(found))
    return _CLASS * classes + (_CROSS_ENTROPY * entropy.sum() + _DICE * dice.sum()) / count


def class_loss(
    logits: Tensor, objects: Objects, found: Pairs, *, counted: Tensor | None = None
) -> Tensor:
    """Cross-entropy in which "no object" counts little, as there is so much of it."""
    nothing = logits.shape[2] - 1
    wanted = torch.full(logits.shape[:2], nothing)
    wanted[found.batch, found.query] = objects.labels[found.batch, found.target]
    weight = torch.ones(nothing + 1)
    weight[nothing] = _NO_OBJECT
    if counted is not None:
        logits, wanted = logits[counted], wanted[counted]
    return F.cross_entropy(logits.flatten(0, -2), wanted.flatten(), weight)


def mask_losses(masks: Tensor, shares: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy and dice loss of each mask, (masks,) each; (masks, height, width)."""
    flat, targets = masks.flatten(1), shares.flatten(1)
    entropy = F.binary_cross_entropy_with_logits(flat, targets, reduction="none").mean(1)
    probabilities = flat.sigmoid()
    total = probabilities.sum(1) + targets.sum(1)
    return entropy, 1 - (2 * (probabilities * targets).sum(1) + 1) / (total + 1)

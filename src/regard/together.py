"""Many small calls at once: a dozen products in one, a dozen transfers in one.

Where a layer is small, asking for its weights takes longer in Python than in the processor, and on
a graphics card each transfer waits for the card.
"""

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from regard.attention import Attention, DotProductAttention, Selection
from regard.kept import Kept
from regard.scores import MOVING

_APART = (*MOVING, "flex")
"""Steps that know the size of the batch, or which item of it they are at."""


@dataclass(frozen=True, slots=True)
class Alike:
    """Calls that differ only in q and k, as the layers of one stack do.

    Attributes:
        calls: The calls.
        weights: Theirs, one call after the other: (calls * batch, heads, queries, keys).
    """

    calls: list[Attention]
    weights: Tensor

    def of_each(self) -> Iterator[tuple[Attention, Tensor]]:
        """Each call and its weights, (batch, heads, queries, keys), all in one memory."""
        return zip(self.calls, self.weights.chunk(len(self.calls)), strict=True)


def weights_together(calls: Iterable[Attention], queries: Selection = None) -> list[Alike]:
    """Weights of several calls, for the same queries; in one product where calls are alike.

    Args:
        calls: Any calls.
        queries: As for `Attention.weights`.

    Returns:
        The calls in groups; in a group they are in order.
    """
    groups: dict[Hashable, list[Attention]] = {}
    for call in calls:
        program = _program(call)
        groups.setdefault(id(call) if program is None else program, []).append(call)
    return [Alike(group, _joined(group).weights(queries)) for group in groups.values()]


def moved_together(tensors: Sequence[Tensor], device: str = "cpu") -> list[Tensor]:
    """Copies of tensors on another device, in one transfer and one memory for each dtype."""
    moved: dict[int, Tensor] = {}
    for dtype in dict.fromkeys(tensor.dtype for tensor in tensors):
        places = [place for place, tensor in enumerate(tensors) if tensor.dtype == dtype]
        flat = torch.cat([tensors[place].reshape(-1) for place in places]).to(device)
        pieces = torch.split(flat, [tensors[place].numel() for place in places])
        moved |= zip(places, pieces, strict=True)
    return [moved[place].view(tensor.shape) for place, tensor in enumerate(tensors)]


def _program(call: Attention) -> Hashable | None:
    """What a call does to q·kᵀ, if no tensor and no place in the batch takes part in it."""
    if not isinstance(call, DotProductAttention):
        return None
    scores = call.scores
    q, k = scores.q.shape, scores.k.shape
    has_batch = len(q) == len(k) == 4 and q[0] == k[0] == call.shape[0]
    if not has_batch or any(step.op in _APART or step.kept for step in scores.steps):
        return None
    steps = [
        (step.op, step.row_axis, step.operands, tuple(step.options.items()), step.key_axis)
        for step in scores.steps
    ]
    kinds = [(kept.shape, kept.dtype, kept.device) for kept in (scores.q, scores.k)]
    return (*kinds, *steps, scores.autocast, scores.fused, scores.q_factor)


def _joined(calls: Sequence[Attention]) -> Attention:
    """One call whose batch is those of all, one after the other."""
    first = calls[0]
    if len(calls) == 1 or not isinstance(first, DotProductAttention):
        return first
    programs = [call.scores for call in calls if isinstance(call, DotProductAttention)]
    q, k = (
        Kept(torch.cat([scores.q.get() for scores in programs])),
        Kept(torch.cat([scores.k.get() for scores in programs])),
    )
    shape = (len(calls) * first.shape[0], *first.shape[1:])
    return DotProductAttention(shape=shape, scores=replace(first.scores, q=q, k=k))

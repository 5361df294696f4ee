"""Traces: how a tensor descends from a q·k product, and where its token axes are."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from regard.kept import Kept
from regard.scores import Autocast, Op, Operand, Scores, Step

Axes = tuple[int | None, int | None]
"""The axes of the two token lists (of q's side, of k's side), from the end; None once lost."""


OVER_QUERIES = "its softmax runs over the queries, not over the keys"
JOINT = "its softmax runs over the keys of all heads together: a head's rows sum to its share"


@dataclass(frozen=True, slots=True)
class Move:
    """A step whose query axis is not decided yet: the softmax will tell which side asks."""

    op: Op
    before: Axes
    after: Axes
    operands: tuple[Operand, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)

    def step(self, side: int) -> Step:
        """The step, for queries on the given side."""
        axis, axis_out = self.before[side], self.after[side]
        assert axis is not None  # a trace that lost its queries is never turned into steps
        options = dict(self.options)
        if self.op == "reshape":
            options["row_axis_out"] = axis_out
        key_axis = self.before[1 - side]
        return Step(self.op, axis, self.operands, options, -1 if key_axis is None else key_axis)


@dataclass(eq=False, slots=True)
class Fate:
    """What became of a softmax over q·k."""

    path: str
    met_values: bool = False


@dataclass(frozen=True, slots=True)
class Trace:
    """The descent of one tensor.

    Attributes:
        q: First operand of the product, (..., n, d); None where there was no product.
        k: Second operand, (..., m, d).
        moves: What happened since.
        axes: Where the two token lists are now.
        autocast: The state at the product.
        query_side: 0 if q's tokens ask, 1 if k's do; None before the softmax.
        is_weights: A softmax was taken.
        lost: Why the steps cannot be run again; "" while they can.
        notes: What a reader of the record must know.
        fate: What becomes of its softmax.
        folded: Shape that it had before its token axes were split into those of grids (rows and
            columns), while they are; `axes` then speak of that shape. () otherwise.
        unscaled: What q was before it was multiplied by a number, and that number, where that is
            how q was made.
    """

    autocast: Autocast
    q: Kept | None = None
    k: Kept | None = None
    moves: tuple[Move, ...] = ()
    axes: Axes = (-2, -1)
    query_side: int | None = None
    is_weights: bool = False
    lost: str = ""
    notes: tuple[str, ...] = ()
    fate: Fate | None = None
    folded: tuple[int, ...] = ()
    unscaled: tuple[Kept, float] | None = None

    @property
    def replayable(self) -> bool:
        """Whether running the steps again gives the tensor."""
        return not self.lost and self.q is not None

    @property
    def key_axis(self) -> int | None:
        """Axis of the keys, once the softmax told which side they are on."""
        return None if self.query_side is None else self.axes[1 - self.query_side]

    @property
    def query_axis(self) -> int | None:
        """Axis of the queries, likewise."""
        return None if self.query_side is None else self.axes[self.query_side]

    def asks_along(self, labels: Sequence[str], label: str | None) -> bool:
        """Whether the queries of a q·k product lie on the axis with this label."""
        return (
            self.q is not None and self.query_axis is not None and labels[self.query_axis] == label
        )

    def turned(self) -> "Trace":
        """The trace with queries and keys changed over: the softmax ran over what asks."""
        assert self.query_side is not None
        turned = self.lose(OVER_QUERIES)
        return replace(turned, query_side=1 - self.query_side)

    def moved(
        self, op: Op, operands: tuple[Operand, ...] = (), axes: Axes | None = None, **options: Any
    ) -> "Trace":
        """The trace after one more move."""
        after = self.axes if axes is None else axes
        move = Move(op, self.axes, after, operands, options)
        return replace(self, moves=(*self.moves, move), axes=after)

    def unfolded(self, shape: Sequence[int]) -> "Trace":
        """The trace with the split of its token axes counted as a step, and these axes as lost."""
        if not self.folded:
            return self
        axes = reshaped_axes(self.axes, self.folded, shape)
        return replace(self.moved("reshape", axes=axes, shape=list(shape)), folded=())

    def lose(self, reason: str) -> "Trace":
        """The trace of something that cannot be computed again."""
        return replace(self, lost=self.lost or reason)

    def softmaxed(self, dim: int, dtype: torch.dtype | None) -> "Trace":
        """The trace after a softmax over an axis counted from the end."""
        if dim not in self.axes and None in self.axes and self.axes != (None, None):
            return self._softmaxed_jointly(dim, dtype)
        if dim not in self.axes:
            self = self.lose("its softmax runs over an axis that is not one side of the product")
            return replace(self, is_weights=True, axes=(None, dim), query_side=0)
        side = 1 - self.axes.index(dim)
        if self.axes[side] is None:
            self = self.lose("the query axis was merged with another before the softmax")
        done = self.moved("softmax", dim=dim, dtype=_name(dtype))
        return replace(done, is_weights=True, query_side=side)

    def _softmaxed_jointly(self, dim: int, dtype: torch.dtype | None) -> "Trace":
        """The trace after a softmax over keys that were merged with another axis, as of heads."""
        done = self.moved("softmax", dim=dim, dtype=_name(dtype))
        side = 1 if self.axes[0] is None else 0
        return replace(done, is_weights=True, query_side=side, notes=(*self.notes, JOINT))

    def scores(self, arrangement: Sequence[Step]) -> Scores:
        """The program for the weights, ending in (batch, heads, queries, keys)."""
        assert self.q is not None
        assert self.k is not None
        assert self.query_side is not None
        side = self.query_side
        steps = [move.step(side) for move in self.moves]
        q, k = (self.q, self.k) if side == 0 else (self.k, self.q)
        if side == 1:  # the model's product was keys x queries
            swap = [*range(-self.product_dim, -2), -1, -2]
            steps.insert(0, Step("permute", -2, (), {"dims": swap}))
        factor: float = 1
        if self.unscaled is not None and side == 0 and _keeps(steps, self.unscaled[0]):
            q, factor = self.unscaled
        whole = (*steps, *arrangement)
        return Scores(q, k, whole, self.autocast, fused=False, q_factor=factor)

    @property
    def product_dim(self) -> int:
        """Number of axes of the product."""
        assert self.q is not None
        assert self.k is not None
        return max(len(self.q.shape), len(self.k.shape))


def _name(dtype: torch.dtype | None) -> str | None:
    return None if dtype is None else str(dtype).removeprefix("torch.")


def _keeps(steps: Sequence[Step], q: Kept) -> bool:
    """Whether the steps take q anyway."""
    return any(kept.identity == q.identity for step in steps for kept in step.kept)


def reshaped_axes(axes: Axes, before: Sequence[int], after: Sequence[int]) -> Axes:
    """Where the token axes are after a reshape; None for one that was split or merged."""
    return (
        _reshaped_axis(axes[0], before, after),
        _reshaped_axis(axes[1], before, after),
    )


def _reshaped_axis(axis: int | None, before: Sequence[int], after: Sequence[int]) -> int | None:
    if axis is None:
        return None
    left, size = math.prod(before[: len(before) + axis]), before[axis]
    candidates = [
        place - len(after)
        for place in range(len(after))
        if after[place] == size and math.prod(after[:place]) == left
    ]
    # with length-1 axes around, several places fit; the nearest to the old one is as good as any
    return min(candidates, key=lambda place: abs(place - axis), default=None)


def permutation(
    func: Callable[..., Tensor], args: Sequence[Any], kwargs: dict[str, Any], n: int
) -> list[int]:
    """The order of axes that a transposing call makes: output axis i is input axis result[i].

    Found by letting the call work on an empty tensor whose strides tell its axes apart.
    """
    strides = [2 ** (n - i) for i in range(n)]
    probe = torch.empty_strided([2] * n, strides, device="meta")
    moved = func(probe, *args, **kwargs)
    return [strides.index(stride) for stride in moved.stride()]


def permuted_axes(axes: Axes, order: Sequence[int]) -> Axes:
    """Where the token axes are after a permutation."""
    n = len(order)

    def place(axis: int | None) -> int | None:
        return None if axis is None else order.index(axis % n) - n

    return (place(axes[0]), place(axes[1]))

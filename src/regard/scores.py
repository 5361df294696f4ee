"""Scores: q·k, and the steps that a model took from there to its attention weights.

A recorded call keeps its causes: q, k and a short program of steps (scale, bias, mask, softmax,
reshapes, mixing of heads). Running the program gives the weights back; running it on a few rows
of q gives a few rows, because every step says where the query axis lies; running it with the
masks lifted gives what the same q and k say without them.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from regard.autocast import Autocast as Autocast
from regard.kept import Kept
from regard.recipe import Recipe

BLOCKED = -87.34
"""An additive score at or below this blocks: exp of it is no normal float32 any more.

So -inf, the lowest float, -1e9 and the -100 of Swin's shifted windows are masks, and relative
position biases are not.
"""

Op = Literal[
    "add",
    "sub",
    "rsub",
    "mul",
    "div",
    "rdiv",
    "neg",
    "tanh",
    "clamp",
    "masked_fill",
    "where",
    "causal",
    "within",
    "same",
    "flex",
    "softmax",
    "to",
    "reshape",
    "permute",
    "linear",
    "conv2d",
]
Operand = Kept | Recipe | float | int | bool | None


@dataclass(frozen=True, slots=True)
class Step:
    """One operation on the running scores.

    `row_axis` and `key_axis` are the token axes of its input, counted from the end; `operands`
    are the other arguments; `options` are plain values (a dim, a shape, a dtype name).
    """

    op: Op
    row_axis: int
    operands: tuple[Operand, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    key_axis: int = -1

    @property
    def kept(self) -> list[Kept]:
        """The tensors among the operands, and those that recipes among them take."""
        tensors = [x for x in self.operands if isinstance(x, (Kept, Recipe))]
        return [kept for x in tensors for kept in x.kept]


@dataclass(frozen=True, slots=True)
class Part:
    """The rows (queries) and heads that are wanted; None stands for all of them."""

    rows: Tensor | None = None
    heads: Tensor | None = None

    def select_rows(self, tensor: Tensor) -> Tensor:
        """The wanted rows of a tensor (..., queries, n)."""
        return tensor if self.rows is None else tensor.index_select(-2, self.rows.to(tensor.device))

    def select_heads(self, tensor: Tensor) -> Tensor:
        """The wanted heads of a tensor (batch, heads, n, m)."""
        if self.heads is None:
            return tensor
        return tensor.index_select(-3, self.heads.to(tensor.device))

    def of_rows(self, tensor: Tensor, axis: int) -> Tensor:
        """The part of a tensor whose axis `axis` runs over queries, or broadcasts over them."""
        if self.rows is None or tensor.dim() < -axis or tensor.shape[axis] == 1:
            return tensor
        return tensor.index_select(axis, self.rows.to(tensor.device))

    def of_heads(self, tensor: Tensor) -> Tensor:
        """The part of a tensor whose third last axis runs over heads, or broadcasts over them."""
        if self.heads is None or tensor.dim() < 3 or tensor.shape[-3] == 1:
            return tensor
        return tensor.index_select(-3, self.heads.to(tensor.device))

    def of(self, operand: Operand, axis: int) -> Any:
        """The part of a step's operand that meets the wanted part of the scores."""
        if isinstance(operand, Recipe):
            return self.of_heads(operand.rows(self.rows, axis))
        if not isinstance(operand, Kept):
            return operand
        return self.of_heads(self.of_rows(operand.get(), axis))


@dataclass(frozen=True, slots=True)
class Scores:
    """q, k and the steps from their product to the weights (batch, heads, queries, keys).

    Attributes:
        q: (..., queries, d).
        k: (..., keys, d); with grouped queries it has fewer heads than q.
        steps: What the model did to q·kᵀ, softmax included.
        autocast: The state under which it did.
        fused: The model used a fused kernel, which accumulates in float32 whatever the inputs:
            q and k are raised to float32 before the product. Otherwise the steps run again in
            the dtypes that the model itself used.
        q_factor: What the model multiplied q by before the product, where q itself is kept
            because a bias is made of it too.
    """

    q: Kept
    k: Kept
    steps: tuple[Step, ...]
    autocast: Autocast
    fused: bool
    q_factor: float = 1

    @property
    def kept(self) -> list[Kept]:
        """Every tensor that the program needs."""
        others = [kept for step in self.steps if step.operands for kept in step.kept]
        return [self.q, self.k, *others]

    @property
    def may_block(self) -> bool:
        """Whether any step could forbid a query a key."""
        return any(step.op in MASKING for step in self.steps)

    def weights(self, part: Part, *, masked: bool = True) -> Tensor:
        """Attention weights of the given rows and heads, (batch, heads, rows, keys).

        A row in which every key is blocked is NaN or whatever the model's own arithmetic makes
        of it; the caller decides what such a row means.
        """
        early = part if self._heads_stay_apart else Part(part.rows)
        with torch.no_grad(), self._precision():
            q, k = self._operands(early)
            x = torch.matmul(q, k.transpose(-1, -2))
            steps = self.steps
            if steps[0].op == "mul" and isinstance(steps[0].operands[0], (int, float)):
                x, steps = x.mul_(steps[0].operands[0]), steps[1:]  # nobody else has them
            for step in steps:
                x = apply(step, x, early, lift=not masked)
        return x if early is part else part.select_heads(x)

    def blocked(self, part: Part) -> Tensor:
        """Where a mask forbids the query the key, bool (batch, heads, rows, keys)."""
        early = part if self._heads_stay_apart else Part(part.rows)
        softmax = [step.op for step in self.steps].index("softmax")
        with torch.no_grad():
            q, k = self._operands(early)
            whole = product_shape(q.shape, k.shape)
            x = q.new_zeros(whole, dtype=torch.float32)
            for step in self.steps[:softmax]:
                if step.op in MOVING or (step.op in MASKING and not _is_shift(step)):
                    x = apply(step, x, early)
            blocked = (x <= BLOCKED).float()
            for step in self.steps[softmax:]:
                if step.op in MOVING:
                    blocked = apply(step, blocked, early)
        return (blocked if early is part else part.select_heads(blocked)).bool()

    @property
    def _heads_stay_apart(self) -> bool:
        """Whether the third last axis is the head axis of q, k and of the scores all along."""
        mixing = (*MOVING, "linear", "conv2d")
        several = len(self.q.shape) == 4 and max(self.q.shape[1], self.k.shape[-3]) > 1
        return several and all(step.op not in mixing for step in self.steps)

    def _precision(self) -> AbstractContextManager[Any]:
        state = self.autocast
        off = Autocast(state.device_type, state.dtype, enabled=False)
        return (off if self.fused else state).restore()

    def _operands(self, part: Part) -> tuple[Tensor, Tensor]:
        q, k = part.select_rows(self.q.get()), self.k.get()
        q = q if self.q_factor == 1 else q * self.q_factor
        if q.dim() >= 3 and q.shape[-3] > k.shape[-3] > 1:
            k = k.repeat_interleave(q.shape[-3] // k.shape[-3], dim=-3)  # grouped queries
        q, k = part.of_heads(q), part.of_heads(k)
        if not self.fused:
            return q, k
        if self.autocast.enabled and q.dtype == torch.float32:
            q, k = q.to(self.autocast.dtype), k.to(self.autocast.dtype)
        wide = torch.promote_types(q.dtype, torch.float32)
        return q.to(wide), k.to(wide)


MASKING = ("add", "sub", "masked_fill", "where", "causal", "within", "same", "flex")
MOVING = ("reshape", "permute")


def apply(step: Step, x: Tensor, part: Part, *, lift: bool = False) -> Tensor:
    """The running scores after one step; with `lift` its mask, if it is one, is left open."""
    if step.op == "reshape":
        shape = list(step.options["shape"])
        if part.rows is not None:
            shape[step.options["row_axis_out"]] = len(part.rows)
        return x.reshape(shape)
    if step.op == "flex":
        changed: Tensor = step.options["rule"](x, part, lift=lift)
        return changed
    operands: list[Any]
    if step.op in ("linear", "conv2d"):
        operands = [o.get() if isinstance(o, Kept) else o for o in step.operands]
    else:
        operands = [part.of(operand, step.row_axis) for operand in step.operands]
    if step.op == "causal":
        return x if lift else _causal(x, part.rows)
    if lift:
        if step.op == "within":
            return x
        if step.op in ("masked_fill", "where") and _is_blocking(operands[1]):
            return x
        if step.op in ("add", "sub") and not _is_shift(step):
            operands[0] = _opened(operands[0], sign=1 if step.op == "add" else -1)
    return _RUN[step.op](x, *operands, **step.options)


def product_shape(q: Sequence[int], k: Sequence[int]) -> tuple[int, ...]:
    """Shape of q·kᵀ for these shapes of q and k."""
    if q[:-2] == k[:-2]:
        return (*q[:-1], k[-2])
    leading = np.broadcast_shapes(tuple(q[:-2]), tuple(k[:-2]))  # twenty times faster than torch's
    return (*leading, q[-2], k[-2])


def _causal(x: Tensor, rows: Tensor | None) -> Tensor:
    """Query i sees keys 0..i (top-left aligned, as fused kernels do when lengths differ)."""
    queries = torch.arange(x.shape[-2], device=x.device) if rows is None else rows.to(x.device)
    keys = torch.arange(x.shape[-1], device=x.device)
    return x.masked_fill(keys > queries[:, None], -torch.inf)


def _within(
    x: Tensor, queries: Tensor, keys: Tensor, *, left: int | None, right: int | None
) -> Tensor:
    """A query at place p sees keys at p - left .. p + right; None leaves that side open.

    `queries` are places (queries, 1) and `keys` places (1, keys): a band of any width is kept in
    as many numbers as there are tokens.
    """
    ahead = keys - queries
    outside = torch.zeros_like(ahead, dtype=torch.bool)
    if left is not None:
        outside |= ahead < -left
    if right is not None:
        outside |= ahead > right
    return x.masked_fill(outside, -torch.inf)


def _same(x: Tensor, queries: Tensor, keys: Tensor) -> Tensor:
    """A query sees the keys of its own sequence, told by numbers (queries, 1) and (1, keys).

    Sequences that are packed into one call are different inputs, so this is never lifted.
    """
    return x.masked_fill(queries != keys, -torch.inf)


def _is_blocking(value: Any) -> bool:
    return bool((torch.as_tensor(value) <= BLOCKED).all())


def _is_shift(step: Step) -> bool:
    """Whether a step adds the same to every key: the softmax does not see it, so it is no mask.

    The row maximum that is subtracted for numerical stability is one. A shift so large that
    float32 keeps nothing of the scores is not: it leaves no key at all.
    """
    if step.op not in ("add", "sub"):
        return False
    operand = step.operands[0]
    if not isinstance(operand, (Kept, Recipe)):
        return True
    broadcast = len(operand.shape) < -step.key_axis or operand.shape[step.key_axis] == 1
    return broadcast and bool((operand.compact().abs() < 1e6).all())


def _opened(operand: Tensor, *, sign: int) -> Tensor:
    """An additive operand with its blocking entries set to zero."""
    return operand.masked_fill(operand * sign <= BLOCKED, 0)


def _add(x: Tensor, other: Any, *, alpha: float = 1, dtype: str | None = None) -> Tensor:
    """The sum; with `dtype` the other operand is rounded to it first."""
    return torch.add(x, other if dtype is None else _cast(other, dtype=dtype), alpha=alpha)


def _where(x: Tensor, condition: Tensor, other: Any, *, keep: bool) -> Tensor:
    """The running scores where `condition == keep`, else `other`."""
    return torch.where(condition if keep else ~condition, x, other)


def _cast(x: Tensor, *, dtype: str) -> Tensor:
    return x.to(getattr(torch, dtype))


def _softmax(x: Tensor, sinks: Tensor | None = None, *, dim: int, dtype: str | None) -> Tensor:
    """The softmax; a sink, one score a head, takes its share of each row and is left out of it.

    Source: Xiao et al. 2023, "Efficient streaming language models with attention sinks".
    """
    precision = None if dtype is None else getattr(torch, dtype)
    if sinks is None:
        return torch.softmax(x, dim, dtype=precision)
    extra = sinks.to(x.dtype).expand(*x.shape[:-1], 1)
    return torch.softmax(torch.cat([x, extra], dim), dim, dtype=precision)[..., :-1]


_RUN: dict[str, Callable[..., Tensor]] = {
    "add": _add,
    "sub": torch.sub,
    "rsub": lambda x, other: other - x,
    "mul": torch.mul,
    "div": torch.div,
    "rdiv": lambda x, other: other / x,
    "neg": torch.neg,
    "tanh": torch.tanh,
    "clamp": torch.clamp,
    "masked_fill": torch.masked_fill,
    "within": _within,
    "same": _same,
    "where": _where,
    "softmax": _softmax,
    "to": _cast,
    "permute": lambda x, dims: x.permute(dims),
    "linear": F.linear,
    "conv2d": F.conv2d,
}

"""`flex_attention`: a product of q and k whose scores a Python function changes.

The program calls the function again, on the indices that are asked for, so any score function and
any block mask is as exact as the kernel itself, and no N x N mask is kept.

Source: torch 2.13, `torch/nn/attention/flex_attention.py`, `_higher_order_ops/flex_attention.py`.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import CellType, FunctionType
from typing import Any

import torch
from torch import Tensor
from torch._dynamo._trace_wrapped_higher_order_op import TransformGetItemToIndex
from torch._higher_order_ops.flex_attention import flex_attention

from regard.intercept.keeper import Keeper
from regard.intercept.recorder import Recorder
from regard.kept import Kept
from regard.scores import BLOCKED, Autocast, Part, Scores, Step

Modifier = Callable[..., Tensor]


class FlexAttention:
    """Records calls of the operator that `flex_attention` becomes."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def functions(self) -> dict[Any, Callable[..., Any]]:
        """The operator."""
        return {flex_attention: self.call}

    def call(self, func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Run the operator and record it."""
        recorder = self._recorder
        record = (
            recorder.guard(partial(self._understand, *args, **kwargs)) if recorder.wants() else None
        )
        out = func(*args, **kwargs)
        if record is not None:
            recorder.guard(record, out[0])
        return out

    def _understand(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        score_mod: Modifier,
        block_mask: tuple[Any, ...],
        scale: float,
        _options: Any = None,
        score_buffers: tuple[Any, ...] = (),
        mask_buffers: tuple[Any, ...] = (),
    ) -> Callable[[Tensor], None]:
        keeper = self._recorder.keeper
        rule = FlexRule(
            Captured(score_mod, score_buffers, keeper),
            Captured(block_mask[-1], mask_buffers, keeper),
        )
        steps = (
            Step("mul", -2, (scale,)),
            Step("flex", -2, tuple(rule.kept), {"rule": rule}),
            Step("softmax", -2, (), {"dim": -1, "dtype": None}),
        )
        now = Autocast.now(query.device)
        scores = Scores(keeper.keep(query), keeper.keep(key), steps, now, fused=True)
        return partial(self._record, scores, value)

    def _record(self, scores: Scores, value: Tensor, out: Tensor) -> None:
        batch, heads, queries, _ = scores.q.shape
        value = value.expand(batch, *value.shape[1:])
        shape = (batch, heads, queries, scores.k.shape[-2])
        self._recorder.add(
            shape=shape,
            scores=scores,
            weights=None,
            sample=self._recorder.sample(value, out),
            backward=self._recorder.watch(value, out, lambda result: result, dropout=False),
        )


class Captured:
    """A function with the tensors that it had captured, as they were when it was recorded."""

    def __init__(self, function: Modifier, buffers: tuple[Any, ...], keeper: Keeper) -> None:
        self.kept: list[Kept] = []
        self._buffers = [self._hold(value, keeper) for value in buffers]
        self._function = self._hold(function, keeper)

    def __call__(self, *arguments: Any) -> Tensor:
        """The function's result, on the recorded tensors."""
        function = _restored(self._function)
        result: Tensor = function(*arguments, *(_restored(value) for value in self._buffers))
        return result

    def _hold(self, value: Any, keeper: Keeper) -> Any:
        if isinstance(value, Tensor):
            self.kept.append(keeper.keep(value))
            return self.kept[-1]
        if isinstance(value, FunctionType) and value.__closure__:
            cells = [self._hold(cell.cell_contents, keeper) for cell in value.__closure__]
            return _Closure(value, cells)
        return value


class _Closure:
    """A function and what its cells held."""

    def __init__(self, function: FunctionType, cells: list[Any]) -> None:
        self.function, self.cells = function, cells

    def restored(self) -> FunctionType:
        """The function, over cells of its own."""
        old = self.function
        cells = tuple(CellType(_restored(value)) for value in self.cells)
        new = FunctionType(old.__code__, old.__globals__, old.__name__, old.__defaults__, cells)
        new.__kwdefaults__ = old.__kwdefaults__
        return new


def _restored(value: Any) -> Any:
    if isinstance(value, Kept):
        return value.get()
    return value.restored() if isinstance(value, _Closure) else value


class FlexRule:
    """What a call does to its scores: a function of them and their place, and a mask."""

    def __init__(self, score: Captured, mask: Captured) -> None:
        self._score, self._mask = score, mask

    @property
    def kept(self) -> list[Kept]:
        """The tensors that the functions had captured."""
        return [*self._score.kept, *self._mask.kept]

    def __call__(self, x: Tensor, part: Part, *, lift: bool) -> Tensor:
        """The changed scores (batch, heads, rows, keys), -inf where the mask forbids.

        With `lift` nothing is forbidden: neither by the mask, nor by a score function that
        answers with so low a number; the plain score stands there instead.
        """
        batch, _, rows, keys = x.shape
        here = partial(torch.arange, device=x.device)
        heads = here(x.shape[1]) if part.heads is None else part.heads.to(x.device)
        queries = here(rows) if part.rows is None else part.rows.to(x.device)
        places = (here(batch), heads, queries, here(keys))
        with TransformGetItemToIndex():
            changed = _over_scores(self._score)(x, *places)
            if lift:
                return torch.where(changed <= BLOCKED, x, changed)
            allowed = _over_places(self._mask)(*places)
        return torch.where(allowed, changed, -torch.inf)


def _over_scores(function: Modifier) -> Modifier:
    """The function of one score and its four indices, for all of them."""
    for axis in (3, 2, 1, 0):  # the innermost first
        indices = [None] * 4
        indices[axis] = 0  # type: ignore[call-overload]
        function = torch.vmap(function, in_dims=(0, *indices))
    return function


def _over_places(function: Modifier) -> Modifier:
    """The function of four indices, for all of them."""
    for axis in (3, 2, 1, 0):
        indices = [None] * 4
        indices[axis] = 0  # type: ignore[call-overload]
        function = torch.vmap(function, in_dims=tuple(indices))
    return function

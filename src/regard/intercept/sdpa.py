"""Fused attention: calls of `scaled_dot_product_attention`."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import torch
from torch import Tensor

from regard.intercept.heads import Arrangement, inner_axes
from regard.intercept.recorder import Recorder
from regard.intercept.steps import DROPOUT
from regard.scores import Autocast, Scores, Step, product_shape

_SOFTMAX = Step("softmax", -2, (), {"dim": -1, "dtype": None})


class FusedAttention:
    """Records q, k and the mask, and lets the model take its fast path untouched."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def functions(self) -> dict[Any, Callable[..., Any]]:
        """The names under which fused attention is called."""
        own = (
            torch._C._nn.scaled_dot_product_attention
        )  # what torch.nn.functional has may be covered
        aten = torch.ops.aten.scaled_dot_product_attention
        return dict.fromkeys((own, aten, aten.default), self.call)

    def call(
        self, func: Callable[..., Tensor], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Tensor:
        """Run the model's own call and record it."""
        recorder = self._recorder
        # before anything is written
        call = recorder.guard(self._understood, args, kwargs) if recorder.wants() else None
        out = func(*args, **kwargs)
        if call is not None:
            recorder.guard(self._record, call, out)
        return out

    def _understood(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> "_Call | None":
        given = _Arguments(*args, **kwargs)
        stack = self._recorder.stack
        if given.query.is_nested:
            self._recorder.miss("nested (jagged) tensors have no common number of queries and keys")
            return None
        frame, heads = stack.top, stack.head_count()
        if frame.heads and frame.queries == 1 and given.query.dim() == 4:
            given.unpack(frame.heads)
        q, k = given.query, given.key
        leading = q.shape[:-2] if given.grouped else product_shape(q.shape, k.shape)[:-2]
        inner = _inner_axes(q, len(leading)) if leading.count(heads) > 1 else ()
        arranged = Arrangement.of(leading, heads, inner)
        steps = self._steps(given)
        steps += arranged.steps(-2, -1, (*leading, q.shape[-2], k.shape[-2]))
        keep, now = self._recorder.keeper.keep, Autocast.now(q.device)
        return _Call(given, arranged, Scores(keep(q), keep(k), tuple(steps), now, fused=True))

    def _steps(self, given: "_Arguments") -> list[Step]:
        """From q·kᵀ to the weights, heads as the model has them."""
        steps = [_scaled(given.scale)]
        if given.mask is not None and given.mask.dtype == torch.bool:
            mask = self._recorder.keeper.keep(given.mask)
            steps.append(Step("where", -2, (mask, -torch.inf), {"keep": True}))
        elif given.mask is not None:
            bias = self._recorder.recipes.keep(given.mask)
            steps.append(Step("add", -2, (bias,), _lowered(given.mask)))
        if given.is_causal:
            steps.append(Step("causal", -2))
        steps.append(_SOFTMAX)
        return steps

    def _record(self, call: "_Call", out: Tensor) -> None:
        given, arranged, recorder = call.given, call.arranged, self._recorder
        q, k = given.query, given.key
        has_dropout = bool(given.dropout_p)
        sample = backward = None
        if recorder.needs_values():
            values = given.value if given.packed else _values(given.value, out, arranged)
            arrange = partial(_unpacked, given, arranged)
            sample = None if has_dropout else recorder.sample(values, arrange(out))
            backward = recorder.watch(values, out, arrange, dropout=has_dropout)
        recorder.add(
            shape=(arranged.batch, arranged.heads, q.shape[-2], k.shape[-2]),
            scores=call.scores,
            weights=None,
            sample=sample,
            notes=(DROPOUT,) if has_dropout else (),
            backward=backward,
        )


def _unpacked(given: "_Arguments", arranged: Arrangement, out: Tensor) -> Tensor:
    """The output, or its gradient, as (batch, heads, queries, d)."""
    return arranged.apply(out.reshape(*given.query.shape[:-1], -1) if given.packed else out)


@lru_cache(256)
def _scaled(scale: float) -> Step:
    return Step("mul", -2, (scale,))


def _lowered(bias: Tensor) -> dict[str, str]:
    """How autocast rounds a bias on its way into the kernel; it is kept whole, and shared."""
    now = Autocast.now(bias.device)
    if not now.enabled or bias.dtype == torch.float64:
        return {}
    return {"dtype": str(now.dtype).removeprefix("torch.")}


def _inner_axes(q: Tensor, leading: int) -> tuple[int, ...]:
    broadcast = [0] * (leading + 2 - q.dim())
    return inner_axes([*broadcast, *q.stride()[:-2]], q.stride(-2))


def _values(v: Tensor, out: Tensor, arranged: Arrangement) -> Tensor:
    """The values, (batch, heads or key-value heads, keys, d)."""
    if v.shape[:-2] == out.shape[:-2]:
        return arranged.apply(v)
    if v.dim() == 4 and v.shape[0] == out.shape[0]:  # they may have fewer heads than the output
        return v
    return arranged.apply(v.expand(*out.shape[:-2], *v.shape[-2:]))


class _Arguments:
    """The arguments of `scaled_dot_product_attention`, by name."""

    def __init__(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_mask: Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        scale: float | None = None,
        enable_gqa: bool = False,
    ) -> None:
        self.query, self.key, self.value = query, key, value
        self.mask = attn_mask
        self.dropout_p = dropout_p
        self.is_causal = is_causal
        self.scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
        self.grouped = enable_gqa
        self.packed = False

    def unpack(self, heads: int) -> None:
        """Give a single query its head axis back, if its heads were laid along the query axis.

        The heads that share a key head become "queries" of that head, (batch, heads, 1, d) as
        (batch, key heads, group, d), so that keys need not be repeated.
        """
        batch, key_heads, group, _ = self.query.shape
        if key_heads == heads or key_heads * group != heads:
            return
        self.query = self.query.reshape(batch, heads, 1, -1)
        if self.mask is not None and self.mask.dim() == 4 and self.mask.shape[1] > 1:
            self.mask = self.mask.reshape(self.mask.shape[0], heads, 1, -1)
        self.grouped = self.packed = True


@dataclass(slots=True)
class _Call:
    """A call that is understood, before it runs."""

    given: _Arguments
    arranged: Arrangement
    scores: Scores

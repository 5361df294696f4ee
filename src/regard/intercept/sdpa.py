"""Fused attention: calls of `scaled_dot_product_attention`."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from regard.intercept.heads import Arrangement
from regard.intercept.recorder import Recorder
from regard.intercept.steps import DROPOUT
from regard.sample import OutputSample
from regard.scores import Autocast, Scores, Step, product_shape


class FusedAttention:
    """Records q, k and the mask, and lets the model take its fast path untouched."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def functions(self) -> dict[Any, Callable[..., Any]]:
        """The names under which fused attention is called."""
        aten = torch.ops.aten.scaled_dot_product_attention
        return dict.fromkeys((F.scaled_dot_product_attention, aten, aten.default), self.call)

    def call(
        self, func: Callable[..., Tensor], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Tensor:
        """Run the model's own call and record it."""
        recorder = self._recorder
        given = recorder.guard(partial(self._given, *args, **kwargs)) if recorder.wants() else None
        scores = given and recorder.guard(self._scores, given)  # before anything is written
        out = func(*args, **kwargs)
        if given and scores:
            recorder.guard(self._record, given, scores, out)
        return out

    def _given(self, *args: Any, **kwargs: Any) -> "_Arguments":
        given = _Arguments(*args, **kwargs)
        frame = self._recorder.stack.top
        if frame.heads and frame.queries == 1 and given.query.dim() == 4:
            given.unpack(frame.heads)
        return given

    def _scores(self, given: "_Arguments") -> Scores | None:
        if given.query.is_nested:
            self._recorder.miss("nested (jagged) tensors have no common number of queries and keys")
            return None
        keep = self._recorder.keeper.keep
        steps = [Step("mul", -2, (given.scale,))]
        if given.mask is not None and given.mask.dtype == torch.bool:
            steps.append(Step("where", -2, (keep(given.mask), -torch.inf), {"keep": True}))
        elif given.mask is not None:
            bias = self._recorder.recipes.keep(given.mask)
            steps.append(Step("add", -2, (bias,), _lowered(given.mask)))
        if given.is_causal:
            steps.append(Step("causal", -2))
        steps.append(Step("softmax", -2, (), {"dim": -1, "dtype": None}))
        now = Autocast.now(given.query.device.type)
        return Scores(keep(given.query), keep(given.key), tuple(steps), now, fused=True)

    def _record(self, given: "_Arguments", scores: Scores, out: Tensor) -> None:
        q, k, v = given.query, given.key, given.value
        leading = q.shape[:-2] if given.grouped else product_shape(q.shape, k.shape)[:-2]
        whole = (*leading, q.shape[-2], k.shape[-2])
        arranged = Arrangement.of(leading, self._recorder.stack.head_count())
        steps = (*scores.steps, *arranged.steps(-2, -1, whole))
        scores = Scores(scores.q, scores.k, steps, scores.autocast, fused=True)
        shape = (arranged.batch, arranged.heads, q.shape[-2], k.shape[-2])
        notes = (DROPOUT,) if given.dropout_p else ()

        def arrange(result: Tensor) -> Tensor:
            unpacked = result.reshape(*q.shape[:-1], -1) if given.packed else result
            return arranged.apply(unpacked)

        values = v if given.packed else _values(v, out, arranged)
        self._recorder.add(
            shape=shape,
            scores=scores,
            weights=None,
            sample=None if notes else OutputSample.of(values, arrange(out)),
            notes=notes,
            backward=self._recorder.watch(values, out, arrange, dropout=bool(notes)),
        )


def _lowered(bias: Tensor) -> dict[str, str]:
    """How autocast rounds a bias on its way into the kernel; it is kept whole, and shared."""
    now = Autocast.now(bias.device.type)
    if not now.enabled or bias.dtype == torch.float64:
        return {}
    return {"dtype": str(now.dtype).removeprefix("torch.")}


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

"""Attention kernels that the mode cannot open: flash, paged, hub kernels.

Libraries send every call through one place of theirs, with q, k and v, the mask, and how it is to
be read. While a recording is open that place is watched. If the mode saw attention inside, as in
fused or written-out kernels, that is the record; if it saw nothing, one is made from the
arguments. No kernel is ever exchanged for another.
"""

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from regard.intercept.recorder import Recorder
from regard.intercept.stack import must_not_record
from regard.intercept.steps import DROPOUT
from regard.scores import Autocast, Scores, Step

Kernel = Callable[..., Any]
Inside = Callable[[], AbstractContextManager[Any]]


@dataclass
class KernelCall:
    """What a kernel was asked for.

    Attributes:
        query: (batch, heads, queries, d).
        key: (batch, key heads, keys, d).
        value: (batch, key heads, keys, d of values).
        mask: bool (True may attend) or additive (batch or 1, heads or 1, queries, keys); or
            (batch, keys), nonzero where a token is no padding. None for none.
        is_causal: No key after the query; the last query stands at the last key.
        left, right: How many keys before and after its own place a query sees; None for all.
        scale: What q·k is multiplied with; None for 1/sqrt(d).
        softcap: Scores are bent to stay within ±softcap; None for not.
        sinks: One score a head that takes part in the softmax and has no value, (heads,).
        bias: Added to the scores, broadcast to (batch, heads, queries, keys).
        bounds: Where packed sequences begin and end on the query and on the key axis.
        dropout: Probability with which the kernel drops weights.
    """

    query: Tensor
    key: Tensor
    value: Tensor
    mask: Tensor | None = None
    is_causal: bool = False
    left: int | None = None
    right: int | None = None
    scale: float | None = None
    softcap: float | None = None
    sinks: Tensor | None = None
    bias: Tensor | None = None
    bounds: tuple[Tensor, Tensor] | None = None
    dropout: float = 0.0

    def scores(self, keep: Callable[[Tensor], Any]) -> Scores:
        """The program for its weights."""
        scale = 1 / math.sqrt(self.query.shape[-1]) if self.scale is None else self.scale
        steps = [Step("mul", -2, (scale,))]
        if self.softcap is not None:
            steps += [Step("div", -2, (self.softcap,)), Step("tanh", -2)]
            steps += [Step("mul", -2, (self.softcap,))]
        if self.bias is not None:
            steps.append(Step("add", -2, (keep(self.bias),)))
        steps += self._masks(keep)
        sinks = () if self.sinks is None else (keep(self.sinks.reshape(-1, 1, 1)),)
        steps.append(Step("softmax", -2, sinks, {"dim": -1, "dtype": None}))
        now = Autocast.now(self.query.device)
        return Scores(keep(self.query), keep(self.key), tuple(steps), now, fused=True)

    def _masks(self, keep: Callable[[Tensor], Any]) -> list[Step]:
        steps = []
        if self.bounds is not None:
            owners = [_owners(b, t.shape[2]) for b, t in zip(self.bounds, self._sides, strict=True)]
            steps.append(Step("same", -2, (keep(owners[0][:, None]), keep(owners[1][None]))))
        for mask in self._spread_mask():
            if mask.dtype == torch.bool:
                steps.append(Step("where", -2, (keep(mask), -torch.inf), {"keep": True}))
            else:
                steps.append(Step("add", -2, (keep(mask),)))
        right = 0 if self.is_causal else self.right
        if self.left is not None or right is not None:
            queries, keys = self._places()
            reach = {"left": self.left, "right": right}
            steps.append(Step("within", -2, (keep(queries[:, None]), keep(keys[None])), reach))
        return steps

    @property
    def _sides(self) -> tuple[Tensor, Tensor]:
        return self.query, self.key

    def _spread_mask(self) -> list[Tensor]:
        """The mask against scores; padding blocks as a key, and as a query gets no output."""
        if self.mask is None or self.mask.dim() != 2 or self.bounds is not None:
            return [] if self.mask is None else [self.mask]
        real, queries = self.mask != 0, self.query.shape[2]
        masks = [real[:, None, None, :]]
        return masks if queries == 1 else [*masks, real[:, None, -queries:, None]]

    def _places(self) -> tuple[Tensor, Tensor]:
        """Place of each query and key in its sequence; sequences end together."""
        device = self.query.device
        queries, keys = (torch.arange(side.shape[2], device=device) for side in self._sides)
        if self.bounds is None:
            return queries + (len(keys) - len(queries)), keys
        ends = [
            bound[1:][_owners(bound, t.shape[2])]
            for bound, t in zip(self.bounds, self._sides, strict=True)
        ]
        return queries - ends[0], keys - ends[1]


def _owners(bounds: Tensor, count: int) -> Tensor:
    """Number of the packed sequence that each token belongs to."""
    places = torch.arange(count, device=bounds.device)
    return torch.bucketize(places, bounds[1:].long(), right=True).clamp(max=len(bounds) - 2)


def heads_first(result: Tensor) -> Tensor:
    """(batch, queries, heads, d) as (batch, heads, queries, d)."""
    return result.transpose(1, 2)


class Doorway:
    """A place of another library through which its kernels are called, watched in one thread.

    Args:
        recorder: The open recording.
        sizes: Numbers of heads and queries of a call, told from its arguments; None for a call
            that cannot be followed. Asked at every call, so it should be quick.
        understand: The library's arguments as a `KernelCall`.
        inside: Makes a context that is entered around each kernel.
    """

    def __init__(
        self,
        recorder: Recorder,
        sizes: Callable[..., tuple[int, int] | None],
        understand: Callable[..., KernelCall],
        inside: Inside,
    ) -> None:
        self._recorder = recorder
        self._sizes = sizes
        self._understand = understand
        self._inside = inside

    def call(self, kernel: Kernel, *args: Any, **kwargs: Any) -> Any:
        """Run the kernel; record it if nothing inside it was seen."""
        recorder = self._recorder
        if torch.compiler.is_compiling() or must_not_record():
            return kernel(*args, **kwargs)
        sizes = recorder.guard(partial(self._sizes, *args, **kwargs))
        if sizes is None:
            return kernel(*args, **kwargs)
        frame, seen = recorder.stack.top, recorder.seen
        before = frame.heads, frame.queries
        frame.heads, frame.queries = sizes
        try:
            with self._inside():
                out = kernel(*args, **kwargs)
        finally:
            frame.heads, frame.queries = before
        if recorder.seen == seen and recorder.wants():
            recorder.guard(lambda: self._record(self._understand(*args, **kwargs), out))
        return out

    def _record(self, asked: KernelCall, out: Any) -> None:
        notes = (DROPOUT,) if asked.dropout else ()
        result: Tensor = out[0] if isinstance(out, tuple) else out  # tokens before heads
        shape = (*asked.query.shape[:3], asked.key.shape[2])
        self._recorder.add(
            shape=shape,
            scores=asked.scores(self._recorder.keeper.keep),
            weights=None,
            sample=None if notes else self._recorder.sample(asked.value, heads_first(result)),
            notes=notes,
            backward=self._recorder.watch(asked.value, result, heads_first, dropout=bool(notes)),
        )

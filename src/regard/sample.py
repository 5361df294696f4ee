"""A small sample of what attention was for: some values, and what the model made of them.

With it, weights computed later can be checked against what the model really did: W · values must
equal the outputs, here in a few heads, rows and channels of each call.
"""

import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from regard.kept import Kept

if TYPE_CHECKING:
    from regard.attention import Attention

HEADS, ROWS, CHANNELS = 4, 16, 2
"""How many of each are sampled at most: wrong weights show in any of them."""

_most = ContextVar("most", default=(HEADS, ROWS, CHANNELS))


@contextmanager
def everything_is_sampled() -> Iterator[None]:
    """A context in which samples hold all heads, rows and channels, to check small models by."""
    token = _most.set((sys.maxsize,) * 3)
    try:
        yield
    finally:
        _most.reset(token)


@dataclass(frozen=True, slots=True)
class OutputSample:
    """Sampled values and outputs of one call.

    Attributes:
        heads: Which heads.
        rows: Which queries.
        values: (batch, heads, keys, channels).
        outputs: (batch, heads, rows, channels), what the model's own product gave.
    """

    heads: tuple[int, ...]
    rows: tuple[int, ...]
    values: Kept
    outputs: Kept

    @classmethod
    def of(cls, values: Tensor, outputs: Tensor) -> "OutputSample":
        """Sample of (batch, heads or key-value heads, keys, d) and (batch, heads, queries, d)."""
        count, queries, width = outputs.shape[1:]
        sizes = (count, queries, width)
        heads, rows, channels = (
            spread(n, most) for n, most in zip(sizes, _most.get(), strict=True)
        )
        chosen = tuple(range(count)[heads])
        group = max(1, count // values.shape[1])  # queries may share key-value heads
        held: Any = heads if group == 1 else [head // group for head in chosen]
        with torch.no_grad():
            v = values[:, held, :, channels].clone()
            o = outputs[:, heads, rows, channels].clone()
        return cls(chosen, tuple(range(queries)[rows]), Kept(v), Kept(o))

    @property
    def kept(self) -> list[Kept]:
        """Both tensors."""
        return [self.values, self.outputs]

    def error(self, call: "Attention") -> float:
        """Largest |W·V − output| in the sample; fully masked rows do not count."""
        values, outputs = self.values.get().double(), self.outputs.get().double()
        weights = call.weights(self.rows, self.heads)
        counted = ~call.fully_masked(self.rows, self.heads)
        found = (weights.double() @ values - outputs).abs().amax(-1)[counted]
        return float(found.max()) if found.numel() else 0.0


@cache
def spread(count: int, most: int) -> slice:
    """At most so many of an axis, evenly spread and with its last one: a slice copies fast."""
    step = max(1, math.ceil((count - 1) / max(1, most - 1)))
    return slice((count - 1) % step, None, step)

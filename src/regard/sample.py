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
from functools import cache, lru_cache
from typing import TYPE_CHECKING

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
        _, count, queries, width = outputs.shape
        most_heads, most_rows, most_channels = _most.get()
        heads, rows = spread(count, most_heads), spread(queries, most_rows)
        channels = range(max(0, width - most_channels), width)  # side by side: they are read fast
        if (values.shape[1], values.shape[3]) == (count, width):
            v = cut(values, heads, None, channels)
        else:  # queries share key-value heads
            group = max(1, count // values.shape[1])
            v = values[:, [head // group for head in heads], :, channels.start :]
        o = cut(outputs, heads, rows, channels)
        return cls(tuple(heads), tuple(rows), Kept(v.clone()), Kept(o.clone()))

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
def spread(count: int, most: int) -> range:
    """At most so many indices of an axis, evenly spread and with its last one."""
    step = max(1, math.ceil((count - 1) / max(1, most - 1)))
    return range((count - 1) % step, count, step)


def cut(tensor: Tensor, heads: range, rows: range | None, channels: range) -> Tensor:
    """View of some heads, rows (None for all) and channels: one call, where slices take three."""
    place = _place(tensor.shape, tensor.stride(), heads, rows, channels)
    return tensor.as_strided(place[0], place[1], tensor.storage_offset() + place[2])


@lru_cache(4096)
def _place(
    shape: tuple[int, ...], stride: tuple[int, ...], *taken: range | None
) -> tuple[tuple[int, ...], tuple[int, ...], int]:
    """Shape, strides and offset of some indices of the axes after the batch, None for all."""
    sizes, steps, offset = list(shape), list(stride), 0
    for axis, indices in enumerate(taken, 1):
        if indices is not None:
            sizes[axis] = len(indices)
            offset += indices.start * steps[axis]
            steps[axis] *= indices.step
    return tuple(sizes), tuple(steps), offset

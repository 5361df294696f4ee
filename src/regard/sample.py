"""A small sample of what attention was for: some values, and what the model made of them.

With it, weights computed later can be checked against what the model really did: W · values must
equal the outputs, here in a few heads, rows and channels of each call.
"""

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from regard.kept import Kept

if TYPE_CHECKING:
    from regard.attention import Attention

HEADS, ROWS, CHANNELS = 4, 16, 2
"""How many of each are sampled at most: wrong weights show in any of them."""


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
        heads = spread(outputs.shape[1], HEADS)
        rows = spread(outputs.shape[2], ROWS)
        channels = spread(outputs.shape[3], CHANNELS)
        group = max(1, outputs.shape[1] // values.shape[1])  # queries may share key-value heads
        held = [head // group for head in heads]
        with torch.no_grad():
            v = values[:, held][..., channels]
            o = outputs[:, heads][:, :, rows][..., channels]
        return cls(tuple(heads), tuple(rows), Kept(v), Kept(o))

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
def spread(count: int, most: int) -> list[int]:
    """At most so many indices of an axis, evenly spread, its ends included."""
    chosen = min(count, most)
    return [round(i * (count - 1) / max(1, chosen - 1)) for i in range(chosen)]

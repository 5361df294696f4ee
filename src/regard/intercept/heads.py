"""From the shape that a model's attention has to (batch, heads, queries, keys)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from torch import Tensor

from regard.scores import Step


@dataclass(frozen=True, slots=True)
class Arrangement:
    """How (leading axes..., n, m) becomes (batch, heads, n, m).

    Attributes:
        order: Order of the leading axes, heads last.
        batch: Product of the others.
        heads: Number of heads.
    """

    order: tuple[int, ...]
    batch: int
    heads: int

    @classmethod
    @lru_cache(4096)
    def of(
        cls, leading: tuple[int, ...], heads: int | None, inner: tuple[int, ...] = ()
    ) -> "Arrangement":
        """The arrangement for these leading axes and the head count that the module declares.

        One axis is batch·heads, batch outermost, if the head count divides it. Of several, the
        head axis is the one with that count; the rest is batch (windows are batch). If several
        have it, it is the first of those that are `inner_axes`, or else the second.
        """
        if not leading:
            return cls((), 1, 1)
        if len(leading) == 1:
            count = heads if heads and leading[0] % heads == 0 else 1
            return cls((0,), leading[0] // count, count)
        places = [*inner, 1, *(i for i in range(len(leading)) if i != 1)]
        at = next((i for i in places if leading[i] == heads), 1)
        order = (*(i for i in range(len(leading)) if i != at), at)
        return cls(order, math.prod(leading) // leading[at], leading[at])

    def _changes_nothing(self, shape: Sequence[int]) -> bool:
        return self.order == (0, 1) and tuple(shape[:-2]) == (self.batch, self.heads)

    def apply(self, tensor: Tensor) -> Tensor:
        """(leading axes..., n, c) as (batch, heads, n, c); length-1 leading axes stay broadcast."""
        if self._changes_nothing(tensor.shape):
            return tensor
        n, c = tensor.shape[-2:]
        if not self.order:
            return tensor.reshape(1, 1, n, c)
        tensor = tensor.permute(*self.order, tensor.dim() - 2, tensor.dim() - 1)
        return tensor.reshape(self.batch, self.heads, n, c)

    def steps(self, query_axis: int, key_axis: int, shape: Sequence[int]) -> list[Step]:
        """The same as steps of a program whose result has this shape and these token axes."""
        n = len(shape)
        if self._changes_nothing(shape) and (query_axis, key_axis) == (-2, -1):
            return []
        leading = [i for i in range(n) if i not in (query_axis % n, key_axis % n)]
        order = [leading[i] for i in self.order] + [query_axis % n, key_axis % n]
        steps = []
        if order != list(range(n)):
            steps.append(Step("permute", query_axis, (), {"dims": order}))
        whole = [self.batch, self.heads, shape[query_axis], shape[key_axis]]
        if [shape[i] for i in order] != whole:
            steps.append(Step("reshape", -2, (), {"shape": whole, "row_axis_out": -2}))
        return steps


def inner_axes(strides: Sequence[int], token_stride: int) -> tuple[int, ...]:
    """Axes that lie inside of a token's memory, innermost first: heads do, cut out of channels.

    Batch and windows lie around tokens. Of a contiguous copy, all axes do.
    """
    inside = [axis for axis, stride in enumerate(strides) if 0 < stride < token_stride]
    return tuple(sorted(inside, key=lambda axis: strides[axis]))

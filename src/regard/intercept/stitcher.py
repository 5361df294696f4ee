"""Which calls of a layer are pieces of one attention.

The pieces of a cut tensor lie in one memory, each beginning where the one before ends, with the
same strides: that is how they are known. Three cuts occur, told by what was cut:

- queries and keys, along tokens: packed images or windows (Qwen2-VL, GLM-4V);
- queries alone, along tokens: blocks of queries that share their keys;
- queries and keys, along batch and heads: sliced attention (diffusers).
"""

import math
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from regard.attention import Attention
from regard.kept import Kept
from regard.stitched import Place, StitchedAttention

Cut = Literal["sequences", "queries", "lanes"]
Shape = tuple[int, ...]


class Extent(NamedTuple):
    """Where a tensor lies in memory.

    Attributes:
        memory: What memory and type it is.
        offset: Of its first number, in numbers.
        shape: Its shape.
        stride: Its strides.
    """

    memory: tuple[object, ...]
    offset: int
    shape: Shape
    stride: Shape

    @classmethod
    def of(cls, kept: Kept) -> "Extent":
        """The extent of a kept tensor, before it is moved anywhere."""
        return cls(*kept.extent)

    def axes_after(self, before: "Extent") -> list[int]:
        """Axes (from the end) along which this tensor begins where the other ends."""
        if (self.memory, self.stride) != (before.memory, before.stride):
            return []
        n = len(self.shape)
        if len(before.shape) != n:
            return []
        moved = self.offset - before.offset
        differing = [i for i in range(n) if self.shape[i] != before.shape[i]]
        return [
            i - n
            for i in range(n)
            if set(differing) <= {i} and moved == before.shape[i] * self.stride[i] > 0
        ]


@dataclass(eq=False)
class Group:
    """Calls of one layer, made one after the other, that are pieces of one attention so far.

    Attributes:
        heads: Number of heads that the layer declares.
        calls: The pieces.
        cut: How they were cut; None while there is only one.
    """

    q: Extent
    k: Extent
    heads: int | None
    calls: list[Attention] = field(default_factory=list)
    cut: Cut | None = None

    def takes(self, call: Attention, q: Extent, k: Extent) -> bool:
        """Whether the call is the next piece; if so, it now belongs to the group."""
        cut = self._cut(call, q, k)
        if cut is None or self.cut not in (None, cut):
            return False
        self.q, self.k, self.cut = q, k, cut
        self.calls.append(call)
        return True

    def _cut(self, call: Attention, q: Extent, k: Extent) -> Cut | None:
        """How the call's tensors follow on those of the last piece."""
        last = self.calls[-1]
        q_axes, k_axes = q.axes_after(self.q), k.axes_after(self.k)
        leading = [axis for axis in q_axes if axis < -2 and math.prod(q.shape[:axis]) == 1]
        if leading and set(leading) & set(k_axes):
            plain = len(q.shape) == 3 or call.shape[:2] == q.shape[:2]
            return "lanes" if plain and call.shape[2:] == last.shape[2:] else None
        if -2 not in q_axes or call.shape[:2] != last.shape[:2]:
            return None
        if -2 in k_axes:
            return "sequences"
        return "queries" if k == self.k else None

    def stitched(self) -> Attention:
        """The one call that the pieces are; a single one is itself."""
        first = self.calls[0]
        if self.cut is None:
            return first
        return StitchedAttention(
            shape=self._shape(),
            pieces=tuple(self.calls),
            places=tuple(self._places()),
            layer=first.layer,
            axes=first.axes,
            notes=tuple(dict.fromkeys(note for call in self.calls for note in call.notes)),
        )

    def _shape(self) -> tuple[int, int, int, int]:
        batch, heads, queries, keys = self.calls[0].shape
        if self.cut == "lanes":
            lanes = sum(call.shape[0] * call.shape[1] for call in self.calls)
            return (*self._lanes_as_heads(lanes), queries, keys)
        queries = sum(call.shape[2] for call in self.calls)
        if self.cut == "sequences":
            keys = sum(call.shape[3] for call in self.calls)
        return batch, heads, queries, keys

    def _lanes_as_heads(self, lanes: int) -> tuple[int, int]:
        first = self.calls[0]
        if len(self.q.shape) == 4 and first.shape[0] > 1:
            return lanes // first.shape[1], first.shape[1]
        heads = self.heads if self.heads and lanes % self.heads == 0 else first.shape[1]
        return lanes // heads, heads

    def _places(self) -> list[Place]:
        places, lane, query, key = [], 0, 0, 0
        lanes = self.calls[0].shape[0] * self.calls[0].shape[1]
        for call in self.calls:
            batch, heads, queries, keys = call.shape
            if self.cut == "lanes":
                lanes = batch * heads
            places.append(Place((lane, lane + lanes), (query, query + queries), (key, key + keys)))
            if self.cut == "lanes":
                lane += lanes
            else:
                query += queries
                key += keys if self.cut == "sequences" else 0
        return places

"""A large tensor kept as its making: small tensors, and the calls that made it of them.

Relative position biases have N² entries and are made of few numbers: two tables and q, added along
the rows and the columns of a grid (SAM, ViTDet), or one table that an index spreads (BEiT, Swin).
A recipe keeps the few. It gives the whole tensor back as the model made it, and some of its rows
without the rest: the choice of rows is followed from the result back to the inputs.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Union

import torch
from torch import Tensor

from regard.autocast import Autocast
from regard.kept import Kept

RecipeOp = Literal[
    "add", "sub", "mul", "div", "sigmoid", "to", "expand", "reshape", "permute", "gather", "einsum"
]
Ingredient = Union[Kept, "Recipe", float, int]
Where = Sequence[Tensor | None]
"""What is wanted of each axis: None for all of it, or an index for each wanted row.

Several axes may carry an index (a row of tokens is a pair of grid coordinates): they go together,
entry by entry. An index of length 1 holds for every row.
"""


@dataclass(frozen=True, slots=True, eq=False)
class Recipe:
    """One call in the making of a tensor.

    Attributes:
        op: What was called.
        inputs: What it was called with.
        shape: Shape of the result.
        dtype: Its element type.
        options: Plain values: dims, a dtype name, an equation, an axis.
        autocast: The state under which a product ran; None where it makes no difference.
    """

    op: RecipeOp
    inputs: tuple[Ingredient, ...]
    shape: tuple[int, ...]
    dtype: torch.dtype
    options: dict[str, Any] = field(default_factory=dict)
    autocast: Autocast | None = None

    @property
    def kept(self) -> list[Kept]:
        """The tensors that it takes."""
        return list(self._leaves())

    @property
    def nbytes(self) -> int:
        """Bytes of these tensors, each counted once."""
        return sum({kept.identity: kept.nbytes for kept in self.kept}.values())

    @property
    def cost_bytes(self) -> int:
        """Bytes that keeping it adds to a call: what a product takes first is q, kept anyway."""
        inputs = self.inputs[1:] if self.op == "einsum" else self.inputs
        return sum(
            x.nbytes if isinstance(x, Kept) else x.cost_bytes
            for x in inputs
            if isinstance(x, (Kept, Recipe))
        )

    def get(self) -> Tensor:
        """The whole tensor, made as the model made it."""
        return self._run([_whole(x) for x in self.inputs])

    def compact(self) -> Tensor:
        """The same; nothing in it is known to repeat."""
        return self.get()

    def rows(self, rows: Tensor | None, axis: int) -> Tensor:
        """The tensor with only these indices along an axis, counted from the end.

        Where the axis is missing or of length 1 the tensor broadcasts over it, and stays whole.
        """
        if rows is None or len(self.shape) < -axis or self.shape[axis] == 1:
            return self.get()
        where: list[Tensor | None] = [None] * len(self.shape)
        where[axis] = rows
        part = self.take(where)
        return part.expand(len(rows), *part.shape[1:]).movedim(0, axis)

    def take(self, where: Where) -> Tensor:
        """A part: (rows or 1, *the axes of which all is wanted)."""
        if self.op == "reshape":
            return self._take_reshaped(where)
        if self.op == "permute":
            return self._take_permuted(where)
        if self.op == "gather":
            return self._take_gathered(where)
        if self.op == "einsum":
            return self._take_product(where)
        if self.op == "expand":
            part: Tensor = _take_broadcast(self.inputs[0], where)
            return part.expand(-1, *_wanted_whole(self.shape, where))
        return self._run([_take_broadcast(x, where) for x in self.inputs])

    def _run(self, inputs: Sequence[Any]) -> Tensor:
        if self.autocast is None:
            return _RUN[self.op](*inputs, **self.options)
        with self.autocast.restore():
            return _RUN[self.op](*inputs, **self.options)

    def _leaves(self) -> Iterator[Kept]:
        for x in self.inputs:
            if isinstance(x, Kept):
                yield x
            elif isinstance(x, Recipe):
                yield from x._leaves()

    def _take_reshaped(self, where: Where) -> Tensor:
        (source,) = self.inputs
        before = split_back(_shape(source), self.shape, where)
        if before is None:
            return _index(self.get(), where)
        part = _take(source, before)
        return part.reshape(len(part), *_wanted_whole(self.shape, where))

    def _take_permuted(self, where: Where) -> Tensor:
        dims: list[int] = self.options["dims"]
        before = [where[dims.index(axis)] for axis in range(len(dims))]
        left = [axis for axis in range(len(dims)) if before[axis] is None]
        order = [left.index(axis) + 1 for axis in dims if before[axis] is None]
        return _take(self.inputs[0], before).permute(0, *order)

    def _take_gathered(self, where: Where) -> Tensor:
        table, index = self.inputs
        axis, depth = self.options["axis"], len(_shape(index))
        outside = [*where[:axis], *where[axis + depth :]]
        if any(w is not None for w in outside):
            return _index(self.get(), where)
        chosen = _take(index, where[axis : axis + depth]).long()
        part: Tensor = _whole(table).movedim(axis, 0)[
            chosen
        ]  # (rows, index axes, axes before, after)
        before = range(chosen.dim(), chosen.dim() + axis)
        return part.movedim(tuple(before), tuple(range(1, 1 + axis)))

    def _take_product(self, where: Where) -> Tensor:
        terms, out = _terms(self.options["equation"])
        wanted = dict(zip(out, where, strict=True))
        parts = [
            _take(x, [wanted.get(label) for label in term])
            for x, term in zip(self.inputs, terms, strict=True)
        ]
        row = next(x for x in "zyxwvutsrqponmlkjihgfedcba" if x not in self.options["equation"])
        kept = [row + "".join(x for x in term if wanted.get(x) is None) for term in (*terms, out)]
        equation = f"{','.join(kept[:-1])}->{kept[-1]}"
        with (self.autocast or Autocast.now(parts[0].device)).restore():
            return torch.einsum(equation, *parts)


def folded(x: Kept | Recipe, split: Sequence[int], whole: Sequence[int]) -> Recipe:
    """What broadcasts to a shape with split axes, as it is when they are whole again."""
    spread = Recipe("expand", (x,), tuple(split), x.dtype, {"shape": list(split)})
    return Recipe("reshape", (spread,), tuple(whole), x.dtype, {"shape": list(whole)})


def split_back(before: Sequence[int], after: Sequence[int], where: Where) -> Where | None:
    """The same choice before a reshape; None where no choice along single axes tells it."""
    groups = _groups(tuple(before), tuple(after))
    if groups is None:
        return None
    found: list[Tensor | None] = [None] * len(before)
    for sources, results in groups:
        chosen = [where[axis] for axis in results]
        if all(index is None for index in chosen):
            continue
        if len(results) > 1:
            return None
        index = chosen[0]
        for axis in reversed(sources):
            assert index is not None
            found[axis] = index % before[axis]
            index = index // before[axis]
    return found


def _groups(
    before: tuple[int, ...], after: tuple[int, ...]
) -> list[tuple[list[int], list[int]]] | None:
    """Axes that become one another in a reshape: the smallest runs of equal size."""
    if math.prod(before) != math.prod(after) or 0 in before:
        return None
    groups: list[tuple[list[int], list[int]]] = []
    i = j = 0
    while i < len(before) or j < len(after):
        vanishes, appears = before[i : i + 1] == (1,), after[j : j + 1] == (1,)
        if vanishes and not appears:
            groups.append(([i], []))
            i += 1
            continue
        if appears and not vanishes:
            groups.append(([], [j]))
            j += 1
            continue
        sources, results = [i], [j]
        left, right = before[i], after[j]
        while left != right:
            if left < right:
                sources.append(sources[-1] + 1)
                left *= before[sources[-1]]
            else:
                results.append(results[-1] + 1)
                right *= after[results[-1]]
        groups.append((sources, results))
        i, j = sources[-1] + 1, results[-1] + 1
    return groups


def _take(x: Ingredient, where: Where) -> Tensor:
    if isinstance(x, Recipe):
        return x.take(where)
    assert isinstance(x, Kept)
    return _index(x.get(), where)


def _index(tensor: Tensor, where: Where) -> Tensor:
    """A part of a tensor, (rows or 1, *the axes of which all is wanted)."""
    chosen = [axis for axis, index in enumerate(where) if index is not None]
    if not chosen:
        return tensor[None]
    left = [axis for axis, index in enumerate(where) if index is None]
    indices = [index.to(tensor.device) for index in where if index is not None]
    return tensor.permute(*chosen, *left)[tuple(indices)]


def _take_broadcast(x: Ingredient, where: Where) -> Any:
    """A part of something that broadcasts to the axes that `where` speaks of."""
    if not isinstance(x, (Kept, Recipe)):
        return x
    missing, own = where[: len(where) - len(x.shape)], where[len(where) - len(x.shape) :]
    first = torch.zeros(1, dtype=torch.long)
    own = [
        first if index is not None and size == 1 else index
        for index, size in zip(own, x.shape, strict=True)
    ]
    part = _take(x, own)
    ones = [1] * sum(index is None for index in missing)
    return part.reshape(len(part), *ones, *part.shape[1:])


def _wanted_whole(shape: Sequence[int], where: Where) -> list[int]:
    return [size for size, index in zip(shape, where, strict=True) if index is None]


def _whole(x: Ingredient) -> Any:
    return x.get() if isinstance(x, (Kept, Recipe)) else x


def _shape(x: Ingredient) -> Sequence[int]:
    assert isinstance(x, (Kept, Recipe))
    return x.shape


def _terms(equation: str) -> tuple[list[str], str]:
    inputs, _, out = equation.partition("->")
    return inputs.split(","), out


def _gather(table: Tensor, index: Tensor, *, axis: int) -> Tensor:
    return table[(slice(None),) * axis + (index.long(),)]


_RUN: dict[str, Callable[..., Tensor]] = {
    "add": torch.add,
    "sub": torch.sub,
    "mul": torch.mul,
    "div": torch.div,
    "sigmoid": torch.sigmoid,
    "to": lambda x, dtype: x.to(getattr(torch, dtype)),
    "expand": lambda x, shape: x.expand(shape),
    "reshape": lambda x, shape: x.reshape(shape),
    "permute": lambda x, dims: x.permute(dims),
    "gather": _gather,
    "einsum": lambda a, b, equation: torch.einsum(equation, a, b),
}

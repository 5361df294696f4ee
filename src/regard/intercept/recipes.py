"""How large tensors are made of small ones while a model runs, so that the small can be kept.

A recipe starts where a call makes a tensor much larger than what it takes: an addition that
broadcasts both sides, or an index into a small table. Products in einsum notation start one too,
because their results are what such additions take, and so does a multiplication by a number,
because q is often scaled after such a product took it. Views and pointwise calls continue it.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any
from weakref import ref

import torch
import torch.nn.functional as F
from torch import Tensor

from regard.autocast import Autocast
from regard.intercept.contraction import of_einsum
from regard.intercept.keeper import Keeper
from regard.intercept.trace import permutation
from regard.kept import Kept, compact_view, storage_key
from regard.recipe import Ingredient, Recipe, RecipeOp

SMALLER = 2
"""A call starts a recipe if its result has this many times the numbers of each of its inputs."""

LARGEST = 8
"""A product starts one if its first input has at most so many times the numbers of its result.

That input is q, which is kept in any case; the bound is for when it is something else.
"""

STARTING: dict[str, str] = {
    **dict.fromkeys(("add", "__add__", "__radd__"), "add"),
    **dict.fromkeys(("sub", "__sub__"), "sub"),
    "__getitem__": "getitem",
    **dict.fromkeys(("mul", "__mul__", "__rmul__"), "mul"),
    "embedding": "embedding",
    "einsum": "einsum",
}
CONTINUING: dict[str, str] = {
    **dict.fromkeys(("div", "__truediv__"), "div"),
    **dict.fromkeys(("view", "reshape", "flatten", "unflatten", "unsqueeze", "squeeze"), "reshape"),
    **dict.fromkeys(("view_as", "reshape_as"), "reshape"),
    **dict.fromkeys(("permute", "transpose", "movedim", "swapaxes"), "permute"),
    **dict.fromkeys(("expand", "expand_as"), "expand"),
    **dict.fromkeys(("contiguous", "clone", "detach"), "same"),
    **dict.fromkeys(("to", "type_as", "float", "half", "bfloat16"), "to"),
    "sigmoid": "sigmoid",
}


BINARY: dict[str, RecipeOp] = {"add": "add", "sub": "sub", "mul": "mul", "div": "div"}


class Recipes:
    """Follows tensors that are made of much smaller ones.

    Attributes:
        made: Id of each followed tensor to a reference to it, and its recipe.
    """

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self.made: dict[int, tuple[ref[Tensor], Recipe]] = {}
        self._indices: list[Kept] = []
        self.starting, self.all_watched = _starting(), _watched()

    @property
    def watched(self) -> Mapping[Any, str]:
        """The functions that matter now: those that start recipes, or also those that go on."""
        return self.all_watched if self.made else self.starting

    def keep(self, tensor: Tensor) -> Kept | Recipe:
        """The tensor's recipe if that takes less memory than the tensor, else the tensor."""
        recipe = self.of(tensor)
        whole = compact_view(tensor)
        if recipe is not None and recipe.cost_bytes < whole.numel() * whole.element_size():
            return recipe
        return self._keeper.keep(tensor)

    def of(self, tensor: Tensor) -> Recipe | None:
        """The recipe of a tensor."""
        found = self.made.get(id(tensor))
        return found[1] if found is not None and found[0]() is tensor else None

    def unscaled(self, tensor: Tensor) -> tuple[Kept, float] | None:
        """What the tensor was before it was multiplied by a number, and the number."""
        recipe = self.of(tensor)
        if recipe is None or recipe.op != "mul":
            return None
        before, factor = recipe.inputs
        known = isinstance(before, Kept) and isinstance(factor, (int, float))
        return (before, factor) if known else None  # type: ignore[return-value]

    def clear(self) -> None:
        """Forget everything."""
        self.made.clear()
        self._indices.clear()

    def overwritten(self, tensors: Sequence[Tensor]) -> None:
        """Give up the recipes of tensors that are written to."""
        if not self.made:
            return
        memory = {storage_key(tensor) for tensor in tensors}
        for key, (reference, _) in list(self.made.items()):
            made = reference()
            if made is None or storage_key(made) in memory:
                del self.made[key]

    def ignores(self, args: Sequence[Any], out: Any) -> bool:
        """Whether a call can start nothing, told fast: its result is as large as an input."""
        if self.made or len(args) != 2:
            return False
        a, b = args
        both = isinstance(a, Tensor) and isinstance(b, Tensor)
        return both and bool(a.numel() >= out.numel())

    def observe(
        self,
        func: Any,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        out: Any,
        is_scores: bool = False,
    ) -> None:
        """Follow the result of a watched call, which has been made, if it has a recipe.

        Scores that are scaled start none: what they were before need not be kept alive.
        """
        what = _watched()[func]
        recipe: Recipe | None
        if what in BINARY:
            recipe = self._pointwise(BINARY[what], args, kwargs, out, is_scores)
        elif what == "getitem":
            recipe = self._item(args, out)
        elif what == "embedding":
            recipe = self._embedding(args, kwargs)
        elif what == "einsum":
            recipe = self._product(args, out)
        else:
            recipe = self._continued(what, func, args, kwargs, out)
        if recipe is not None:
            self._follow(out, recipe)

    def _follow(self, tensor: Tensor, recipe: Recipe) -> None:
        key, made = id(tensor), self.made

        def forget(gone: ref[Tensor]) -> None:
            if key in made and made[key][0] is gone:
                del made[key]

        made[key] = (ref(tensor, forget), recipe)

    def _pointwise(
        self,
        op: RecipeOp,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        out: Tensor,
        is_scores: bool,
    ) -> Recipe | None:
        if kwargs or len(args) != 2:
            return None
        tensors = [x for x in args if isinstance(x, Tensor)]
        recipes = [self.of(x) if isinstance(x, Tensor) else None for x in args]
        if len(tensors) == 2:
            whole = [x for x, known in zip(args, recipes, strict=True) if known is None]
            if not all(_is_larger(out, x) for x in whole):
                return None
        elif not any(recipes) and (op != "mul" or is_scores or out.dim() < 3):
            return None
        if not isinstance(args[0], Tensor):
            if op in ("sub", "div"):
                return None
            args, recipes = args[::-1], recipes[::-1]
        inputs = [
            known or (self._keeper.keep(x) if isinstance(x, Tensor) else x)
            for x, known in zip(args, recipes, strict=True)
        ]
        return _recipe(op, tuple(inputs), out)

    def _item(self, args: Sequence[Any], out: Any) -> Recipe | None:
        """`table[index]`, `table[:, index]`, and `x[:, None]` of something that is followed."""
        table, key = args
        if not isinstance(out, Tensor):
            return None
        keys = key if isinstance(key, tuple) else (key,)
        if not isinstance(keys[-1], Tensor):
            source = self.of(table)
            if source is None or out.numel() != table.numel():
                return None
            return _recipe("reshape", (source,), out, shape=tuple(out.shape))
        axis = len(keys) - 1
        if any(k != slice(None) for k in keys[:-1] if not isinstance(k, Tensor)) or any(
            isinstance(k, Tensor) for k in keys[:-1]
        ):
            return None
        return self._gather(table, keys[-1], axis)

    def _embedding(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Recipe | None:
        index = args[0] if args else kwargs["input"]
        table = args[1] if len(args) > 1 else kwargs["weight"]
        return self._gather(table, index, 0)

    def _gather(self, table: Tensor, index: Tensor, axis: int) -> Recipe | None:
        rest = table.shape[:axis] + table.shape[axis + 1 :]
        size = index.numel() * rest.numel()
        if index.dtype not in (torch.int64, torch.int32) or size < SMALLER * table.numel():
            return None
        shape = (*table.shape[:axis], *index.shape, *table.shape[axis + 1 :])
        inputs = (self._keeper.keep(table), self._keep_index(index, table.shape[axis]))
        return Recipe("gather", inputs, shape, table.dtype, {"axis": axis})

    def _keep_index(self, index: Tensor, count: int) -> Kept:
        """A copy in a small dtype, the same one for every layer that uses the same index."""
        dtype = torch.int16 if count < 2**15 else torch.int32
        small = torch.where(index < 0, index + count, index).to(dtype)
        for known in self._indices:
            if known.shape == small.shape and torch.equal(known.get(), small):
                return known
        self._indices.append(Kept(small))
        return self._indices[-1]

    def _product(self, args: Sequence[Any], out: Tensor) -> Recipe | None:
        """A product of one small and one larger tensor, in einsum notation."""
        operands = args[1] if isinstance(args[1], (list, tuple)) else args[1:]
        c = of_einsum(args[0], operands) if isinstance(args[0], str) else None
        if c is None or not c.is_plain or c.b.numel() * SMALLER > out.numel():
            return None
        if c.a.numel() > LARGEST * out.numel():
            return None
        equation = f"{''.join(c.a_labels)},{''.join(c.b_labels)}->{''.join(c.out_labels)}"
        inputs = (self._keeper.keep(c.a), self._keeper.keep(c.b))
        now = Autocast.now(out.device)
        return Recipe("einsum", inputs, tuple(out.shape), out.dtype, {"equation": equation}, now)

    def _continued(
        self,
        what: str,
        func: Callable[..., Any],
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        out: Any,
    ) -> Recipe | None:
        source = self.of(args[0]) if args and isinstance(args[0], Tensor) else None
        if source is None or not isinstance(out, Tensor):
            return None
        if what == "same":
            return source
        if what == "to":
            same = out.dtype == source.dtype
            return source if same else _recipe("to", (source,), out, dtype=_name(out.dtype))
        if what == "permute":
            dims = permutation(func, args[1:], dict(kwargs), out.dim())
            return _recipe("permute", (source,), out, dims=dims)
        if what == "sigmoid":
            return _recipe("sigmoid", (source,), out)
        return _recipe(what, (source,), out, shape=tuple(out.shape))  # type: ignore[arg-type]


def _recipe(op: RecipeOp, inputs: tuple[Ingredient, ...], out: Tensor, **options: Any) -> Recipe:
    return Recipe(op, inputs, tuple(out.shape), out.dtype, options)


def _is_larger(out: Tensor, source: Tensor) -> bool:
    return out.numel() >= SMALLER * source.numel()


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


@cache
def _starting() -> dict[Any, str]:
    return _functions(STARTING)


@cache
def _watched() -> dict[Any, str]:
    return {**_functions(STARTING), **_functions(CONTINUING)}


def _functions(names: Mapping[str, str]) -> dict[Any, str]:
    places = (torch, Tensor, F)
    return {
        getattr(place, name): what
        for name, what in names.items()
        for place in places
        if hasattr(place, name)
    }

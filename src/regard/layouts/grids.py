"""Recipes for tokens that are a grid over the whole input, in raster order."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from regard.errors import GeometryError
from regard.geometry import ViewTransform, size_text
from regard.layouts.scene import Recipe, Scene, Size, ceil_div, floor_div, grid, numbered
from regard.tokens import Tokens
from regard.tokens.grid import GridTokens

STRIDES = (1, 2, 4, 8, 16, 32, 64, 128)
"""Strides that are tried where a model does not say its own, in input pixels."""


@dataclass(frozen=True)
class Raster:
    """Patches row by row, between named tokens; how many of those is measured.

    Attributes:
        prefix: Names of the tokens before the patches.
        more: What further ones are called, numbered; "" if there are none.
        suffix: What the tokens after the patches are called, numbered.
        suffix_count: Setting that says how many these are; "" for one, called by its name alone.
        rest: What the tokens after the patches are called, numbered, if there are as many as are
            left over.
        padding_px: What the patch embedding adds on each side, which moves the patches.
    """

    prefix: tuple[str, ...] = ()
    more: str = ""
    suffix: str = ""
    suffix_count: str = ""
    rest: str = ""
    padding_px: int = 0

    def __call__(self, scene: Scene, count: int) -> GridTokens:
        """The layout."""
        stride = scene.patch
        grid_hw = floor_div(scene.input_hw, stride)
        suffix = self._suffix(scene)
        spare = count - math.prod(grid_hw) - len(suffix) - len(self.prefix)
        if spare < 0 or (spare and not (self.more or self.rest)):
            raise GeometryError(
                f"{size_text(scene.input_hw)} in patches of {size_text(stride)} make "
                f"{grid_hw[0]} x {grid_hw[1]} cells; with {len(self.prefix) + len(suffix)} named "
                f"tokens that is not {count}"
            )
        prefix = (*self.prefix, *(numbered(self.more, spare) if self.more else ()))
        suffix = numbered(self.rest, spare) if self.rest else suffix
        side = self.padding_px
        view = scene.view().pad(left=side, top=side, right=side, bottom=side)
        return grid(view, grid_hw, stride, prefix, suffix)

    def _suffix(self, scene: Scene) -> tuple[str, ...]:
        if not self.suffix_count:
            return (self.suffix,) if self.suffix else ()
        return numbered(self.suffix, int(scene.setting(self.suffix_count)))


@dataclass(frozen=True)
class QueriesFirst:
    """EoMT's last blocks: object queries before the class token, registers and patches."""

    def __call__(self, scene: Scene, count: int) -> GridTokens:
        """The layout."""
        registers = numbered("register", int(scene.setting("num_register_tokens")))
        queries = count - math.prod(scene.cells) - 1 - len(registers)
        prefix = (*numbered("query", queries), "cls", *registers)
        return grid(scene.view(), scene.cells, scene.patch, prefix)


@dataclass(frozen=True)
class Measured:
    """A feature map row by row; its stride is the one that makes this many cells.

    Attributes:
        prefix: Names of tokens before the cells, in layers that have them.
        strides: Those that are tried, in input pixels.
    """

    prefix: tuple[str, ...] = ()
    strides: tuple[int, ...] = STRIDES

    def __call__(self, scene: Scene, count: int) -> GridTokens:
        """The layout."""
        return measured(scene.view(), count, self.prefix, self.strides)


@dataclass(frozen=True)
class Pooled:
    """The whole input pooled to a square of cells, however large it is."""

    def __call__(self, scene: Scene, count: int) -> GridTokens:
        """The layout."""
        side = math.isqrt(count)
        if side * side != count:
            raise GeometryError(f"{count} tokens are no square of cells")
        height, width = scene.input_hw
        return grid(scene.view(), (side, side), (height / side, width / side))


@dataclass(frozen=True)
class PixelsAsWords:
    """ImageGPT: one token a pixel of a small square picture, whose colours went in as words."""

    def __call__(self, scene: Scene, count: int) -> GridTokens:
        """The layout."""
        pixels = int(scene.given("input_ids").shape[1])
        side = math.isqrt(pixels)
        if side * side != count:
            raise GeometryError(f"{count} of {pixels} tokens are no whole square of pixels")
        return grid(scene.view((side, side)), (side, side), (1, 1))


@dataclass(frozen=True)
class By:
    """The recipe depends on a setting of the model."""

    setting: str
    recipes: Mapping[Any, Recipe]

    def __call__(self, scene: Scene, count: int) -> Tokens:
        """The layout."""
        value = scene.setting(self.setting)
        if value not in self.recipes:
            raise GeometryError(f"no recipe for {self.setting}={value!r}")
        return self.recipes[value](scene, count)


@dataclass(frozen=True)
class Named:
    """Tokens that stand for no place: "probe", or "query 1", "query 2", ..."""

    name: str

    def __call__(self, scene: Scene, count: int) -> Tokens:
        """The layout."""
        names = (self.name,) if count == 1 else numbered(self.name, count)
        return Tokens(count, prefix=names)


def measured(
    view: ViewTransform,
    count: int,
    prefix: tuple[str, ...] = (),
    strides: tuple[int, ...] = STRIDES,
) -> GridTokens:
    """The grid of this many cells, or with a prefix as well, that one of these strides makes.

    Raises:
        GeometryError: No stride does.
    """
    for stride, grid_hw in _grids(view.input_hw, strides):
        for names in {(), prefix}:
            if math.prod(grid_hw) + len(names) == count:
                return grid(view, grid_hw, (stride, stride), names)
    raise GeometryError(
        f"no stride out of {strides} makes {count} cells of {size_text(view.input_hw)}"
    )


def _grids(size_hw: Size, strides: tuple[int, ...]) -> Iterator[tuple[int, Size]]:
    for divide in (ceil_div, floor_div):
        for stride in strides:
            grid_hw = divide(size_hw, (stride, stride))
            if min(grid_hw) > 0:
                yield stride, grid_hw

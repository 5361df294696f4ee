"""Tokens that are the cells of several grids over one picture: the levels of a feature pyramid."""

import math
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from functools import cached_property
from typing import Any, Self

import torch
from torch import Tensor

from regard.errors import GeometryError
from regard.geometry import Box, ViewTransform, checked_numbers, checked_size_hw, size_text
from regard.tokens.base import Tokens
from regard.tokens.grid import GridTokens
from regard.tokens.spread import Between

Pair = tuple[float, float]
POWERS_OF_TWO = [2**n for n in range(12)]


@dataclass(frozen=True)
class PyramidTokens(Tokens, kind="pyramid"):
    """Tokens that are the cells of several levels, level after level, each row by row.

    Levels are counted from 0 in the order of the model, which differs between families:
    Deformable DETR starts with the finest level, Mask2Former with the coarsest.

    >>> view = ViewTransform.identity((480, 640))
    >>> tokens = PyramidTokens.from_levels(view, [(15, 20), (30, 40)])
    >>> tokens.name(tokens.at(100.0, 200.0))
    'level 16 px, row 12, column 6'
    """

    _: KW_ONLY
    levels_hw: tuple[tuple[int, int], ...]
    """Rows and columns of each level."""
    strides_px: tuple[Pair, ...]
    """Height and width of a cell of each level, in input pixels."""
    view: ViewTransform
    """Where the input's pixels lie on the original picture."""

    def __post_init__(self) -> None:
        super().__post_init__()
        levels = tuple(checked_size_hw(hw, what="levels_hw") for hw in self.levels_hw)
        strides = tuple(
            checked_numbers(pair, 2, what="strides_px (height, width)") for pair in self.strides_px
        )
        object.__setattr__(self, "levels_hw", levels)
        object.__setattr__(self, "strides_px", strides)
        if not levels or len(levels) != len(strides):
            raise GeometryError(
                f"{len(levels)} levels and {len(strides)} strides; expected as many strides as "
                "levels, at least one"
            )
        if self.count != sum(map(math.prod, levels)) + len(self.prefix) + len(self.suffix):
            raise GeometryError(self._mismatch(f"the layer has {self.count} keys", self.count))
        _ = self.levels  # each checks that it fits the view

    @classmethod
    def from_levels(
        cls,
        view: ViewTransform,
        levels_hw: Sequence[tuple[int, int]],
        *,
        strides_px: Sequence[float | Pair] | None = None,
    ) -> Self:
        """Layout of levels of these sizes, as a deformable call tells them in `levels_hw`.

        Args:
            view: What the model sees of the original.
            levels_hw: Rows and columns of each level, in the order of the model.
            strides_px: Size of a cell of each level in input pixels; by default measured: the
                power of two that makes so many cells of the input, rounded up, or else the size
                that divides it evenly.

        Raises:
            GeometryError: A level fits no stride.
        """
        levels = [checked_size_hw(hw, what="levels_hw") for hw in levels_hw]
        if strides_px is None:
            strides = [_measured_stride(hw, view.input_hw) for hw in levels]
        else:
            strides = [s if isinstance(s, tuple) else (s, s) for s in strides_px]
        return cls(
            sum(map(math.prod, levels)),
            levels_hw=tuple(levels),
            strides_px=tuple(strides),
            view=view,
        )

    @cached_property
    def levels(self) -> tuple[GridTokens, ...]:
        """The layout of each level alone."""
        return tuple(
            GridTokens(math.prod(hw), grid_hw=hw, stride_px=stride, view=self.view)
            for hw, stride in zip(self.levels_hw, self.strides_px, strict=True)
        )

    @property
    def level_names(self) -> tuple[str, ...]:
        """Name of each level: ``"level 32 px"``; numbered where strides repeat."""
        sizes = [_stride_text(stride) for stride in self.strides_px]
        if len(set(sizes)) == len(sizes):
            return tuple(f"level {size}" for size in sizes)
        return tuple(f"level {number} ({size})" for number, size in enumerate(sizes))

    def level_weights(self, weights: Tensor, level: int) -> Tensor:
        """Weights of one level's cells, ``(..., rows, columns)``."""
        start = self._starts[self._checked_level(level)]
        cells = self._checked(weights)[..., start : start + self.levels[level].count]
        return cells.reshape(*weights.shape[:-1], *self.levels_hw[level])

    def index(self, level: int, row: int, column: int) -> int:
        """Index of the token of a cell."""
        self._checked_level(level)
        return self._starts[level] + self.levels[level].index(row, column)

    @property
    def pictures(self) -> tuple[int, ...]:
        """The one picture."""
        return (0,)

    def to_pixels(
        self,
        weights: Tensor,
        size_hw: tuple[int, int] | None = None,
        *,
        between: Between = "cells",
        picture: int = 0,
        level: int | None = None,
    ) -> Tensor:
        """Weight per pixel of the original picture, all levels together or one alone.

        Args:
            weights: ``(..., count)``.
            size_hw: As in `GridTokens.to_pixels`.
            between: As there.
            picture: As there.
            level: Draw this level alone; by default the levels are added up.

        Returns:
            ``(..., height, width)``, float32 at least. NaN where no drawn level saw the picture.
        """
        self._check_picture(picture)
        chosen = range(len(self.levels)) if level is None else [self._checked_level(level)]
        total, unseen = torch.zeros(()), torch.ones((), dtype=torch.bool)
        for number in chosen:
            grid, cells = self.levels[number], self.level_weights(weights, number).flatten(-2)
            pixels = grid.to_pixels(cells, size_hw, between=between)
            outside = grid.to_pixels(cells.new_zeros(grid.count), size_hw, between=between).isnan()
            total = total.to(pixels.device) + pixels.masked_fill(outside, 0)
            unseen = unseen.to(pixels.device) & outside
        return total.masked_fill(unseen, math.nan)

    def shares(self, weights: Tensor) -> dict[str, Tensor]:
        """Where the weight went: on each named token, on ``"image"``, on ``"padding"``."""
        found = [
            grid.shares(self.level_weights(weights, number).flatten(-2))
            for number, grid in enumerate(self.levels)
        ]
        return {
            **self._named_shares(self._checked(weights)),
            "image": torch.stack([share["image"] for share in found]).sum(0),
            "padding": torch.stack([share["padding"] for share in found]).sum(0),
        }

    def level_shares(self, weights: Tensor) -> dict[str, Tensor]:
        """Weight on each level, by its name: sums of shape ``(...)``."""
        return {
            name: self.level_weights(weights, number).sum((-2, -1))
            for number, name in enumerate(self.level_names)
        }

    def at(self, x: float, y: float, *, picture: int = 0, level: int | None = None) -> int:
        """Index of the token that stands for a point of the original picture.

        Args:
            x: As in `GridTokens.at`.
            y: As there.
            picture: As there.
            level: On this level; by default on the finest.
        """
        self._check_picture(picture)
        if level is None:
            level = min(range(len(self.levels)), key=lambda n: math.prod(self.strides_px[n]))
        return self._starts[self._checked_level(level)] + self.levels[level].at(x, y)

    def box_xyxy(self, index: int) -> Box:
        """Region of the original that a token stands for, in original pixels."""
        level, cell = self._cell(index)
        return self.levels[level].box_xyxy(cell)

    def points_to_original(self, xy: Tensor, levels: Tensor) -> Tensor:
        """Where sampled points of deformable attention lie on the original picture.

        Args:
            xy: ``(..., points, 2)``, x and y on the map of each point's level, from 0 to 1.
            levels: ``(points,)``, the level of each point.

        Returns:
            ``(..., points, 2)``, x and y in original pixels; points outside the map stay outside.
        """
        extent = torch.tensor(
            [
                (columns * width, rows * height)
                for (rows, columns), (height, width) in zip(
                    self.levels_hw, self.strides_px, strict=True
                )
            ],
            device=xy.device,
        )
        x, y = (xy * extent[levels]).unbind(-1)
        return torch.stack(self.view.to_original(x, y), -1)

    def to_json(self) -> dict[str, Any]:
        """The layout as plain numbers, lists and text; `tokens_from_json` gives it back."""
        return {
            **super().to_json(),
            "levels_hw": [list(hw) for hw in self.levels_hw],
            "strides_px": [list(stride) for stride in self.strides_px],
            "view": self.view.to_json(),
        }

    @classmethod
    def _from_fields(cls, fields: dict[str, Any]) -> Self:
        pairs = {name: tuple(map(tuple, fields[name])) for name in ("levels_hw", "strides_px")}
        return cls(**{**fields, **pairs, "view": ViewTransform.from_json(fields["view"])})

    def _name_unnamed(self, index: int) -> str:
        level, cell = self._cell(index)
        return f"{self.level_names[level]}, {self.levels[level].name(cell)}"

    @cached_property
    def _starts(self) -> tuple[int, ...]:
        """Index of the first token of each level."""
        starts = [len(self.prefix)]
        for hw in self.levels_hw[:-1]:
            starts.append(starts[-1] + math.prod(hw))
        return tuple(starts)

    def _cell(self, index: int) -> tuple[int, int]:
        """The level of a token, and its index there."""
        self._check_index(index)
        if index not in self.unnamed:
            raise GeometryError(
                f"token {index} is {self.name(index)!r}, which stands for no place: the cells are "
                f"tokens {self.unnamed.start} to {self.unnamed.stop - 1}"
            )
        level = max(n for n, start in enumerate(self._starts) if start <= index)
        return level, index - self._starts[level]

    def _checked_level(self, level: int) -> int:
        if not 0 <= level < len(self.levels_hw):
            raise GeometryError(
                f"level {level} of {len(self.levels_hw)}: expected 0 to "
                f"{len(self.levels_hw) - 1}, which are {', '.join(self.level_names)}"
            )
        return level

    def _mismatch(self, found: str, count: int) -> str:
        sizes = " + ".join(f"{rows} x {columns}" for rows, columns in self.levels_hw)
        named = len(self.prefix) + len(self.suffix)
        return (
            f"{found} but the pyramid says {sizes} = {sum(map(math.prod, self.levels_hw))} cells"
            f" + {named} named tokens: give the levels of this very layer and input"
        )


def _measured_stride(level_hw: tuple[int, int], input_hw: tuple[int, int]) -> Pair:
    for stride in POWERS_OF_TWO:
        if all(math.ceil(n / stride) == cells for n, cells in zip(input_hw, level_hw, strict=True)):
            return float(stride), float(stride)
    height, width = (n / cells for n, cells in zip(input_hw, level_hw, strict=True))
    if height != width:
        raise GeometryError(
            f"a level of {level_hw[0]} rows and {level_hw[1]} columns fits no stride over the "
            f"{size_text(input_hw)} input, which would be {height:g} px high, {width:g} px wide: "
            "pass strides_px, and the view of this very input, padding included"
        )
    return height, width


def _stride_text(stride_px: Pair) -> str:
    height, width = stride_px
    return f"{width:g} px" if height == width else f"{width:g} x {height:g} px"

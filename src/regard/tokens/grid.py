"""Tokens that are the cells of a grid over the picture, row by row."""

import math
from dataclasses import KW_ONLY, dataclass
from typing import Any, Self

import torch
from torch import Tensor

from regard.errors import GeometryError
from regard.geometry import (
    TOLERANCE_PX,
    Box,
    ViewTransform,
    box_text,
    checked_numbers,
    checked_size_hw,
    size_text,
)
from regard.tokens.base import Tokens
from regard.tokens.spread import Axis, Between, photo_share, seen_pixels, spread_matrix


@dataclass(frozen=True)
class GridTokens(Tokens, kind="grid"):
    """Tokens that are the cells of a grid over the picture, row by row, after the prefix.

    Cell ``(row, column)`` begins at ``row * stride_px[0]``, ``column * stride_px[1]`` of the
    model's input. Cells of the last row and column may stick out of the input: they stand for
    the part inside it. A strip narrower than a stride that no cell covers (a patch embedding
    that rounds down) counts as not seen.

    >>> view = ViewTransform.identity((480, 640)).resize((224, 224))
    >>> tokens = GridTokens(197, grid_hw=(14, 14), stride_px=(16, 16), view=view, prefix=("cls",))
    >>> tokens.name(tokens.at(320.0, 240.0))
    'row 7, column 7'
    """

    _: KW_ONLY
    grid_hw: tuple[int, int]
    """Rows and columns."""
    stride_px: tuple[float, float]
    """Height and width of a cell, in input pixels."""
    view: ViewTransform
    """Where the input's pixels lie on the original picture."""

    def __post_init__(self) -> None:
        super().__post_init__()
        grid_hw = checked_size_hw(self.grid_hw, what="grid_hw")
        object.__setattr__(self, "grid_hw", grid_hw)
        stride_px = checked_numbers(self.stride_px, 2, what="stride_px (height, width)")
        object.__setattr__(self, "stride_px", stride_px)
        if self.count != math.prod(grid_hw) + len(self.prefix) + len(self.suffix):
            raise GeometryError(self._mismatch(f"the layer has {self.count} keys", self.count))
        for axis, side in enumerate(("rows", "columns")):
            self._check_cover(axis, side)
        self._check_photo()

    @classmethod
    def from_stride(
        cls,
        view: ViewTransform,
        stride_px: float | tuple[float, float],
        *,
        prefix: tuple[str, ...] = (),
        suffix: tuple[str, ...] = (),
    ) -> Self:
        """Layout of as many cells of ``stride_px`` as cover the whole input (rounded up).

        Args:
            view: What the model sees of the original.
            stride_px: Size of a cell in input pixels: one number, or (height, width).
            prefix: Names of the tokens before the grid.
            suffix: Names of the tokens after it.
        """
        pair = stride_px if isinstance(stride_px, tuple) else (stride_px, stride_px)
        height, width = checked_numbers(pair, 2, what="stride_px (height, width)")
        if min(height, width) <= 0:
            raise GeometryError(f"stride_px is {stride_px}, expected more than 0 input pixels")
        rows = max(1, math.ceil(view.input_hw[0] / height - TOLERANCE_PX))
        columns = max(1, math.ceil(view.input_hw[1] / width - TOLERANCE_PX))
        return cls(
            rows * columns + len(prefix) + len(suffix),
            grid_hw=(rows, columns),
            stride_px=(height, width),
            view=view,
            prefix=prefix,
            suffix=suffix,
        )

    @property
    def pictures(self) -> tuple[int, ...]:
        """The one picture."""
        return (0,)

    def grid(self, weights: Tensor) -> Tensor:
        """View of the cells' weights, ``(..., rows, columns)``, without prefix and suffix."""
        self._checked(weights)
        return self._unnamed_weights(weights).view(*weights.shape[:-1], *self.grid_hw)

    def index(self, row: int, column: int) -> int:
        """Index of the token of a cell."""
        rows, columns = self.grid_hw
        if not (0 <= row < rows and 0 <= column < columns):
            raise GeometryError(
                f"cell (row {row}, column {column}) of a grid of {rows} rows and {columns} columns"
            )
        return len(self.prefix) + row * columns + column

    def to_pixels(
        self,
        weights: Tensor,
        size_hw: tuple[int, int] | None = None,
        *,
        between: Between = "cells",
        picture: int = 0,
    ) -> Tensor:
        """Weight per pixel of the original picture.

        Args:
            weights: ``(..., count)``, any dtype and device. Tokens whose weight is NaN or
                infinite leave NaN on the pixels that they touch.
            size_hw: Draw on the original scaled to this size; by default, on its own size.
            between: "cells" spreads each weight evenly over the region of its token, by exact
                area, whatever the scale. "linear" interpolates the density between the centres
                of cells, at the pixels' centres (half-pixel convention, constant beyond the
                outermost centres); it is smooth, it keeps sums only nearly, and it skips
                tokens that are smaller than a pixel.
            picture: Which of several pictures; a grid has one, number 0.

        Returns:
            ``(..., height, width)``, float32 at least, on the weights' device. NaN where the
            model did not see the picture. With "cells", the sum over seen pixels is
            ``shares(weights)["image"]``; a pixel that was seen in part has that part.
        """
        self._check_picture(picture)
        if between not in ("cells", "linear"):
            raise GeometryError(f'between is {between!r}, expected "cells" or "linear"')
        weights = self.grid(self._checked(weights))
        axes = self._axes(checked_size_hw(size_hw or self.view.original_hw, what="size_hw"))
        rows, columns = (spread_matrix(axis, between).to(weights) for axis in axes)
        known = weights.isfinite()
        if known.all():
            pixels = _separable(rows, weights, columns)
        else:
            pixels = _separable(rows, weights.where(known, 0), columns)
            touched = _separable(_support(rows), (~known).to(rows), _support(columns))
            pixels = pixels.masked_fill(touched > 0, math.nan)
        return _blank_outside(pixels, *map(seen_pixels, axes))

    def shares(self, weights: Tensor) -> dict[str, Tensor]:
        """Where the weight went: on each named token, on ``"image"``, on ``"padding"``.

        A token that stands for photo and padding counts for each by area.

        Args:
            weights: ``(..., count)``.

        Returns:
            Sums of shape ``(...)``, float32 at least; together they are the sum of ``weights``.
        """
        weights = self._checked(weights)
        rows, columns = (photo_share(axis).to(weights) for axis in self._axes((1, 1)))
        photo = torch.outer(rows, columns)
        cells = self.grid(weights)
        return {
            **self._named_shares(weights),
            "image": (cells * photo).sum((-2, -1)),
            "padding": (cells * (1 - photo)).sum((-2, -1)),
        }

    @property
    def seen_box_xyxy(self) -> Box:
        """The part of the original that some token stands for, in original pixels."""
        return self.view.box_to_original(self._photo_box)

    def at(self, x: float, y: float, *, picture: int = 0) -> int:
        """Index of the token that stands for a point of the original picture.

        Args:
            x: Distance from the left edge in pixels; pixel ``i`` has its centre at ``i + 0.5``.
            y: Distance from the top edge.
            picture: Which of several pictures; a grid has one, number 0.

        Raises:
            GeometryError: The point is outside the picture, or the model did not see it.
        """
        self._check_picture(picture)
        height, width = self.view.original_hw
        x0, y0, x1, y1 = self.seen_box_xyxy
        if not (0 <= x < width and 0 <= y < height):
            raise GeometryError(
                f"({x:g}, {y:g}) is outside the {size_text((height, width))} picture, of which "
                f"the model saw {box_text((x0, y0, x1, y1))}"
            )
        if not (x0 <= x < x1 and y0 <= y < y1):
            raise GeometryError(
                f"({x:g}, {y:g}) was cropped away: the model saw {box_text((x0, y0, x1, y1))} "
                f"of the {size_text((height, width))} picture, choose a point in there"
            )
        column, row = self.view.to_input(x, y)
        return self.index(
            min(max(int(row // self.stride_px[0]), 0), self.grid_hw[0] - 1),
            min(max(int(column // self.stride_px[1]), 0), self.grid_hw[1] - 1),
        )

    def box_xyxy(self, index: int) -> Box:
        """Region of the original that a token stands for, in original pixels.

        Raises:
            GeometryError: The token is not on the grid, or lies wholly in padding.
        """
        row, column = self._cell(index)
        left, top = column * self.stride_px[1], row * self.stride_px[0]
        photo = self._photo_box
        x0, y0 = max(left, photo[0]), max(top, photo[1])
        x1, y1 = min(left + self.stride_px[1], photo[2]), min(top + self.stride_px[0], photo[3])
        if min(x1 - x0, y1 - y0) < TOLERANCE_PX:
            raise GeometryError(
                f"token {index} ({self.name(index)}) stands for padding: the photo lies at "
                f"{box_text(photo)} of the {size_text(self.view.input_hw)} input"
            )
        return self.view.box_to_original((x0, y0, x1, y1))

    def to_json(self) -> dict[str, Any]:
        """The layout as plain numbers, lists and text; `tokens_from_json` gives it back."""
        return {
            **super().to_json(),
            "grid_hw": list(self.grid_hw),
            "stride_px": list(self.stride_px),
            "view": self.view.to_json(),
        }

    @classmethod
    def _from_fields(cls, fields: dict[str, Any]) -> Self:
        return cls(**{**fields, "view": ViewTransform.from_json(fields["view"])})

    def _name_unnamed(self, index: int) -> str:
        row, column = self._cell(index)
        return f"row {row}, column {column}"

    def _cell(self, index: int) -> tuple[int, int]:
        self._check_index(index)
        if index not in self.unnamed:
            raise GeometryError(
                f"token {index} is {self.name(index)!r}, which stands for no place: the grid's "
                f"tokens are {self.unnamed.start} to {self.unnamed.stop - 1}"
            )
        return divmod(index - self.unnamed.start, self.grid_hw[1])

    @property
    def _ends(self) -> tuple[float, float]:
        """Where the cells end on each axis (y, x), in input pixels."""
        rows, columns = self.grid_hw
        return (
            min(rows * self.stride_px[0], self.view.input_hw[0]),
            min(columns * self.stride_px[1], self.view.input_hw[1]),
        )

    @property
    def _photo_box(self) -> Box:
        """The photo under the cells, in input pixels."""
        x0, y0, x1, y1 = self.view.content_box_xyxy
        return x0, y0, min(x1, self._ends[1]), min(y1, self._ends[0])

    def _axes(self, size_hw: tuple[int, int]) -> tuple[Axis, Axis]:
        rows, columns = (self._axis(axis, size_hw[axis]) for axis in range(2))
        return rows, columns

    def _axis(self, axis: int, pixels: int) -> Axis:
        photo = self._photo_box
        return Axis(
            cells=self.grid_hw[axis],
            stride=self.stride_px[axis],
            end=self._ends[axis],
            photo=(photo[1 - axis], photo[3 - axis]),
            pixels=pixels,
            origin=self.view.offset_yx[axis],
            step=self.view.scale_yx[axis] * self.view.original_hw[axis] / pixels,
        )

    def _check_cover(self, axis: int, side: str) -> None:
        cells, stride, length = self.grid_hw[axis], self.stride_px[axis], self.view.input_hw[axis]
        if stride <= 0 or not cells - 1 < length / stride - TOLERANCE_PX < cells + 1:
            raise GeometryError(
                f"{cells} {side} of {stride:g} px do not fit the input's {length} px: the last one "
                f"must begin inside it and leave less than a stride; "
                f"measured stride {length / cells:g} px? pass stride_px, or pad the view"
            )

    def _check_photo(self) -> None:
        x0, y0, x1, y1 = self._photo_box
        if x1 - x0 < TOLERANCE_PX or y1 - y0 < TOLERANCE_PX:
            raise GeometryError(
                f"no cell of the grid holds photo: it lies at "
                f"{box_text(self.view.content_box_xyxy)} of the input, and the cells end at "
                f"x = {self._ends[1]:g}, y = {self._ends[0]:g}: pass the measured stride_px"
            )

    def _mismatch(self, found: str, count: int) -> str:
        rows, columns = self.grid_hw
        named = f"{len(self.prefix)} prefix tokens"
        if self.suffix:
            named += f" + {len(self.suffix)} suffix tokens"
        missing = count - rows * columns - len(self.prefix) - len(self.suffix)
        return f"{found} but the grid says {rows} x {columns} = {rows * columns} + {named}; " + (
            self._prefix_advice(missing) if 1 <= missing <= 16 else self._grid_advice()
        )

    def _prefix_advice(self, missing: int) -> str:
        first = self.prefix or ("cls",)
        registers = len(self.prefix) + missing - len(first)
        names = (*first, *(f"register {number + 1}" for number in range(registers)))
        return f"{missing} prefix token{'s' * (missing > 1)}? pass prefix={names}"

    def _grid_advice(self) -> str:
        return (
            f"measure grid_hw where the layer runs: the input is {size_text(self.view.input_hw)}, "
            f"cells of {self.stride_px[1]:g} x {self.stride_px[0]:g} px"
        )


def _separable(rows: Tensor, weights: Tensor, columns: Tensor) -> Tensor:
    # Autocast would do this in half precision, and sums would not be kept.
    with torch.autocast(weights.device.type, enabled=False):
        return rows @ (weights @ columns.T)


def _support(matrix: Tensor) -> Tensor:
    return (matrix > TOLERANCE_PX).to(matrix)


def _blank_outside(pixels: Tensor, rows: slice, columns: slice) -> Tensor:
    """``pixels``, now NaN outside these rows and columns."""
    pixels[..., : rows.start, :] = math.nan
    pixels[..., rows.stop :, :] = math.nan
    pixels[..., : columns.start] = math.nan
    pixels[..., columns.stop :] = math.nan
    return pixels

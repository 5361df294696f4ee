"""The attention matrix itself: queries downwards, keys across."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from regard.render import style
from regard.render.arrays import Array, Pixels, as_flags, as_maps
from regard.render.colour import Scale
from regard.render.field import Field
from regard.render.grid import names_or_numbers
from regard.render.legend import Legend
from regard.render.look import Look
from regard.render.page import draw_page
from regard.render.picture import Picture, clean, text_width
from regard.render.sheet import Sheet
from regard.render.tile import draw_tile

MATRIX_LOOK = Look(unit="weight")
"""Default look of a matrix: its cells are weights, each row sums to 1."""

_SIDE = 1080
_LARGEST_CELL = 44
_WIDEST_NAME = 260
_LETTER_PITCH = 1.15 * style.SMALL
_SLANTED_PITCH = 1.55 * style.SMALL
_NUMBER_PITCH = 64


def draw_matrix(
    weights: Array,
    *,
    query_names: Sequence[str] | None = None,
    key_names: Sequence[str] | None = None,
    title: str = "",
    lines: Sequence[str] = (),
    masked: Array | None = None,
    look: Look = MATRIX_LOOK,
    axes: tuple[str, str] = ("query", "key"),
) -> Picture:
    """Matrix of weights, with names or numbers along both axes.

    Of long axes every second, fifth, tenth... entry is named; matrices that are larger than the
    page are drawn as means of neighbouring cells, on the scale of the single cells.

    Args:
        weights: (queries, keys) attention weight; NaN where there is none.
        query_names: Words, frames, parts... along the left side; numbers by default.
        key_names: Likewise along the top.
        title: First line, bold.
        lines: Further lines below it.
        masked: (queries, keys) bool, True where attention was not allowed; hatched.
        look: Colour map, scale and unit. In the unit "uniform", 1 is the even share of a row's
            keys that are not masked.
        axes: What the rows and the columns are.

    Raises:
        GeometryError: Shapes that do not fit, or no finite value.
        SelectionError: An unknown colour map.
    """
    plot = MatrixPlot.of(
        weights, query_names=query_names, key_names=key_names, masked=masked, look=look, axes=axes
    )
    return draw_page(plot.size_wh, plot.draw, plot.legend(), title=title, lines=lines)


@dataclass(frozen=True, kw_only=True)
class _Axis:
    names: Sequence[str]
    slanted: bool
    """Names that are set at 45 degrees, as words above their columns are."""
    pitch: float
    """Least distance of two names in pixels."""
    length: int
    """Pixels."""

    @classmethod
    def of(
        cls, names: Sequence[str] | None, count: int, other: int, what: str, side: float
    ) -> "_Axis":
        longest = max(count, other) if max(count, other) <= 4 * min(count, other) else count
        cell = min(_LARGEST_CELL, side / longest)
        length = count * int(cell) if cell >= 1 else max(1, round(count * cell))
        is_numbered = names is None or all(name.isdecimal() for name in names)
        slanted = not is_numbered and what == "keys"
        pitch = _SLANTED_PITCH if slanted else _LETTER_PITCH
        if is_numbered and cell < style.SMALL:
            pitch = _NUMBER_PITCH
        words = names_or_numbers(names, count, what)
        return cls(names=words, slanted=slanted, pitch=pitch, length=length)

    @property
    def cell(self) -> float:
        return self.length / len(self.names)

    @property
    def shown(self) -> range:
        """Entries that are named: 1, 2, 5, 10, 20... apart."""
        pitch = self.pitch
        steps = (b * 10**e for e in range(7) for b in (1, 2, 5))
        return range(0, len(self.names), next(s for s in steps if s * self.cell >= pitch))

    @property
    def widest(self) -> float:
        widths = (text_width(clean(self.names[i]), style.SMALL) for i in self.shown)
        return min(_WIDEST_NAME, max(widths))


@dataclass(frozen=True, kw_only=True)
class MatrixPlot:
    """A matrix with its axes, made to be laid on a sheet; see `draw_matrix`."""

    field: Field
    scale: Scale
    look: Look
    queries: _Axis
    keys: _Axis
    axes: tuple[str, str]
    path: Sequence[int | None] = ()
    """A line through one row of each column; broken where there is none."""

    @classmethod
    def of(
        cls,
        weights: Array,
        *,
        query_names: Sequence[str] | None = None,
        key_names: Sequence[str] | None = None,
        masked: Array | None = None,
        look: Look = MATRIX_LOOK,
        axes: tuple[str, str] = ("query", "key"),
        side: float = _SIDE,
        scale: Scale | None = None,
        path: Sequence[int | None] = (),
    ) -> "MatrixPlot":
        """As for `draw_matrix`.

        Args:
            weights: (queries, keys) attention weight.
            query_names: Of the rows.
            key_names: Of the columns.
            masked: Where attention was not allowed.
            look: Colour map, scale and unit.
            axes: What the rows and the columns are.
            side: Longest side of the cells in pixels, without names.
            scale: One that it shares with others; by default its own.
            path: See `path`.
        """
        values = as_maps(weights, "queries keys", "weights")
        blocked = as_flags(masked, values.shape, "masked")
        if look.unit == "uniform":
            values = values * (~blocked).sum(axis=1, keepdims=True, dtype=np.float32)
        field = Field(values=values, masked=blocked, padding=np.zeros_like(blocked))
        rows, columns = values.shape
        return cls(
            field=field,
            scale=Scale.of(field.shown, high=look.high) if scale is None else scale,
            look=look,
            queries=_Axis.of(query_names, rows, columns, "queries", side),
            keys=_Axis.of(key_names, columns, rows, "keys", side),
            axes=axes,
            path=path,
        )

    def legend(self) -> Legend:
        """What its colours mean."""
        words = "attention weight" if self.look.unit == "weight" else None
        return Legend(
            scale=self.scale,
            look=self.look,
            places=self.field.places(),
            over_photo=False,
            words=words,
        )

    @property
    def _left(self) -> int:
        return round(self.queries.widest + 2.6 * style.SMALL)

    @property
    def _top(self) -> int:
        names = 0.71 * self.keys.widest + 0.5 * style.SMALL if self.keys.slanted else style.SMALL
        return round(names + 2.0 * style.SMALL)

    @property
    def size_wh(self) -> tuple[int, int]:
        """Size in pixels, names included."""
        right = 0.71 * self.keys.widest if self.keys.slanted else 0
        return self._left + self.keys.length + round(right), self._top + self.queries.length

    def draw(self, sheet: Sheet, x: int, y: int) -> None:
        """Draw it with its upper left corner at (x, y)."""
        left, top = x + self._left, y + self._top
        size_wh = (self.keys.length, self.queries.length)
        tile = draw_tile(self.field.resized(size_wh), self.scale, self.look, zoom=0.7)
        sheet.panel(_with_lines(tile, self.queries.cell, self.keys.cell), left, top, self.scale)
        self._draw_path(sheet, left, top)
        self._draw_query_names(sheet, x, left, top)
        self._draw_key_names(sheet, left, y, top)

    def _draw_path(self, sheet: Sheet, left: int, top: int) -> None:
        points: list[tuple[float, float]] = []
        for column, row in enumerate([*self.path, None]):
            if row is not None:
                at = left + (column + 0.5) * self.keys.cell
                points.append((at, top + (row + 0.5) * self.queries.cell))
                continue
            if len(points) > 1:
                sheet.line(points, colour=(20, 20, 20), width=5)
                sheet.line(points, colour=style.PAPER, width=2)
            points = []

    def _draw_query_names(self, sheet: Sheet, x: int, left: int, top: int) -> None:
        for index in self.queries.shown:
            middle = top + (index + 0.5) * self.queries.cell
            sheet.text(
                self.queries.names[index],
                left - 0.5 * style.SMALL,
                middle + 0.36 * style.SMALL,
                size=style.SMALL,
                align="right",
                width=_WIDEST_NAME,
            )
        sheet.text(
            self.axes[0],
            x + 0.8 * style.SMALL,
            top + self.queries.length / 2,
            size=style.SMALL,
            colour=style.QUIET,
            align="center",
            degrees=90,
        )

    def _draw_key_names(self, sheet: Sheet, left: int, y: int, top: int) -> None:
        for index in self.keys.shown:
            middle = left + (index + 0.5) * self.keys.cell
            sheet.text(
                self.keys.names[index],
                middle + (0.2 * style.SMALL if self.keys.slanted else 0),
                top - 0.5 * style.SMALL,
                size=style.SMALL,
                align="left" if self.keys.slanted else "center",
                width=_WIDEST_NAME,
                degrees=45 if self.keys.slanted else 0,
            )
        middle = left + self.keys.length / 2
        sheet.text(
            self.axes[1],
            left if self.keys.slanted else middle,
            y + 0.8 * style.SMALL,
            size=style.SMALL,
            colour=style.QUIET,
            align="left" if self.keys.slanted else "center",
        )


def _with_lines(tile: Pixels, row: float, column: float) -> Pixels:
    """White hair lines between cells that are large enough to count."""
    tile = tile.copy()
    if row >= 16:
        tile[int(row) - 1 :: int(row)] = style.PAPER
    if column >= 16:
        tile[:, int(column) - 1 :: int(column)] = style.PAPER
    return tile

"""The cells that a model looked at, drawn as cells: patches, patches with numbers, three levels.

A smooth map is pleasant and hides how coarse attention is. These views show the cells themselves,
each over the exact part of the photo that it stands for.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from regard.errors import GeometryError, SelectionError
from regard.render import style
from regard.render.arrays import Floats, Pixels
from regard.render.colour import Scale
from regard.render.field import Field
from regard.render.look import Look
from regard.render.sheet import Sheet
from regard.render.style import Colour
from regard.render.tile import draw_tile

View = Literal["heatmap", "grid_heatmap", "heatmap_num", "grid"]
"""How a map is drawn.

"heatmap": smooth, interpolated between the centres of cells.
"grid_heatmap": a patch a cell, with edges softened by a fifth of a cell.
"heatmap_num": the same with hard edges and the place on the scale, 0 to 100, in every cell of 10
    or more.
"grid": three levels alone, cells above a quarter, a half and three quarters of the scale.
"""

LEVELS: tuple[tuple[float, str, Colour], ...] = (
    (0.25, "≥ 25 %", (74, 144, 226)),
    (0.50, "≥ 50 %", (247, 201, 72)),
    (0.75, "≥ 75 %", (217, 56, 46)),
)
"""Least place on the scale, words and colour of each level of the view "grid"."""

_LEVEL_COVER = 0.5
_SOFT_CELLS = 0.22
_LEAST_SHOWN = 10
"""Smaller numbers are not written: they would hide the photo."""
_NUMBER_WIDTH = 30
"""Least width of a cell, in pixels, that a number is written into."""


@dataclass(frozen=True, eq=False)
class Cells:
    """A value for each cell of a grid, and where the cells lie on the photo."""

    values: Floats
    """(rows, columns), in the unit of the picture."""
    edges_yx: tuple[Floats, Floats]
    """Where cells begin and end, as shares of the photo's height and width: (rows + 1,) and
    (columns + 1,). Beyond 0 to 1 lies padding."""

    def __post_init__(self) -> None:
        rows, columns = (len(edges) - 1 for edges in self.edges_yx)
        if self.values.shape != (rows, columns):
            raise GeometryError(
                f"values of shape {self.values.shape} for {rows} rows and {columns} columns"
            )

    def index_at(self, size_wh: tuple[int, int]) -> tuple[npt.NDArray[np.intp], ...]:
        """Row of each line and column of each column of a picture; -1 where there is no cell."""
        found = []
        for edges, side in zip(self.edges_yx, size_wh[::-1], strict=True):
            centres = (np.arange(side) + 0.5) / side
            index = np.searchsorted(edges, centres, side="right") - 1
            found.append(np.where(index < len(edges) - 1, index, -1))
        return tuple(found)

    def map(self, size_wh: tuple[int, int]) -> Floats:
        """Each cell's value over its part of a picture; NaN where there is no cell."""
        rows, columns = self.index_at(size_wh)
        found = self.values[rows[:, None], columns[None, :]].astype(np.float32)
        found[(rows < 0)[:, None] | (columns < 0)[None, :]] = np.nan
        return found

    def pooled(self, by: int) -> "Cells":
        """Blocks of ``by`` x ``by`` cells, each with its largest value."""
        if by == 1:
            return self
        rows, columns = (-(-side // by) for side in self.values.shape)
        padding = [(0, rows * by - self.values.shape[0]), (0, columns * by - self.values.shape[1])]
        padded = np.pad(self.values, padding, constant_values=-np.inf)
        values = padded.reshape(rows, by, columns, by).max((1, 3))
        edges = tuple(np.append(e[:-1:by], e[-1]).astype(np.float32) for e in self.edges_yx)
        return Cells(values, (edges[0], edges[1]))


def check_view(view: str) -> View:
    """A view by its name.

    Raises:
        SelectionError: There is none of that name.
    """
    for known in get_args(View):
        if view == known:
            return known  # type: ignore[no-any-return]
    raise SelectionError(f"view is {view!r}, expected one of {get_args(View)}")


def draw_cells(cells: Cells, scale: Scale, look: Look, photo: Pixels, view: View) -> Pixels:
    """One panel of the photo's size: the photo with its cells over it; not for "heatmap"."""
    size_wh = (photo.shape[1], photo.shape[0])
    values = cells.map(size_wh)
    if view == "grid":
        return _levels(cells, values, scale, photo)
    if view == "grid_heatmap":
        values = _softened(values, scale, _cell_px(cells, size_wh))
    nowhere = np.zeros(values.shape, bool)
    field = Field(values=values, masked=nowhere, padding=nowhere)
    tile = draw_tile(field, scale, look, photo=photo, zoom=0.8)
    return _with_seams(tile, cells) if view == "heatmap_num" else tile


def write_numbers(
    sheet: Sheet, cells: Cells, scale: Scale, x: int, y: int, size_wh: tuple[int, int]
) -> None:
    """Write the place on the scale, 0 to 100, on the cells of a panel with its corner at (x, y).

    Where cells are too small for a number, blocks of `cells_a_number` cells a side have one.
    """
    blocks = cells.pooled(cells_a_number(cells, size_wh))
    percent = np.rint(100 * scale.fraction(blocks.values)).astype(int)
    edges = [
        np.clip(e, 0, 1) * side for e, side in zip(blocks.edges_yx, size_wh[::-1], strict=True)
    ]
    middles = [(e[:-1] + e[1:]) / 2 for e in edges]
    room = float(np.diff(edges[1]).max())
    size = min(0.42 * room, style.SMALL)
    for row, column in zip(*np.nonzero(percent >= _LEAST_SHOWN), strict=True):
        if min(edges[0][row + 1] - edges[0][row], edges[1][column + 1] - edges[1][column]) < size:
            continue  # the rest of a cell that is mostly padding
        sheet.text(
            str(percent[row, column]),
            x + middles[1][column],
            y + middles[0][row] + 0.34 * size,
            size=size,
            colour=style.PAPER,
            align="center",
            halo=True,
        )


def cells_a_number(cells: Cells, size_wh: tuple[int, int]) -> int:
    """How many cells a side share a number in a panel; 1 where each is wide enough."""
    return max(1, int(np.ceil(_NUMBER_WIDTH / _cell_px(cells, size_wh))))


def _cell_px(cells: Cells, size_wh: tuple[int, int]) -> float:
    """Width of a whole cell in a picture."""
    return float(np.diff(cells.edges_yx[1]).max() * size_wh[0])


def _softened(values: Floats, scale: Scale, cell_px: float) -> Floats:
    """Blurred by a fifth of a cell, in the steps that the colours have anyway."""
    steps = Image.fromarray(scale.steps(values))
    blurred = steps.filter(ImageFilter.GaussianBlur(max(1.0, _SOFT_CELLS * cell_px)))
    place = np.asarray(blurred, np.float32) / 255
    return np.where(np.isnan(values), np.nan, scale.low + place * (scale.high - scale.low))


def _levels(cells: Cells, values: Floats, scale: Scale, photo: Pixels) -> Pixels:
    place = np.nan_to_num(scale.fraction(values))
    level = np.stack([place >= least for least, _, _ in LEVELS]).sum(0)
    colours = np.array([(0, 0, 0), *(colour for _, _, colour in LEVELS)], np.float32)[level]
    cover = np.where(level > 0, np.float32(_LEVEL_COVER), np.float32(0))[..., None]
    mixed = photo + cover * (colours - photo)
    rows, columns = cells.index_at((photo.shape[1], photo.shape[0]))
    edge = np.zeros(level.shape, bool)
    edge[1:] |= (level[1:] != level[:-1]) & (rows[1:] != rows[:-1])[:, None]
    edge[:, 1:] |= (level[:, 1:] != level[:, :-1]) & (columns[1:] != columns[:-1])[None, :]
    mixed[edge] = np.maximum(colours[edge], 0.35 * 255)
    return np.asarray(np.rint(mixed), np.uint8)


def _with_seams(tile: Pixels, cells: Cells) -> Pixels:
    """With thin lines where one cell ends and the next begins."""
    if _cell_px(cells, (tile.shape[1], tile.shape[0])) < 12:
        return tile
    seamed = tile.astype(np.float32)
    rows, columns = cells.index_at((tile.shape[1], tile.shape[0]))
    seamed[1:][rows[1:] != rows[:-1]] *= 0.82
    seamed[:, 1:][:, columns[1:] != columns[:-1]] *= 0.82
    return np.rint(seamed).astype(np.uint8)

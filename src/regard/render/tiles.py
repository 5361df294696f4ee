"""A table of small pictures that are painted already, with names, notes and marks."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from regard.render import style
from regard.render.arrays import Pixels
from regard.render.colour import Scale
from regard.render.grid import NAME_HEIGHT
from regard.render.sheet import Sheet

_ROW_NAME_HEIGHT = 40


@dataclass(frozen=True)
class Tile:
    """One picture of the table."""

    pixels: Pixels
    """(height, width, 3); all tiles of a table are of one size."""
    name: str = ""
    """Line above."""
    note: str = ""
    """Line below."""
    scale: Scale | None = None
    """What its colours mean."""
    write: Callable[[Sheet, int, int], object] | None = None
    """Writes on the tile that has its corner at (x, y)."""


@dataclass(frozen=True)
class Tiles:
    """Tiles in rows, made to be laid on a sheet."""

    rows: Sequence[Sequence[Tile]]
    """Rows may differ in length."""
    row_names: Sequence[str] = ()
    """A line above each row; none where it is empty."""

    @property
    def size_wh(self) -> tuple[int, int]:
        """Size in pixels."""
        columns = max(len(row) for row in self.rows)
        width = columns * (self._tile_wh[0] + style.GAP) - style.GAP
        return width, sum(map(self._height, range(len(self.rows)))) - style.GAP

    @property
    def _tile_wh(self) -> tuple[int, int]:
        height, width = next(tile for row in self.rows for tile in row).pixels.shape[:2]
        return width, height

    def _height(self, row: int) -> int:
        names = NAME_HEIGHT if any(tile.name for tile in self.rows[row]) else 0
        notes = NAME_HEIGHT if any(tile.note for tile in self.rows[row]) else 0
        above = _ROW_NAME_HEIGHT if self._row_name(row) else 0
        return above + names + self._tile_wh[1] + notes + style.GAP

    def _row_name(self, row: int) -> str:
        return self.row_names[row] if self.row_names else ""

    def draw(self, sheet: Sheet, x: int, y: int) -> None:
        """Draw all rows from (x, y) downwards."""
        for row, tiles in enumerate(self.rows):
            top = y
            if words := self._row_name(row):
                sheet.text(words, x, top + 26, weight="bold", width=self.size_wh[0])
                top += _ROW_NAME_HEIGHT
            named = any(tile.name for tile in tiles)
            for column, tile in enumerate(tiles):
                left = x + column * (self._tile_wh[0] + style.GAP)
                self._draw_tile(sheet, tile, left, top, named)
            y += self._height(row)

    def _draw_tile(self, sheet: Sheet, tile: Tile, x: int, y: int, named: bool) -> None:
        width, height = self._tile_wh
        small = {"size": style.SMALL, "colour": style.QUIET, "width": width}
        if tile.name:
            sheet.text(tile.name, x, y + style.SMALL, **small)  # type: ignore[arg-type]
        y += NAME_HEIGHT if named else 0
        sheet.panel(tile.pixels, x, y, tile.scale)
        if tile.write is not None:
            tile.write(sheet, x, y)
        if tile.note:
            baseline = y + height + 1.15 * style.SMALL
            sheet.text(tile.note, x, baseline, **small)  # type: ignore[arg-type]

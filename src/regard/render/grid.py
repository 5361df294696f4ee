"""Small panels in rows and columns, each with its name above it."""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from regard.errors import GeometryError, SelectionError
from regard.render import style
from regard.render.arrays import Pixels
from regard.render.colour import NOTHING, Scale
from regard.render.field import Field
from regard.render.legend import range_words
from regard.render.look import Look
from regard.render.picture import clean, text_width
from regard.render.sheet import Sheet
from regard.render.style import Colour
from regard.render.tile import draw_tile, resize_photo

Scaling = Literal["shared", "each"]
"""One scale for all panels, so that they compare; or one for each, so that each is seen well."""

NAME_HEIGHT = 32
_LARGEST_SIDE = 720
_LEAST_WIDTH = 84
_LEAST_TYPE = 11
_LEAST_NAME = 15


def scales_of(fields: Sequence[Field], look: Look, scaling: Scaling) -> list[Scale]:
    """Scale of each field, in order; all the same where it is shared.

    Raises:
        SelectionError: ``scaling`` is neither "shared" nor "each".
    """
    if scaling not in get_args(Scaling):
        raise SelectionError(f"scale={scaling!r}, expected one of {get_args(Scaling)}")
    if scaling == "each":
        return [_own_scale(field, look) for field in fields]
    return [Scale.of(*(field.shown for field in fields), high=look.high)] * len(fields)


def _own_scale(field: Field, look: Look) -> Scale:
    """One panel without any value, a head that is masked everywhere, spoils no picture."""
    return Scale.of(field.shown, high=look.high) if np.isfinite(field.shown).any() else NOTHING


def names_or_numbers(
    names: Sequence[str] | None, count: int, what: str, *, prefix: str = ""
) -> Sequence[str]:
    """``names``, or 0, 1, 2... where there are none.

    Raises:
        GeometryError: Not one name for each panel.
    """
    if names is None:
        return [f"{prefix}{index}" for index in range(count)]
    if len(names) != count:
        raise GeometryError(f"{len(names)} names for {count} {what}, expected one for each")
    return names


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Panels of one size, filled row by row."""

    fields: Sequence[Field]
    names: Sequence[str]
    scales: Sequence[Scale]
    photo: Pixels | None
    look: Look
    columns: int
    panel_wh: tuple[int, int]
    ranges_below: bool
    """Whether each panel's range is written below it."""
    query_xy: tuple[float, float] | None = None
    photo_wh: tuple[int, int] = (1, 1)
    chosen: int | None = None
    """Panel whose name is set bold."""
    lead: str = ""
    """Name of a first panel that shows the photo alone; none by default."""
    colours: Sequence[Colour] = ()
    """Of a square before each name, by which it is known elsewhere; none by default."""

    @property
    def rows(self) -> int:
        """Number of rows."""
        return -(-(len(self.fields) + bool(self.lead)) // self.columns)

    @property
    def width(self) -> int:
        """Width in pixels."""
        return self.columns * (self.panel_wh[0] + style.GAP) - style.GAP

    @property
    def height(self) -> int:
        """Height in pixels."""
        return self.rows * self._pitch - style.GAP

    @property
    def _pitch(self) -> int:
        below = NAME_HEIGHT if self.ranges_below else 0
        return self.panel_wh[1] + NAME_HEIGHT + below + style.GAP

    @functools.cached_property
    def _name_size(self) -> float:
        """The same for all: smaller where the longest name does not fit, within reason."""
        widest = max(text_width(clean(name), style.SMALL) for name in self.names)
        return max(_LEAST_NAME, style.SMALL * min(1.0, self.panel_wh[0] / max(1.0, widest)))

    def draw(self, sheet: Sheet, x: int, y: int) -> None:
        """Draw all panels, the first with its name at (x, y)."""
        photo = None if self.photo is None else resize_photo(self.photo, self.panel_wh)
        if self.lead and photo is not None:
            self._write_name(sheet, self.lead, x, y)
            sheet.panel(photo, x, y + NAME_HEIGHT)
        for index in range(len(self.fields)):
            row, column = divmod(index + bool(self.lead), self.columns)
            left = x + column * (self.panel_wh[0] + style.GAP)
            self._draw_panel(sheet, index, left, y + row * self._pitch, photo)

    def _draw_panel(self, sheet: Sheet, index: int, x: int, y: int, photo: Pixels | None) -> None:
        width, height = self.panel_wh
        indent = draw_square(sheet, self.colours[index], x, y, width) if self.colours else 0
        self._write_name(sheet, self.names[index], x, y, indent, bold=index == self.chosen)
        field, scale = self.fields[index].resized(self.panel_wh), self.scales[index]
        top = y + NAME_HEIGHT
        sheet.panel(draw_tile(field, scale, self.look, photo=photo, zoom=0.8), x, top, scale)
        self.draw_ring(sheet, x, top)
        if self.ranges_below:
            write_range(sheet, scale, x, top + height + 1.15 * style.SMALL, width)

    def _write_name(
        self, sheet: Sheet, name: str, x: int, y: int, indent: int = 0, *, bold: bool = False
    ) -> None:
        sheet.text(
            name,
            x + indent,
            y + style.SMALL,
            size=self._name_size,
            colour=style.INK if bold else style.QUIET,
            weight="bold" if bold else "regular",
            width=self.panel_wh[0] - indent,
        )

    def draw_ring(self, sheet: Sheet, x: int, y: int) -> None:
        """Mark the query point, where there is one, on a panel with its corner at (x, y)."""
        if self.query_xy is None:
            return
        across, down = (
            point * shown / whole
            for point, shown, whole in zip(self.query_xy, self.panel_wh, self.photo_wh, strict=True)
        )
        sheet.ring(x + across, y + down, max(4.0, min(self.panel_wh) / 50))


def draw_square(sheet: Sheet, colour: Colour, x: int, y: int, width: int) -> int:
    """The square before the name of a panel of this width; how much room it takes."""
    side = round(0.7 * style.SMALL)
    square = np.full((side, min(side, width), 3), colour, np.uint8)
    sheet.panel(square, x, y + style.SMALL - side)
    return min(round(1.5 * side), width)


def write_range(sheet: Sheet, scale: Scale, x: float, y: float, width: float) -> None:
    """Write a panel's range below it, in smaller type where the panel is narrow."""
    words = range_words(scale)
    size = style.SMALL * min(1, width / text_width(words, style.SMALL))
    sheet.text(words, x, y, size=max(_LEAST_TYPE, size), colour=style.QUIET)


def arrange(
    count: int, photo_wh: tuple[int, int], box_wh: tuple[int, int], *, below: bool = False
) -> tuple[int, tuple[int, int]]:
    """Columns and panel size that fill a box's width and come near its height.

    Args:
        count: Number of panels.
        photo_wh: Proportions of a panel.
        box_wh: Room for all panels with their names; the height is a wish.
        below: Whether a range stands below each panel.
    """
    extra = NAME_HEIGHT * (2 if below else 1) + style.GAP

    def size(columns: int) -> tuple[int, int]:
        return panel_size(photo_wh, (box_wh[0] + style.GAP) / columns - style.GAP)

    def awkwardness(columns: int) -> float:
        rows = -(-count // columns)
        excess = math.log(rows * (size(columns)[1] + extra) / box_wh[1])
        empty = (rows * columns - count) / (rows * columns)
        return (2 * excess if excess > 0 else -excess) + 3 * empty

    most = min(count, max(1, (box_wh[0] + style.GAP) // (_LEAST_WIDTH + style.GAP)))
    columns = min(range(1, most + 1), key=awkwardness)
    return columns, size(columns)


def panel_size(photo_wh: tuple[int, int], width: float) -> tuple[int, int]:
    """Size with the photo's proportions, at most ``width`` wide and not too large."""
    factor = min(width / photo_wh[0], _LARGEST_SIDE / max(photo_wh))
    return max(1, int(photo_wh[0] * factor)), max(1, int(photo_wh[1] * factor))

"""Small panels in rows and columns, each with its name above it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from regard.errors import GeometryError, SelectionError
from regard.render import style
from regard.render.arrays import Pixels
from regard.render.colour import Scale
from regard.render.field import Field
from regard.render.legend import range_words
from regard.render.look import Look
from regard.render.picture import text_width
from regard.render.sheet import Sheet
from regard.render.tile import draw_tile, resize_photo

Scaling = Literal["shared", "each"]
"""One scale for all panels, so that they compare; or one for each, so that each is seen well."""

NAME_HEIGHT = 32
_LARGEST_SIDE = 720
_LEAST_WIDTH = 90
_LEAST_TYPE = 11


def scales_of(fields: Sequence[Field], look: Look, scaling: Scaling) -> list[Scale]:
    """Scale of each field, in order; all the same where it is shared.

    Raises:
        SelectionError: ``scaling`` is neither "shared" nor "each".
    """
    if scaling not in get_args(Scaling):
        raise SelectionError(f"scale={scaling!r}, expected one of {get_args(Scaling)}")
    if scaling == "each":
        return [Scale.of(field.values, high=look.high) for field in fields]
    return [Scale.of(*(field.values for field in fields), high=look.high)] * len(fields)


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

    @property
    def rows(self) -> int:
        """Number of rows."""
        return -(-len(self.fields) // self.columns)

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

    def draw(self, sheet: Sheet, x: int, y: int) -> None:
        """Draw all panels, the first with its name at (x, y)."""
        photo = None if self.photo is None else resize_photo(self.photo, self.panel_wh)
        for index in range(len(self.fields)):
            row, column = divmod(index, self.columns)
            left = x + column * (self.panel_wh[0] + style.GAP)
            self._draw_panel(sheet, index, left, y + row * self._pitch, photo)

    def _draw_panel(self, sheet: Sheet, index: int, x: int, y: int, photo: Pixels | None) -> None:
        width, height = self.panel_wh
        bold = index == self.chosen
        sheet.text(
            self.names[index],
            x,
            y + style.SMALL,
            size=style.SMALL,
            colour=style.INK if bold else style.QUIET,
            weight="bold" if bold else "regular",
            width=width,
        )
        field, scale = self.fields[index].resized(self.panel_wh), self.scales[index]
        top = y + NAME_HEIGHT
        sheet.panel(draw_tile(field, scale, self.look, photo=photo, zoom=0.8), x, top, scale)
        if self.query_xy is not None:
            across, down = (
                v * p / f
                for v, p, f in zip(self.query_xy, self.panel_wh, self.photo_wh, strict=True)
            )
            sheet.ring(x + across, top + down, max(4.0, min(width, height) / 45))
        if self.ranges_below:
            write_range(sheet, scale, x, top + height + 1.15 * style.SMALL, width)


def write_range(sheet: Sheet, scale: Scale, x: float, y: float, width: float) -> None:
    """Write a panel's range below it, in smaller type where the panel is narrow."""
    words = range_words(scale)
    size = style.SMALL * min(1, width / text_width(words, style.SMALL))
    sheet.text(words, x, y, size=max(_LEAST_TYPE, size), colour=style.QUIET)


def arrange(
    count: int, photo_wh: tuple[int, int], box_wh: tuple[int, int], *, below: bool = False
) -> tuple[int, tuple[int, int]]:
    """Columns and panel size with the largest panels that fit into a box.

    The box grows in height where panels would become too small to see.

    Args:
        count: Number of panels.
        photo_wh: Proportions of a panel.
        box_wh: Room for all panels with their names.
        below: Whether a range stands below each panel.
    """
    extra = NAME_HEIGHT * (2 if below else 1) + style.GAP

    def width(columns: int) -> float:
        rows = -(-count // columns)
        down = (box_wh[1] + style.GAP) / rows - extra
        return min((box_wh[0] + style.GAP) / columns - style.GAP, down * photo_wh[0] / photo_wh[1])

    best = max(range(1, count + 1), key=width)
    if width(best) < _LEAST_WIDTH:
        best = max(1, min(count, (box_wh[0] + style.GAP) // (_LEAST_WIDTH + style.GAP)))
        return best, panel_size(photo_wh, _LEAST_WIDTH)
    return best, panel_size(photo_wh, width(best))


def panel_size(photo_wh: tuple[int, int], width: float) -> tuple[int, int]:
    """Size with the photo's proportions, at most ``width`` wide and not too large."""
    factor = min(width / photo_wh[0], _LARGEST_SIDE / max(photo_wh))
    return max(1, round(photo_wh[0] * factor)), max(1, round(photo_wh[1] * factor))

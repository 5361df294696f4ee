"""Rows of panels over a photo or frames: attention, masks and boxes side by side."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from regard.errors import GeometryError
from regard.render import style
from regard.render.arrays import Array, Flags, Pixels, as_flags, as_maps, as_photo, check_extent
from regard.render.colour import NOTHING, Scale
from regard.render.field import Field, as_fields
from regard.render.grid import (
    NAME_HEIGHT,
    Scaling,
    draw_square,
    panel_size,
    scales_of,
    write_range,
)
from regard.render.legend import Legend, all_places
from regard.render.look import DEFAULT_LOOK, Look
from regard.render.page import draw_page
from regard.render.picture import Picture
from regard.render.segments import outline, tint
from regard.render.sheet import Sheet
from regard.render.style import Colour
from regard.render.tile import draw_tile, resize_photo

_LARGEST_WIDTH = 480
_ROW_NAME_HEIGHT = 38


@dataclass(frozen=True, kw_only=True)
class Dot:
    """A point of the photo, drawn as a disc."""

    xy: tuple[float, float]
    """In pixels of the photo."""
    size: float
    """Share of the largest dot's area, from 0 to 1."""
    colour: Colour


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One panel: the photo, with what is given laid over it."""

    name: str = ""
    """Line above."""
    note: str = ""
    """Line below."""
    heat: Array | None = None
    """(height, width) density, weight per pixel; NaN where the model did not see."""
    masked: Array | None = None
    """Bool of the heat's shape, True where attention was not allowed."""
    mask: Array | None = None
    """Bool (height, width), True where the object is: coloured, or outlined where there is heat."""
    photo: Image.Image | Array | None = None
    """Instead of the photo that the other panels lie over; of its size."""
    box_xyxy: tuple[float, float, float, float] | None = None
    """Box to draw, in pixels of the photo."""
    colour: Colour = (236, 112, 20)
    """Of mask and box."""
    square: Colour | None = None
    """Colour of a square before the name, where dots of a colour belong to the panel."""
    dots: Sequence[Dot] = ()
    """Points to draw; those outside of the photo are left out."""


def draw_panels(
    photo: Image.Image | Array,
    rows: Sequence[Sequence[Panel]],
    *,
    row_names: Sequence[str] | None = None,
    query_xy: tuple[float, float] | None = None,
    title: str = "",
    lines: Sequence[str] = (),
    scale: Scaling = "shared",
    look: Look = DEFAULT_LOOK,
) -> Picture:
    """Panels in rows, all of one size.

    Args:
        photo: PIL image, or (height, width, 3) uint8.
        rows: Panels of each row; rows may differ in length.
        row_names: A line above each row.
        query_xy: Point to ring on every panel, in pixels of the photo.
        title: First line, bold.
        lines: Further lines below it.
        scale: "shared" so that panels compare, or "each" with its range below each panel.
        look: Colour map, scale and unit.

    Raises:
        GeometryError: No panel, shapes that do not fit, or no finite value.
        SelectionError: An unknown colour map or scale.
    """
    pixels = as_photo(photo)
    if not any(rows):
        raise GeometryError("there is no panel to draw; expected one at least")
    if row_names is not None and len(row_names) != len(rows):
        raise GeometryError(f"{len(row_names)} row names for {len(rows)} rows")
    flat = [panel for row in rows for panel in row]
    fields = [_field(panel, pixels, look) for panel in flat]
    with_heat = [field for field in fields if field is not None]
    scales = iter(scales_of(with_heat, look, scale) if with_heat else ())
    columns = max(len(row) for row in rows)
    room = (style.PAGE_WIDTH - 2 * style.MARGIN + style.GAP) / columns - style.GAP
    table = _Table(
        photo=pixels,
        rows=rows,
        row_names=row_names,
        fields=fields,
        scales=[NOTHING if field is None else next(scales) for field in fields],
        panel_wh=panel_size((pixels.shape[1], pixels.shape[0]), min(room, _LARGEST_WIDTH)),
        columns=columns,
        query_xy=query_xy,
        look=look,
        ranges=scale == "each",
    )
    legend = None
    if with_heat:
        legend = Legend(
            scale=next(s for f, s in zip(fields, table.scales, strict=True) if f is not None)
            if scale == "shared"
            else None,
            look=look,
            places=all_places(field.places() for field in with_heat),
            over_photo=True,
        )
    return draw_page(table.size_wh, table.draw, legend, title=title, lines=lines)


def _field(panel: Panel, photo: Pixels, look: Look) -> Field | None:
    if panel.heat is None:
        return None
    maps = as_maps(panel.heat, "height width", "heat")
    check_extent(maps.shape[-2:], photo.shape[:2])
    (field,) = as_fields(maps, panel.masked, None, look)
    return field


@dataclass(frozen=True, kw_only=True)
class _Table:
    photo: Pixels
    rows: Sequence[Sequence[Panel]]
    row_names: Sequence[str] | None
    fields: Sequence[Field | None]
    scales: Sequence[Scale]
    panel_wh: tuple[int, int]
    columns: int
    query_xy: tuple[float, float] | None
    look: Look
    ranges: bool

    @property
    def size_wh(self) -> tuple[int, int]:
        """Size in pixels."""
        width = self.columns * (self.panel_wh[0] + style.GAP) - style.GAP
        return width, sum(self._height(row) for row in self.rows) - style.GAP

    def _height(self, row: Sequence[Panel]) -> int:
        names = NAME_HEIGHT if any(panel.name for panel in row) else 0
        notes = NAME_HEIGHT if self.ranges or any(panel.note for panel in row) else 0
        above = _ROW_NAME_HEIGHT if self.row_names is not None else 0
        return above + names + self.panel_wh[1] + notes + style.GAP

    def draw(self, sheet: Sheet, x: int, y: int) -> None:
        """Draw all rows from (x, y) downwards."""
        shown = resize_photo(self.photo, self.panel_wh)
        index = 0
        for number, row in enumerate(self.rows):
            top = y
            if self.row_names is not None:
                words = self.row_names[number]
                sheet.text(words, x, top + 26, weight="bold", width=self.size_wh[0])
                top += _ROW_NAME_HEIGHT
            for column, panel in enumerate(row):
                left = x + column * (self.panel_wh[0] + style.GAP)
                self._draw_panel(sheet, panel, index, left, top, shown)
                index += 1
            y += self._height(row)

    def _draw_panel(
        self, sheet: Sheet, panel: Panel, index: int, x: int, y: int, shown: Pixels
    ) -> None:
        width, height = self.panel_wh
        field, scale = self.fields[index], self.scales[index]
        if panel.name:
            indent = 0 if panel.square is None else draw_square(sheet, panel.square, x, y, width)
            sheet.text(
                panel.name,
                x + indent,
                y + style.SMALL,
                size=style.SMALL,
                colour=style.QUIET,
                width=width - indent,
            )
            y += NAME_HEIGHT
        if panel.photo is not None:
            shown = resize_photo(_same_size(panel.photo, self.photo), (width, height))
        tile = _over_photo(panel, shown)
        if field is not None:
            tile = draw_tile(
                field.resized((width, height)), scale, self.look, photo=shown, zoom=0.8
            )
            tile = _outlined(tile, panel.mask)
        if panel.box_xyxy is not None:
            tile = _boxed(tile, panel.box_xyxy, self.photo.shape[1::-1], panel.colour)
        if panel.dots:
            tile = _dotted(tile, panel.dots, self.photo.shape[1::-1])
        sheet.panel(tile, x, y, None if field is None else scale)
        if self.query_xy is not None:
            across, down = (
                point * side / whole
                for point, side, whole in zip(
                    self.query_xy, self.panel_wh, self.photo.shape[1::-1], strict=True
                )
            )
            sheet.ring(x + across, y + down, max(4.0, min(self.panel_wh) / 50))
        below = y + height + 1.15 * style.SMALL
        if panel.note:
            sheet.text(
                panel.note, x, below, size=0.9 * style.SMALL, colour=style.QUIET, width=width
            )
        elif self.ranges and field is not None:
            write_range(sheet, scale, x, below, width)


def _over_photo(panel: Panel, shown: Pixels) -> Pixels:
    """The photo, grey but for the object's mask where there is one."""
    if panel.mask is None:
        return shown
    mask = as_flags(panel.mask, np.asarray(panel.mask).shape, "mask")
    small = _resized(mask, (shown.shape[1], shown.shape[0]))
    return tint(shown, small[None].astype(np.int64)[0], {1: panel.colour}, others=0.25)


def _same_size(photo: Image.Image | Array, like: Pixels) -> Pixels:
    pixels = as_photo(photo)
    if pixels.shape != like.shape:
        raise GeometryError(
            f"a panel's photo is {pixels.shape[:2]} (height, width), the others {like.shape[:2]}; "
            "expected all of one size"
        )
    return pixels


def _outlined(tile: Pixels, mask: Array | None) -> Pixels:
    """The tile with a light line inside of the mask's edge, and a dark one around it."""
    if mask is None:
        return tile
    flags = as_flags(mask, np.asarray(mask).shape, "mask")
    inside = _resized(flags, (tile.shape[1], tile.shape[0])).astype(np.int64)
    thickness = max(1, round(min(tile.shape[:2]) / 120))
    drawn = tile.copy()
    drawn[outline(1 - inside, thickness)] = style.INK
    drawn[outline(inside, thickness)] = style.PAPER
    return drawn


def _resized(mask: Flags, size_wh: tuple[int, int]) -> Flags:
    image = Image.fromarray(mask.astype(np.float32)).resize(size_wh, Image.Resampling.BOX)
    return np.asarray(image) >= 0.5


def _boxed(
    tile: Pixels,
    box_xyxy: tuple[float, float, float, float],
    photo_wh: tuple[int, ...],
    colour: Colour,
) -> Pixels:
    height, width = tile.shape[:2]
    x0, x1 = (round(edge * width / photo_wh[0]) for edge in box_xyxy[::2])
    y0, y1 = (round(edge * height / photo_wh[1]) for edge in box_xyxy[1::2])
    inside = np.zeros((height, width), np.int64)
    inside[max(y0, 0) : max(y1, y0 + 1), max(x0, 0) : max(x1, x0 + 1)] = 1
    drawn = tile.copy()
    thickness = max(2, round(min(width, height) / 120))
    drawn[outline(inside, thickness)] = colour
    return drawn


def _dotted(tile: Pixels, dots: Sequence[Dot], photo_wh: tuple[int, ...]) -> Pixels:
    height, width = tile.shape[:2]
    rows, columns = np.ogrid[:height, :width]
    largest = max(4.0, min(width, height) / 40)
    drawn = tile.astype(np.float32)
    for dot in sorted(dots, key=lambda dot: -dot.size):  # small ones on top
        x, y = (
            p * side / whole
            for p, side, whole in zip(dot.xy, (width, height), photo_wh, strict=True)
        )
        radius = max(1.5, largest * dot.size**0.5)
        distance = np.hypot(columns + 0.5 - x, rows + 0.5 - y)
        for colour, reach in (((255, 255, 255), radius + 1), (dot.colour, radius)):
            cover = np.clip(reach + 0.5 - distance, 0, 1)[..., None]
            drawn += cover * (np.array(colour, np.float32) - drawn)
    return np.rint(drawn).astype(np.uint8)

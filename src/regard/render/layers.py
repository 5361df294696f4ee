"""Every head of every layer at a glance: layers downwards, heads across."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

from regard.render import style
from regard.render.arrays import Array, as_maps
from regard.render.colour import Scale
from regard.render.field import Field, as_fields
from regard.render.grid import Scaling, names_or_numbers, scales_of, write_range
from regard.render.legend import Legend, all_places
from regard.render.look import DEFAULT_LOOK, Look
from regard.render.page import draw_page
from regard.render.picture import Picture, clean, text_width
from regard.render.sheet import Sheet
from regard.render.tile import draw_tile

_GAP = 5
_LEAST_SIDE, _LARGEST_SIDE = 24, 144
_LEAST_PITCH = 20
_WIDEST_NAME = 320
_RANGE_HEIGHT = 24


def draw_layers(
    heats: Array | Sequence[Array],
    *,
    layer_names: Sequence[str] | None = None,
    head_names: Sequence[str] | None = None,
    title: str = "",
    lines: Sequence[str] = (),
    scale: Scaling = "shared",
    masked: Array | None = None,
    padding: Array | None = None,
    look: Look = DEFAULT_LOOK,
) -> Picture:
    """One small heat map for each head of each layer.

    Args:
        heats: (layers, heads, height, width) density, weight per pixel; NaN where the model did
            not see. Panels are small: maps of 100 to 200 pixels a side suffice.
        layer_names: Name of each row; 0, 1, 2... by default.
        head_names: Name of each column; 0, 1, 2... by default.
        title: First line, bold.
        lines: Further lines below it.
        scale: "shared" so that layers compare, or "each" with its range below each panel.
        masked: Bool that broadcasts to the shape of ``heats``, e.g. (layers, 1, height, width);
            True where attention was not allowed.
        padding: Likewise, True where there is no photo.
        look: Colour map, scale and unit.

    Raises:
        GeometryError: Shapes that do not fit, or no finite value.
        SelectionError: An unknown colour map or scale.
    """
    maps = as_maps(heats, "layers heads height width", "heats")
    fields = as_fields(maps, masked, padding, look)
    scales = scales_of(fields, look, scale)
    table = _Table(
        fields=fields,
        scales=scales,
        layer_names=differing(names_or_numbers(layer_names, maps.shape[0], "layers")),
        head_names=names_or_numbers(head_names, maps.shape[1], "heads"),
        map_wh=(maps.shape[3], maps.shape[2]),
        ranges_below=scale == "each",
        look=look,
    )
    legend = Legend(
        scale=scales[0] if scale == "shared" else None,
        look=look,
        places=all_places(field.places() for field in fields),
        over_photo=False,
    )
    return draw_page(table.size_wh, table.draw, legend, title=title, lines=lines)


def differing(names: Sequence[str]) -> Sequence[str]:
    """Module paths without the parts that all share, but for the last one before they differ.

    >>> differing(["vit.layers.0.attn", "vit.layers.1.attn"])
    ['layers.0', 'layers.1']
    """
    paths = [name.split(".") for name in names]
    if len(set(names)) < 2 or len({len(path) for path in paths}) > 1:
        return names
    varying = [i for i, parts in enumerate(zip(*paths, strict=True)) if len(set(parts)) > 1]
    first, last = max(0, varying[0] - 1), varying[-1]
    return [".".join(path[first : last + 1]) for path in paths]


@dataclass(frozen=True, kw_only=True)
class _Table:
    fields: Sequence[Field]
    scales: Sequence[Scale]
    layer_names: Sequence[str]
    head_names: Sequence[str]
    map_wh: tuple[int, int]
    ranges_below: bool
    look: Look

    @functools.cached_property
    def _panel_wh(self) -> tuple[int, int]:
        room = style.PAGE_WIDTH - 2 * style.MARGIN - self._name_width
        side = room / len(self.head_names) - _GAP
        factor = min(max(side, _LEAST_SIDE), _LARGEST_SIDE) / self.map_wh[0]
        factor = min(factor, _LARGEST_SIDE / self.map_wh[1])
        return max(1, round(self.map_wh[0] * factor)), max(1, round(self.map_wh[1] * factor))

    @functools.cached_property
    def _name_width(self) -> int:
        widest = max(text_width(clean(f"layer {n}"), style.SMALL) for n in self.layer_names)
        return round(min(widest, _WIDEST_NAME)) + 2 + style.GAP

    @property
    def _pitch(self) -> tuple[int, int]:
        width, height = self._panel_wh
        below = _RANGE_HEIGHT if self.ranges_below else 0
        return width + _GAP, max(height + _GAP, _LEAST_PITCH) + below

    @property
    def size_wh(self) -> tuple[int, int]:
        """Size in pixels."""
        across, down = self._pitch
        width = self._name_width + across * len(self.head_names) - _GAP
        return width, 2 * style.SMALL + down * len(self.layer_names) - _GAP

    def draw(self, sheet: Sheet, x: int, y: int) -> None:
        """Draw names and panels from (x, y)."""
        left, top = x + self._name_width, y + 2 * style.SMALL
        self._draw_names(sheet, x, y)
        across, down = self._pitch
        for index, (field, scale) in enumerate(zip(self.fields, self.scales, strict=True)):
            row, column = divmod(index, len(self.head_names))
            at_x, at_y = left + column * across, top + row * down
            tile = draw_tile(field.resized(self._panel_wh), scale, self.look, zoom=0.7)
            sheet.panel(tile, at_x, at_y, scale)
            if self.ranges_below:
                below = at_y + self._panel_wh[1] + 0.95 * style.SMALL
                write_range(sheet, scale, at_x, below, self._panel_wh[0])

    def _draw_names(self, sheet: Sheet, x: int, y: int) -> None:
        (across, down), (width, height) = self._pitch, self._panel_wh
        size = min(style.SMALL, 0.9 * down)
        left, top = x + self._name_width, y + 2 * style.SMALL
        for row, name in enumerate(self.layer_names):
            sheet.text(
                f"layer {name}" if name.isdigit() else name,
                left - style.GAP,
                top + row * down + height / 2 + 0.36 * size,
                size=size,
                colour=style.QUIET,
                align="right",
                width=self._name_width - style.GAP,
            )
        for column, name in enumerate(self.head_names):
            sheet.text(
                f"head {name}" if column == 0 and width > 80 and name.isdigit() else name,
                left + column * across + width / 2,
                y + style.SMALL,
                size=style.SMALL,
                colour=style.QUIET,
                align="center",
                width=across,
            )

"""The one picture for a talk: photo, overlay, the other layers or heads, and what is what."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from regard.render import style
from regard.render.arrays import Array, Pixels, as_maps, as_photo, check_extent
from regard.render.field import Field, as_fields
from regard.render.grid import (
    NAME_HEIGHT,
    Grid,
    Scaling,
    arrange,
    names_or_numbers,
    scales_of,
)
from regard.render.legend import Legend, all_places
from regard.render.look import DEFAULT_LOOK, Look
from regard.render.page import LEAST_WIDTH, draw_page
from regard.render.picture import Picture, clean, text_width
from regard.render.sheet import Sheet
from regard.render.tile import resize_photo

_WIDE = 2.6
"""Photos wider than this over their height stand above their overlay, not beside it."""
_TALL = 0.5
"""Photos narrower than this leave room for the small panels at their right."""
_HIGHEST = 960
_PANELS_HIGHEST = 470
_BLOCK_GAP = 40
_LEGEND_GAP = 22
_NOTE_HEIGHT = 42


def draw_summary(
    photo: Image.Image | Array,
    heat: Array,
    *,
    panels: Array | Sequence[Array] | None = None,
    panel_names: Sequence[str] | None = None,
    panels_title: str = "",
    chosen: int | None = None,
    model: str = "",
    layer: str = "",
    head: str = "",
    query: str = "",
    prefix: Mapping[str, float] | None = None,
    scale: Scaling = "each",
    masked: Array | None = None,
    padding: Array | None = None,
    panels_masked: Array | None = None,
    query_xy: tuple[float, float] | None = None,
    look: Look = DEFAULT_LOOK,
) -> Picture:
    """Photo and overlay side by side, small panels below, and title lines above.

    Args:
        photo: PIL image, or (height, width, 3) uint8.
        heat: (height, width) density of the chosen layer, weight per pixel, for the photo's
            extent. NaN where the model did not see.
        panels: (panels, height, width) densities of the other layers or heads; none by default.
        panel_names: Name of each panel; 0, 1, 2... by default.
        panels_title: What the panels are, e.g. "Heads of layer 8".
        chosen: Panel to name in bold, e.g. the layer that the overlay shows.
        model: First title line.
        layer: e.g. "layer 8 of 12".
        head: e.g. "mean of 6 heads".
        query: Name of the query, e.g. "CLS" or "patch at (220, 240)".
        prefix: Share of the query's attention, 0 to 1, on each token that is no place in the
            photo, e.g. {"CLS": 0.12}.
        scale: "each" panel on its own scale, or "shared" by all and the overlay.
        masked: (height, width) bool for ``heat``, True where attention was not allowed.
        padding: (height, width) bool for ``heat`` and every panel, True where there is no photo.
        panels_masked: Bool that broadcasts to the shape of ``panels``.
        query_xy: Point to ring, in photo pixels.
        look: Colour map, scale, unit and manner of mixing.

    Raises:
        GeometryError: Shapes that do not fit, or no finite value.
        SelectionError: An unknown colour map or scale.
    """
    pixels = as_photo(photo)
    photo_hw = pixels.shape[:2]
    values = as_maps(heat, "height width", "heat")
    check_extent(values.shape, photo_hw)
    (field,) = as_fields(values, masked, padding, look)
    small: Sequence[Field] = ()
    if panels is not None:
        maps = as_maps(panels, "panels height width", "panels")
        check_extent(maps.shape[1:], photo_hw)
        small = as_fields(maps, panels_masked, padding, look)
    scales = scales_of([field, *small], look, scale)
    photo_wh = (photo_hw[1], photo_hw[0])
    wide, tall = _is_wide(pixels), photo_wh[0] < _TALL * photo_wh[1]
    overlay = Grid(
        fields=[field],
        names=["attention"],
        scales=scales[:1],
        photo=pixels,
        look=look,
        columns=1,
        panel_wh=_pair_panel(photo_wh, wide),
        ranges_below=False,
        query_xy=query_xy,
        photo_wh=photo_wh,
    )
    names = names_or_numbers(panel_names, len(small), "panels")
    own = scale == "each"
    grid = None
    if small:
        pair_width = overlay.width if wide else 2 * overlay.width + style.GAP
        box_wh = _small_box(pair_width, photo_wh, tall)
        columns, panel_wh = arrange(len(small), photo_wh, box_wh, below=own)
        grid = replace(
            overlay,
            fields=small,
            names=names,
            scales=scales[1:],
            columns=columns,
            panel_wh=panel_wh,
            ranges_below=own,
            chosen=chosen,
        )
    legend = Legend(
        scale=scales[0],
        look=look,
        places=all_places(part.places() for part in (field, *small)),
        over_photo=True,
    )
    detail = "each on its own scale, up to the number below it" if own else "on the same scale"
    body = _Body(
        photo=pixels,
        overlay=overlay,
        legend=legend,
        small=grid,
        small_at_right=tall,
        note=(panels_title, detail),
    )
    lines = [" · ".join(part for part in (layer, head, query and f"query {query}") if part)]
    lines.append(mass_words(float(np.nansum(values, dtype=np.float64)), query, prefix or {}))
    return draw_page(body.size_wh, body.draw, title=model, lines=[line for line in lines if line])


def mass_words(on_photo: float, query: str, prefix: Mapping[str, float]) -> str:
    """Where a query's attention goes, in one sentence; empty where it all falls on the photo.

    >>> mass_words(0.88, "CLS", {"CLS": 0.12})
    '88 % of the attention falls on the photo, CLS keeps 12 % for itself'
    """
    if not prefix:
        return ""
    parts = [f"{_percent(on_photo)} of the attention falls on the photo"]
    for name, share in prefix.items():
        own = name == query
        parts.append(
            f"{name} keeps {_percent(share)} for itself" if own else f"{_percent(share)} on {name}"
        )
    return ", ".join(parts)


def _percent(share: float) -> str:
    percent = 100 * share
    digits = 0 if percent >= 9.95 or percent == 0 else 1
    return "< 0.1 %" if 0 < percent < 0.05 else f"{percent:.{digits}f} %"


@dataclass(frozen=True, kw_only=True)
class _Body:
    """Photo and overlay with their legend, and the small panels below or at the right of them."""

    photo: Pixels
    overlay: Grid
    """One panel."""
    legend: Legend
    small: Grid | None
    small_at_right: bool
    note: tuple[str, str]

    @property
    def _pair_wh(self) -> tuple[int, int]:
        width, height = self.overlay.width, self.overlay.height
        if _is_wide(self.photo):
            return width, 2 * height + style.GAP
        return 2 * width + style.GAP, height

    @property
    def _legend_width(self) -> int:
        return max(self._pair_wh[0], self.legend.least_width())

    @property
    def _legend_height(self) -> int:
        return _LEGEND_GAP + self.legend.height(self._legend_width)

    @property
    def size_wh(self) -> tuple[int, int]:
        (width, height), small = self._pair_wh, self.small
        if small is None:
            return max(width, self._legend_width), height + self._legend_height
        if self.small_at_right:
            across = width + _BLOCK_GAP + small.width
            down = max(height, _NOTE_HEIGHT + small.height)
            return max(across, self._legend_width), down + self._legend_height
        below = _BLOCK_GAP + _NOTE_HEIGHT + small.height
        return max(small.width, self._legend_width), height + self._legend_height + below

    def draw(self, sheet: Sheet, x: int, y: int) -> None:
        width, height = self._pair_wh
        self._draw_pair(sheet, x, y)
        if self.small is not None and self.small_at_right:
            self._draw_small(sheet, x + width + _BLOCK_GAP, y, self.small)
            below = y + self.size_wh[1] - self._legend_height + _LEGEND_GAP
        else:
            below = y + height + _LEGEND_GAP
        self.legend.draw(sheet, x, below, self._legend_width)
        if self.small is not None and not self.small_at_right:
            self._draw_small(sheet, x, y + height + self._legend_height + _BLOCK_GAP, self.small)

    def _draw_small(self, sheet: Sheet, x: int, y: int, small: Grid) -> None:
        title, detail = self.note
        baseline = y + style.SMALL
        sheet.text(title, x, baseline, size=style.SMALL, weight="bold", width=small.width)
        used = text_width(clean(title), style.SMALL, "bold") + 14 if title else 0
        room = max(0, small.width - used)
        sheet.text(detail, x + used, baseline, size=style.SMALL, colour=style.QUIET, width=room)
        small.draw(sheet, x, y + _NOTE_HEIGHT)

    def _draw_pair(self, sheet: Sheet, x: int, y: int) -> None:
        sheet.text("photo", x, y + style.SMALL, size=style.SMALL, colour=style.QUIET)
        sheet.panel(resize_photo(self.photo, self.overlay.panel_wh), x, y + NAME_HEIGHT)
        self.overlay.draw_ring(sheet, x, y + NAME_HEIGHT)
        if _is_wide(self.photo):
            self.overlay.draw(sheet, x, y + self.overlay.height + style.GAP)
        else:
            self.overlay.draw(sheet, x + self.overlay.width + style.GAP, y)


def _is_wide(photo: Pixels) -> bool:
    return bool(photo.shape[1] > _WIDE * photo.shape[0])


def _pair_panel(photo_wh: tuple[int, int], wide: bool) -> tuple[int, int]:
    """Size of the photo, and of the overlay, so that both fill the page's width."""
    room = style.PAGE_WIDTH - 2 * style.MARGIN
    width = room if wide else (room - style.GAP) / 2
    factor = min(width / photo_wh[0], _HIGHEST / photo_wh[1])
    return max(1, round(photo_wh[0] * factor)), max(1, round(photo_wh[1] * factor))


def _small_box(pair_width: int, photo_wh: tuple[int, int], at_right: bool) -> tuple[int, int]:
    if at_right:
        room = style.PAGE_WIDTH - 2 * style.MARGIN - pair_width - _BLOCK_GAP
        return room, _HIGHEST - _NOTE_HEIGHT
    return max(pair_width, LEAST_WIDTH), _PANELS_HIGHEST

"""One panel at the photo's own size, with its legend below it."""

import numpy as np

from regard.render import style
from regard.render.arrays import Pixels
from regard.render.colour import Scale
from regard.render.field import Field
from regard.render.legend import Legend
from regard.render.look import Look
from regard.render.picture import Picture
from regard.render.sheet import Sheet
from regard.render.tile import draw_tile, resize_photo

_LEAST_SIDE = 640
"""A framed picture whose longer side is smaller is enlarged by a whole factor."""


def draw_framed(
    field: Field,
    look: Look,
    *,
    size_wh: tuple[int, int],
    photo: Pixels | None,
    query_xy: tuple[float, float] | None,
    legend: bool,
) -> Picture:
    """One panel of ``size_wh`` photo pixels; the legend and its margin come on top.

    Without a legend the picture has exactly the photo's size. With one, a tiny photo is enlarged
    by a whole factor, so that the type has room.
    """
    scale = Scale.of(field.shown, high=look.high)
    factor = max(1, -(-_LEAST_SIDE // max(size_wh))) if legend else 1
    shown_wh = (size_wh[0] * factor, size_wh[1] * factor)
    zoom = float(np.clip(np.sqrt(shown_wh[0] * shown_wh[1]) / 800, 0.8, 6.0))
    shown = None if photo is None else resize_photo(photo, shown_wh)
    tile = draw_tile(field.resized(shown_wh), scale, look, photo=shown, zoom=zoom)
    if not legend:
        return _with_ring(Sheet(*shown_wh), tile, scale, (0, 0), query_xy, factor, zoom)
    key = Legend(
        scale=scale, look=look, places=field.places(), over_photo=photo is not None, zoom=zoom
    )
    margin = round(0.6 * style.MARGIN * zoom)
    inner = max(shown_wh[0], key.least_width())
    below = margin + shown_wh[1] + round(0.75 * margin)
    sheet = Sheet(inner + 2 * margin, below + key.height(inner) + margin)
    at = (margin + (inner - shown_wh[0]) // 2, margin)
    key.draw(sheet, margin, below, inner)
    return _with_ring(sheet, tile, scale, at, query_xy, factor, zoom)


def _with_ring(
    sheet: Sheet,
    tile: Pixels,
    scale: Scale,
    at: tuple[int, int],
    query_xy: tuple[float, float] | None,
    factor: float,
    zoom: float,
) -> Picture:
    sheet.panel(tile, *at, scale)
    if query_xy is not None:
        x, y = (start + factor * value for start, value in zip(at, query_xy, strict=True))
        sheet.ring(x, y, 9 * zoom)
    return sheet.picture()

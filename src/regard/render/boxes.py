"""Boxes outlined on a photo, each with its weight: the other way to show attention to regions."""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from regard.errors import GeometryError
from regard.geometry import Box
from regard.render import style
from regard.render.arrays import Array, Floats, Pixels, as_photo
from regard.render.colour import Scale, colour_table, number
from regard.render.look import DEFAULT_LOOK, Look
from regard.render.page import draw_page
from regard.render.picture import Picture, text_width
from regard.render.sheet import Sheet
from regard.render.tile import resize_photo

_SIDE = 1000
_STROKE = 5
_EDGE = 2
"""Widths in pixels: a line, and the dark edge around it that shows on bright ground."""


def draw_boxes(
    photo: Image.Image | Array,
    boxes_xyxy: Sequence[Box],
    weights: Sequence[float],
    *,
    names: Sequence[str] | None = None,
    title: str = "",
    lines: Sequence[str] = (),
    look: Look = DEFAULT_LOOK,
) -> Picture:
    """The photo with boxes; a box's colour and label say its weight.

    Args:
        photo: PIL image, or (height, width, 3) uint8.
        boxes_xyxy: Boxes in photo pixels.
        weights: Weight of each box, as given.
        names: Words beside the weight, such as "region 7".
        title: First line, bold.
        lines: Further lines below it.
        look: Its colour map; the scale ends at the largest weight.

    Raises:
        GeometryError: Not one weight and name for each box, or no box.
    """
    if not boxes_xyxy or len(weights) != len(boxes_xyxy):
        raise GeometryError(
            f"{len(weights)} weights for {len(boxes_xyxy)} boxes, expected one each"
        )
    if names is not None and len(names) != len(boxes_xyxy):
        raise GeometryError(f"{len(names)} names for {len(boxes_xyxy)} boxes, expected one each")
    pixels = as_photo(photo)
    factor = _SIDE / max(pixels.shape[:2])
    shown_wh = (max(1, round(pixels.shape[1] * factor)), max(1, round(pixels.shape[0] * factor)))
    ground = resize_photo(pixels, shown_wh).copy()
    values: Floats = np.asarray(weights, np.float32)
    scale = Scale.of(values, high="max")
    colours = _visible(colour_table(look.cmap), scale.fraction(values))
    order = np.argsort(values, kind="stable")  # the weightiest box is drawn last, on top
    for index in order:
        scaled = tuple(round(edge * factor) for edge in boxes_xyxy[index])
        _outline(ground, scaled, colours[index])

    def draw_body(sheet: Sheet, x: int, y: int) -> None:
        sheet.panel(ground, x, y, scale)
        for index in order:
            words = (
                number(float(values[index]))
                if names is None
                else (f"{names[index]}: {number(float(values[index]))}")
            )
            left, top = (edge * factor for edge in boxes_xyxy[index][:2])
            _label(sheet, words, (x, y), (left, top), shown_wh, colours[index])

    return draw_page(shown_wh, draw_body, title=title, lines=lines)


def _visible(table: Floats, fraction: Floats) -> Pixels:
    """Colours of the upper part of the map: its dark end would not be seen on a photo."""
    return np.asarray(table[np.rint(80 + fraction * 160).astype(np.intp)], np.uint8)


def _outline(ground: Pixels, box: tuple[int, ...], colour: Pixels) -> None:
    for width, paint in ((_STROKE + 2 * _EDGE, np.zeros(3, np.uint8)), (_STROKE, colour)):
        inset = (_STROKE + 2 * _EDGE - width) // 2
        x0, y0 = max(box[0], 0) + inset, max(box[1], 0) + inset
        x1 = min(max(box[2], box[0] + 1), ground.shape[1]) - inset
        y1 = min(max(box[3], box[1] + 1), ground.shape[0]) - inset
        ground[y0 : y0 + width, x0:x1] = paint
        ground[max(y1 - width, y0) : y1, x0:x1] = paint
        ground[y0:y1, x0 : x0 + width] = paint
        ground[y0:y1, max(x1 - width, x0) : x1] = paint


def _label(
    sheet: Sheet,
    words: str,
    at: tuple[int, int],
    corner: tuple[float, float],
    shown_wh: tuple[int, int],
    colour: Pixels,
) -> None:
    """A plate with words above a box, or inside it at the photo's upper edge."""
    width, height = round(text_width(words, style.SMALL)) + 12, style.SMALL + 8
    left = at[0] + max(0, min(round(corner[0]), shown_wh[0] - width))
    above = round(corner[1]) - height
    top = at[1] + (above if above >= 0 else max(0, min(round(corner[1]), shown_wh[1] - height)))
    room = sheet.raster[top : top + height, left : left + width]
    room[:] = colour
    bright = float(colour.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)) > 140
    ink = style.INK if bright else style.PAPER
    sheet.text(words, left + 6, top + style.SMALL, size=style.SMALL, colour=ink)

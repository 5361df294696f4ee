"""Whose each place of a photo is: one colour for each owner, as strong as its lead."""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from regard.errors import GeometryError
from regard.render import style
from regard.render.arrays import Array, Floats, Pixels, as_maps, as_photo, check_extent
from regard.render.field import UNSEEN
from regard.render.grid import names_or_numbers
from regard.render.page import draw_page
from regard.render.palette import distinct
from regard.render.picture import Picture, text_width
from regard.render.sheet import Sheet
from regard.render.style import Colour
from regard.render.tile import draw_swatch, resize_photo

_LEAST_SIDE = 960
_STRENGTH = 0.75


def draw_owners(
    photo: Image.Image | Array,
    shares: Array,
    *,
    names: Sequence[str] | None = None,
    colours: Sequence[Colour] | None = None,
    title: str = "",
    lines: Sequence[str] = (),
) -> Picture:
    """Photo in which each place has the colour of the owner with the largest share.

    The colour covers as much as the owner leads over an even division: a place that all share
    alike shows the photo.

    Args:
        photo: PIL image, or (height, width, 3) uint8.
        shares: (owners, height, width), of the photo's extent; NaN where the model did not see.
            At each place only the proportions count.
        names: Of the owners; 0, 1, 2... by default.
        colours: Of the owners; `distinct` ones by default.
        title: First line, bold.
        lines: Further lines below it.

    Raises:
        GeometryError: Shapes that do not fit.
    """
    maps = as_maps(shares, "owners height width", "shares")
    pixels = as_photo(photo)
    check_extent(maps.shape[1:], pixels.shape[:2])
    count = len(maps)
    names = names_or_numbers(names, count, "owners")
    colours = [distinct(i) for i in range(count)] if colours is None else colours
    if len(colours) != count:
        raise GeometryError(f"{len(colours)} colours for {count} owners, expected one for each")
    factor = max(1, -(-_LEAST_SIDE // max(pixels.shape[:2])))
    size_wh = (pixels.shape[1] * factor, pixels.shape[0] * factor)
    tile = _coloured(resize_photo(pixels, size_wh), maps, colours)
    key = _Key(names, colours, bool(np.isnan(maps).any()))
    height = key.height(size_wh[0])

    def draw(sheet: Sheet, x: int, y: int) -> None:
        sheet.panel(tile, x, y)
        key.draw(sheet, x, y + size_wh[1] + style.GAP, size_wh[0])

    body_wh = (size_wh[0], size_wh[1] + style.GAP + height)
    return draw_page(body_wh, draw, title=title, lines=lines)


def _coloured(photo: Pixels, maps: Floats, colours: Sequence[Colour]) -> Pixels:
    size_wh = photo.shape[1], photo.shape[0]
    large = np.stack([_smooth(one, size_wh) for one in np.nan_to_num(maps)])
    unseen = _smooth(np.isnan(maps[0]).astype(np.float32), size_wh) >= 0.5
    whole = large.sum(0)
    share = large.max(0) / np.where(whole > 0, whole, 1)
    even = 1 / len(maps)
    lead = np.clip((share - even) / max(1 - even, 1e-6) * 2, 0, 1) if len(maps) > 1 else share
    cover = (_STRENGTH * lead**0.7)[..., None]
    grey = photo.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    ground = 0.5 * photo + 0.5 * grey[..., None]
    owner = np.array(colours, np.float32)[large.argmax(0)]
    mixed = ground + cover * (owner - ground)
    if unseen.any():
        hatched = draw_swatch(UNSEEN, (size_wh[0], size_wh[1]))
        veil = np.float32(UNSEEN.veil)
        mixed[unseen] = (grey[..., None] + veil * (hatched - grey[..., None]))[unseen]
    return np.asarray(np.rint(mixed), np.uint8)


def _smooth(values: Floats, size_wh: tuple[int, int]) -> Floats:
    return np.asarray(Image.fromarray(values).resize(size_wh, Image.Resampling.BILINEAR))


class _Key:
    """A swatch and a name for each owner, in as many lines as the width needs."""

    def __init__(self, names: Sequence[str], colours: Sequence[Colour], has_unseen: bool) -> None:
        side = style.BAR_HEIGHT
        filled = [np.full((side, 2 * side, 3), colour, np.uint8) for colour in colours]
        self._swatches = list(zip(names, filled, strict=True))
        if has_unseen:
            self._swatches.append((UNSEEN.words, draw_swatch(UNSEEN, (2 * side, side))))

    def height(self, width: int) -> int:
        return len(self._rows(width)) * 2 * style.SMALL

    def draw(self, sheet: Sheet, x: int, y: int, width: int) -> None:
        for row, entries in enumerate(self._rows(width)):
            at = float(x)
            for name, swatch in entries:
                top = y + row * 2 * style.SMALL
                sheet.panel(swatch, round(at), top)
                sheet.text(
                    name, at + 2.4 * style.BAR_HEIGHT, top + 0.72 * style.SMALL, size=style.SMALL
                )
                at += self._width(name)

    def _rows(self, width: int) -> list[list[tuple[str, Pixels]]]:
        rows: list[list[tuple[str, Pixels]]] = [[]]
        used = 0.0
        for name, swatch in self._swatches:
            if rows[-1] and used + self._width(name) > width:
                rows.append([])
                used = 0.0
            rows[-1].append((name, swatch))
            used += self._width(name)
        return rows

    def _width(self, name: str) -> float:
        return 2.4 * style.BAR_HEIGHT + text_width(name, style.SMALL) + 1.6 * style.SMALL

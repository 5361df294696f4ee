"""A photo cut into segments, each in its colour and with its name."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

from regard.errors import GeometryError
from regard.render import style
from regard.render.arrays import Array, Flags, Pixels, as_photo
from regard.render.page import draw_page
from regard.render.palette import distinct
from regard.render.picture import Picture, clean, text_width
from regard.render.sheet import Sheet
from regard.render.style import Colour
from regard.render.tile import resize_photo

Labels = npt.NDArray[np.int64]

_COVER = 0.55
_PLATE = 15
"""Half the height of the plate that a name stands on."""
_ROWS = (0.5, 0.35, 0.65, 0.2, 0.8, 0.1, 0.9)
"""Rows of a segment to try for its name, as shares of its pixels from the top."""
_LEAST_SHARE = 1e-3
"""Smaller segments, as a share of the picture, have a colour and no written name."""


def draw_segments(
    photo: Image.Image | Array,
    ids: Array,
    names: Mapping[int, str],
    *,
    title: str = "",
    lines: Sequence[str] = (),
) -> Picture:
    """The photo with its segments coloured, outlined and named.

    Args:
        photo: PIL image, or (height, width, 3) uint8.
        ids: (height, width) integers: the segment of each pixel of the photo, 0 for none.
        names: What to write on each segment, by id; an id without a name is coloured only.
        title: First line, bold.
        lines: Further lines below it.

    Raises:
        GeometryError: Ids of another size than the photo's.
    """
    pixels = as_photo(photo)
    labels = np.asarray(ids).astype(np.int64)
    if labels.shape != pixels.shape[:2]:
        raise GeometryError(
            f"ids of shape {labels.shape} for a photo of {pixels.shape[:2]} (height, width); "
            "expected one for each pixel"
        )
    width, height = _shown(pixels)
    small = np.asarray(Image.fromarray(labels.astype(np.int32)).resize((width, height), 0))
    colours = {int(i): distinct(int(i) - 1) for i in np.unique(labels) if i > 0}
    tile = tint(resize_photo(pixels, (width, height)), small.astype(np.int64), colours)
    tile[outline(small.astype(np.int64), 1)] = style.PAPER

    def draw(sheet: Sheet, x: int, y: int) -> None:
        sheet.panel(tile, x, y)
        taken: list[tuple[int, ...]] = []
        for segment, words in names.items():
            _write(sheet, small == segment, words, x, y, taken)

    return draw_page((width, height), draw, title=title, lines=lines)


def tint(
    photo: Pixels, ids: Labels, colours: Mapping[int, Colour], *, others: float = 0.6
) -> Pixels:
    """The photo with each segment in its colour; what is in none is grey.

    Args:
        photo: (height, width, 3).
        ids: (height, width), 0 for no segment.
        colours: Colour of each id.
        others: Share of its own light that the grey part keeps, towards white.
    """
    grey = photo.mean(-1, keepdims=True, dtype=np.float32).repeat(3, -1)
    result = 255 - (255 - grey) * (others if colours else 1)
    for segment, colour in colours.items():
        where = ids == segment
        result[where] = (1 - _COVER) * photo[where] + _COVER * np.array(colour, np.float32)
    return np.asarray(np.rint(result), np.uint8)


def outline(ids: Labels, thickness: int) -> Flags:
    """Pixels within ``thickness`` of another segment."""
    edge = np.zeros(ids.shape, bool)
    for axis in (0, 1):
        for step in range(1, thickness + 1):
            near = np.roll(ids, step, axis) != ids
            far = np.roll(ids, -step, axis) != ids
            # what rolled in from the other side of the picture is no neighbour
            index = [slice(None), slice(None)]
            index[axis] = slice(0, step)
            near[tuple(index)] = False
            index[axis] = slice(-step, None)
            far[tuple(index)] = False
            edge |= (near | far) & (ids > 0)
    return edge


def _shown(photo: Pixels) -> tuple[int, int]:
    """Size on the page: as wide as it is, small photos by a whole factor."""
    height, width = photo.shape[:2]
    most = style.PAGE_WIDTH - 2 * style.MARGIN
    factor = max(1, round(1100 / max(height, width))) if max(height, width) < 1100 else 1
    factor = min(float(factor), most / width, 1200 / height)
    return max(1, round(width * factor)), max(1, round(height * factor))


def _write(
    sheet: Sheet, where: Flags, words: str, x: int, y: int, taken: list[tuple[int, ...]]
) -> None:
    """The name on a light plate, on a row of the segment where no other name stands yet."""
    if where.mean() < _LEAST_SHARE:
        return
    size = style.SMALL
    half = text_width(clean(words), size) / 2 + 8
    height, width = where.shape
    rows, columns = np.nonzero(where)
    for share in _ROWS:
        row = int(np.quantile(rows, share, method="nearest"))
        inside = columns[rows == row]
        column = int(inside[len(inside) // 2])
        centre = min(max(column, half), max(width - half, half))
        middle = min(max(row, _PLATE), max(height - _PLATE, _PLATE))
        left, right = (round(max(0, min(width, edge))) for edge in (centre - half, centre + half))
        plate = (left, round(middle - _PLATE), right, round(middle + _PLATE))
        if not any(_overlap(plate, other) for other in taken):
            break
    taken.append(plate)
    ground = sheet.raster[y + plate[1] : y + plate[3], x + plate[0] : x + plate[2]]
    ground[:] = np.rint(0.15 * ground + 0.85 * 255).astype(np.uint8)
    sheet.text(words, x + centre, y + middle + 7, size=size, align="center", width=width)


def _overlap(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]

"""What each word of a caption looks at: the photo, then one panel a word."""

from collections.abc import Sequence

from PIL import Image

from regard.errors import GeometryError
from regard.render import style
from regard.render.arrays import Array, as_maps, as_photo, check_extent
from regard.render.colour import Scale
from regard.render.field import as_fields
from regard.render.grid import Grid, Scaling, arrange, names_or_numbers, panel_size, scales_of
from regard.render.legend import Legend, all_places
from regard.render.look import DEFAULT_LOOK, Look
from regard.render.page import draw_page
from regard.render.picture import Picture, Weight, clean, text_width
from regard.render.sheet import Sheet
from regard.render.tile import draw_tile, resize_photo

_HIGHEST = 1000
_FRAME_SIDE = 720
_PITCH = 1.5
"""Distance of lines of a caption over the height of its type."""


def draw_words(
    photo: Image.Image | Array,
    heats: Array | Sequence[Array],
    words: Sequence[str],
    *,
    title: str = "",
    lines: Sequence[str] = (),
    scale: Scaling = "shared",
    columns: int | None = None,
    look: Look = DEFAULT_LOOK,
) -> Picture:
    """The photo, then one panel for each word, laid over the photo.

    Args:
        photo: PIL image, or (height, width, 3) uint8.
        heats: (words, height, width) density, weight per pixel, for the photo's extent.
        words: Name of each panel.
        title: First line, bold.
        lines: Further lines below it.
        scale: "shared" so that words compare, or "each" with its range below each panel.
        columns: Panels a row; by default as many as suit the page.
        look: Colour map, scale, unit and manner of mixing.

    Raises:
        GeometryError: Shapes that do not fit, or no finite value.
        SelectionError: An unknown colour map or scale.
    """
    maps = as_maps(heats, "words height width", "heats")
    pixels = as_photo(photo)
    check_extent(maps.shape[1:], pixels.shape[:2])
    photo_wh = (pixels.shape[1], pixels.shape[0])
    fields = as_fields(maps, None, None, look)
    scales = scales_of(fields, look, scale)
    room = style.PAGE_WIDTH - 2 * style.MARGIN
    if columns is None:
        count = len(fields) + 1
        columns, panel_wh = arrange(count, photo_wh, (room, _HIGHEST), below=scale == "each")
    else:
        panel_wh = panel_size(photo_wh, (room + style.GAP) / columns - style.GAP)
    grid = Grid(
        fields=fields,
        names=names_or_numbers(words, len(fields), "words"),
        scales=scales,
        photo=pixels,
        look=look,
        columns=columns,
        panel_wh=panel_wh,
        ranges_below=scale == "each",
        photo_wh=photo_wh,
        lead="photo",
    )
    legend = Legend(
        scale=scales[0] if scale == "shared" else None,
        look=look,
        places=all_places(field.places() for field in fields),
        over_photo=True,
    )
    return draw_page((grid.width, grid.height), grid.draw, legend, title=title, lines=lines)


def draw_word_frames(
    photo: Image.Image | Array,
    heats: Array | Sequence[Array],
    words: Sequence[str],
    *,
    look: Look = DEFAULT_LOOK,
) -> list[Picture]:
    """One picture for each word, all of one size: its map, and below it the caption.

    The word is set bold, and what follows it is pale: made to be shown one after another. The
    scale is shared. Sizes are even, as video wants them.

    Args:
        photo: As in `draw_words`.
        heats: As in `draw_words`.
        words: As in `draw_words`.
        look: As in `draw_words`.
    """
    maps = as_maps(heats, "words height width", "heats")
    pixels = as_photo(photo)
    check_extent(maps.shape[1:], pixels.shape[:2])
    if len(words) != len(maps):
        raise GeometryError(f"{len(words)} words for {len(maps)} maps, expected one for each")
    fields = as_fields(maps, None, None, look)
    scale = Scale.of(*(field.shown for field in fields), high=look.high)
    factor = _FRAME_SIDE / max(pixels.shape[:2])
    shown_wh = (max(2, round(pixels.shape[1] * factor)), max(2, round(pixels.shape[0] * factor)))
    width = max(shown_wh[0], 480) + 2 * style.GAP
    rows = _broken([clean(word) for word in words], width - 2 * style.GAP)
    height = shown_wh[1] + round(len(rows) * _PITCH * style.TEXT) + 3 * style.GAP
    ground = resize_photo(pixels, shown_wh)
    frames = []
    for index, field in enumerate(fields):
        sheet = Sheet(width + width % 2, height + height % 2)
        tile = draw_tile(field.resized(shown_wh), scale, look, photo=ground)
        sheet.panel(tile, (width - shown_wh[0]) // 2, style.GAP, scale)
        _write_caption(sheet, rows, index, style.GAP, shown_wh[1] + 2 * style.GAP)
        frames.append(sheet.picture())
    return frames


def _broken(words: Sequence[str], width: float) -> list[list[str]]:
    """Words in as many lines as the width needs."""
    rows: list[list[str]] = [[]]
    space, used = _space(), 0.0
    for word in words:
        length = text_width(word, style.TEXT, "bold")
        if rows[-1] and used + length > width:
            rows.append([])
            used = 0.0
        rows[-1].append(word)
        used += length + space
    return rows


def _write_caption(
    sheet: Sheet, rows: Sequence[Sequence[str]], marked: int, x: int, y: int
) -> None:
    index = 0
    for number, row in enumerate(rows):
        at, baseline = float(x), y + (number + 0.8) * _PITCH * style.TEXT
        for word in row:
            colour = style.INK if index <= marked else style.UNSEEN
            weight: Weight = "bold" if index == marked else "regular"
            sheet.text(word, at, baseline, colour=colour, weight=weight)
            at += text_width(word, style.TEXT, "bold") + _space()
            index += 1


def _space() -> float:
    return 0.3 * style.TEXT

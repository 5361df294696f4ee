"""One panel: a map alone or over its photo, with what is not a value drawn as what it is."""

import numpy as np
from PIL import Image

from regard.render.arrays import Floats, Pixels
from regard.render.colour import Scale, colour_table, paint
from regard.render.field import MASKED, PADDING, UNSEEN, Field, Place
from regard.render.look import Look

_LUMA: Floats = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
_MUTED_COLOUR, _MUTED_LIGHT = 0.5, 0.95
"""Share of its colour and of its light that the photo keeps under a rising map."""
_BAND_PIXELS = 2**19


def draw_tile(
    field: Field,
    scale: Scale,
    look: Look,
    *,
    photo: Pixels | None = None,
    zoom: float = 1.0,
) -> Pixels:
    """Pixels of one panel, of the size of ``field``.

    Mixed in float and rounded once. Mixing is linear in the stored (sRGB) values, as image
    editors mix layers.

    Args:
        field: What to show.
        scale: Which value has which colour.
        look: Colour map and manner of mixing.
        photo: Photo of the same size to lay the map over; None for the map alone.
        zoom: How much coarser than usual the hatching is.
    """
    tile = np.empty((*field.values.shape, 3), np.uint8)
    rows = max(1, _BAND_PIXELS // field.values.shape[1])
    for top in range(0, len(tile), rows):  # in bands, so that a large photo needs little memory
        band = slice(top, top + rows)
        part = Field(
            values=field.values[band], masked=field.masked[band], padding=field.padding[band]
        )
        ground = None if photo is None else photo[band]
        tile[band] = _draw_band(part, scale, look, ground, zoom, top)
    return tile


def _draw_band(
    field: Field, scale: Scale, look: Look, photo: Pixels | None, zoom: float, top: int
) -> Pixels:
    colours: Floats = paint(field.values, scale, colour_table(look.cmap))
    if photo is not None:
        cover = look.cover(scale.fraction(np.nan_to_num(field.values, posinf=0, neginf=0)))
        cover[np.isinf(field.values)] = 1
        ground: Floats = _muted(photo) if look.mixing == "rising" else photo.astype(np.float32)
        colours = np.asarray(ground + cover[..., None] * (colours - ground))
    unseen = np.isnan(field.values)
    for place, where in ((MASKED, field.masked), (UNSEEN, unseen), (PADDING, field.padding)):
        if where.any():
            colours[where] = _pattern(place, where.shape, photo, zoom, top)[where]
    return np.rint(colours).astype(np.uint8)


def draw_swatch(place: Place, size_wh: tuple[int, int], zoom: float = 1.0) -> Pixels:
    """Sample of a place's pattern for the legend."""
    width, height = size_wh
    return np.rint(_pattern(place, (height, width), None, zoom)).astype(np.uint8)


def draw_bar(size_wh: tuple[int, int], look: Look, *, over_photo: bool) -> Pixels:
    """Colour bar; over a photo it is mixed with middle grey as the map is with the photo."""
    width, height = size_wh
    fraction = np.linspace(0, 1, width, dtype=np.float32)
    colours = colour_table(look.cmap)[np.rint(fraction * 255).astype(np.intp)]
    if over_photo:
        cover = look.cover(fraction)[:, None]
        colours = 128 + cover * (colours - 128)
    return np.tile(np.rint(colours).astype(np.uint8), (height, 1, 1))


def resize_photo(photo: Pixels, size_wh: tuple[int, int]) -> Pixels:
    """Photo at another size: blocks when it grows by whole steps, else Lanczos."""
    if size_wh == photo.shape[1::-1]:
        return photo
    whole = size_wh[0] % photo.shape[1] == 0 and size_wh[1] % photo.shape[0] == 0
    method = Image.Resampling.NEAREST if whole else Image.Resampling.LANCZOS
    return np.asarray(Image.fromarray(photo).resize(size_wh, method))


def muted(photo: Image.Image) -> Image.Image:
    """An RGB photo muted as below a rising map, to a level or so, in whole numbers.

    A mixture of the photo with its grey, whose levels are such that the mixture loses light, too.
    """
    colour = _MUTED_LIGHT * _MUTED_COLOUR
    light = _MUTED_LIGHT * (1 - _MUTED_COLOUR) / (1 - colour)
    grey = photo.convert("L").point([round(light * level) for level in range(256)])
    return Image.blend(photo, Image.merge("RGB", (grey, grey, grey)), 1 - colour)


def _muted(photo: Pixels) -> Floats:
    pixels: Floats = photo.astype(np.float32)
    grey = (pixels @ _LUMA)[..., None]
    return np.asarray(_MUTED_LIGHT * (grey + _MUTED_COLOUR * (pixels - grey)))


def _pattern(
    place: Place, shape_hw: tuple[int, ...], photo: Pixels | None, zoom: float, top: int = 0
) -> Floats:
    ground: Floats = np.full((*shape_hw, 3), place.colour, np.float32)
    if photo is not None:
        pixels: Floats = photo.astype(np.float32)
        grey = (pixels @ _LUMA)[..., None]
        ground = grey + np.float32(place.veil) * (ground - grey)
    cover = _hatching(shape_hw, place.period * zoom, 1.6 * zoom, place.slope, top)[..., None]
    line = np.array(place.line, np.float32)
    return np.asarray(ground + np.float32(0.65) * cover * (line - ground))


def _hatching(
    shape_hw: tuple[int, ...], period: float, width: float, slope: int, top: int
) -> Floats:
    """Share of each pixel that diagonal lines cover, with soft edges."""
    rows, columns = np.ogrid[: shape_hw[0], : shape_hw[1]]
    across = (columns + slope * (rows + top)) / np.float32(np.sqrt(2))
    distance = np.abs(across % period - period / 2)
    return np.asarray(np.clip(width / 2 + 0.5 - distance, 0, 1), np.float32)

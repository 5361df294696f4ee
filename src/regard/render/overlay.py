"""The heat map laid over its photo."""

from PIL import Image

from regard.render.arrays import Array, as_maps, as_photo, check_extent
from regard.render.field import as_fields
from regard.render.frame import draw_framed
from regard.render.look import DEFAULT_LOOK, Look
from regard.render.picture import Picture


def draw_overlay(
    photo: Image.Image | Array,
    heat: Array,
    *,
    masked: Array | None = None,
    padding: Array | None = None,
    query_xy: tuple[float, float] | None = None,
    look: Look = DEFAULT_LOOK,
    legend: bool = True,
) -> Picture:
    """Photo with the heat map over it.

    What the model did not see, could not attend to, or what is padding is hatched, and named in
    the legend; it never looks like low attention.

    Args:
        photo: PIL image, or (height, width, 3) uint8.
        heat: (height, width) density, weight per pixel, for the same extent as the photo: its
            size, or the same proportions. NaN where the model did not see.
        masked: Bool of the map's shape, True where attention was not allowed to go.
        padding: Bool of the map's shape, True where there is no photo.
        query_xy: Point to ring, in photo pixels (the centre of the first pixel is 0.5, 0.5).
        look: Colour map, scale, unit and manner of mixing.
        legend: Whether a colour bar with the range stands below. Without, the picture has
            exactly the photo's size.

    Raises:
        GeometryError: Shapes that do not fit, or no finite value.
        SelectionError: An unknown colour map.

    Example:
        >>> import numpy as np
        >>> photo = np.full((60, 80, 3), 128, np.uint8)
        >>> draw_overlay(photo, np.full((60, 80), 1 / 4800), legend=False).size_wh
        (80, 60)
    """
    pixels = as_photo(photo)
    maps = as_maps(heat, "height width", "heat")
    check_extent(maps.shape[-2:], pixels.shape[:2])
    (field,) = as_fields(maps, masked, padding, look)
    size_wh = (pixels.shape[1], pixels.shape[0])
    return draw_framed(field, look, size_wh=size_wh, photo=pixels, query_xy=query_xy, legend=legend)

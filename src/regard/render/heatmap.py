"""The pure heat map."""

from regard.render.arrays import Array, as_maps
from regard.render.field import as_fields
from regard.render.frame import draw_framed
from regard.render.look import DEFAULT_LOOK, Look
from regard.render.picture import Picture


def draw_heatmap(
    heat: Array,
    *,
    masked: Array | None = None,
    padding: Array | None = None,
    query_xy: tuple[float, float] | None = None,
    look: Look = DEFAULT_LOOK,
    legend: bool = True,
) -> Picture:
    """Heat map by itself, one pixel for each value.

    Args:
        heat: (height, width) density, weight per pixel; NaN where the model did not see.
        masked: (height, width) bool, True where attention was not allowed to go.
        padding: (height, width) bool, True where there is no photo.
        query_xy: Point to ring, in pixels from the upper left corner of the map.
        look: Colour map, scale and unit.
        legend: Whether a colour bar with the range stands below. Without, the picture is
            exactly ``width`` x ``height`` pixels.

    Raises:
        GeometryError: Shapes that do not fit, or no finite value.
        SelectionError: An unknown colour map.

    Example:
        >>> import numpy as np
        >>> draw_heatmap(np.eye(8) / 64, legend=False).size_wh
        (8, 8)
    """
    maps = as_maps(heat, "height width", "heat")
    (field,) = as_fields(maps, masked, padding, look)
    size_wh = (maps.shape[1], maps.shape[0])
    return draw_framed(field, look, size_wh=size_wh, photo=None, query_xy=query_xy, legend=legend)

"""What each head of one layer looks at: one panel a head."""

from collections.abc import Sequence

from PIL import Image

from regard.errors import GeometryError
from regard.render import style
from regard.render.arrays import Array, as_maps, as_photo, check_extent
from regard.render.field import as_fields
from regard.render.grid import Grid, Scaling, arrange, names_or_numbers, scales_of
from regard.render.legend import Legend, all_places
from regard.render.look import DEFAULT_LOOK, Look
from regard.render.page import draw_page
from regard.render.picture import Picture
from regard.render.style import Colour

_HIGHEST = 800


def draw_heads(
    photo: Image.Image | Array | None,
    heats: Array | Sequence[Array],
    *,
    names: Sequence[str] | None = None,
    colours: Sequence[Colour] = (),
    title: str = "",
    lines: Sequence[str] = (),
    scale: Scaling = "shared",
    masked: Array | None = None,
    padding: Array | None = None,
    query_xy: tuple[float, float] | None = None,
    look: Look = DEFAULT_LOOK,
) -> Picture:
    """One panel for each head, laid over the photo.

    Args:
        photo: PIL image, or (height, width, 3) uint8; None draws the maps alone.
        heats: (heads, height, width) density, weight per pixel, for the photo's extent: its
            size, or the same proportions. NaN where the model did not see.
        names: Name of each panel; "head 0", "head 1"... by default.
        colours: Of a square before each name; none by default.
        title: First line, bold.
        lines: Further lines below it.
        scale: "shared" so that heads compare, or "each" with its range below each panel.
        masked: Bool of the shape of one map or of all, True where attention was not allowed.
        padding: Likewise, True where there is no photo.
        query_xy: Point to ring, in photo pixels.
        look: Colour map, scale, unit and manner of mixing.

    Raises:
        GeometryError: Shapes that do not fit, or no finite value.
        SelectionError: An unknown colour map or scale.
    """
    maps = as_maps(heats, "heads height width", "heats")
    pixels = None if photo is None else as_photo(photo)
    photo_hw = maps.shape[1:] if pixels is None else pixels.shape[:2]
    check_extent(maps.shape[1:], photo_hw)
    photo_wh = (photo_hw[1], photo_hw[0])
    if colours and len(colours) != len(maps):
        raise GeometryError(f"{len(colours)} colours for {len(maps)} heads, expected one for each")
    fields = as_fields(maps, masked, padding, look)
    scales = scales_of(fields, look, scale)
    box_wh = (style.PAGE_WIDTH - 2 * style.MARGIN, _HIGHEST)
    columns, panel_wh = arrange(len(fields), photo_wh, box_wh, below=scale == "each")
    grid = Grid(
        fields=fields,
        names=names_or_numbers(names, len(fields), "heads", prefix="head "),
        scales=scales,
        photo=pixels,
        look=look,
        columns=columns,
        panel_wh=panel_wh,
        ranges_below=scale == "each",
        query_xy=query_xy,
        photo_wh=photo_wh,
        colours=colours,
    )
    legend = Legend(
        scale=scales[0] if scale == "shared" else None,
        look=look,
        places=all_places(field.places() for field in fields),
        over_photo=pixels is not None,
    )
    return draw_page((grid.width, grid.height), grid.draw, legend, title=title, lines=lines)

"""Panels and segments: every pixel has the colour that it should."""

import numpy as np
import pytest

from regard.errors import GeometryError
from regard.render import Dot, Panel, draw_panels, draw_segments
from regard.render.palette import distinct
from regard.render.segments import outline, tint

PHOTO = np.full((40, 60, 3), 128, np.uint8)


def test_outlines_do_not_run_around_the_picture() -> None:
    ids = np.zeros((6, 6), np.int64)
    ids[:, :3] = 1
    edge = outline(ids, 1)
    assert edge[:, 2].all()
    assert edge.sum() == 6, "neither the picture's border nor the part without a segment"


def test_segments_have_their_colour_and_the_rest_none() -> None:
    ids = np.zeros((2, 2), np.int64)
    ids[0, 0] = 1
    pixels = tint(PHOTO[:2, :2], ids, {1: (255, 0, 0)})
    assert pixels[0, 0, 0] > pixels[0, 0, 1]
    assert len(set(pixels[1, 1].tolist())) == 1


def test_names_are_written_where_there_is_room() -> None:
    ids = np.zeros((40, 60), np.int64)
    ids[:20], ids[30, 30] = 1, 2
    picture = draw_segments(PHOTO, ids, {1: "sky 0.99", 2: "bird 0.90"}, title="model")
    assert "sky 0.99" in picture.lines
    assert "bird 0.90" not in picture.lines, "one pixel has a colour, and no plate over the rest"
    assert distinct(0) != distinct(1)
    with pytest.raises(GeometryError, match="one for each pixel"):
        draw_segments(PHOTO, ids[:10], {})


def test_rows_share_a_scale_unless_each_has_its_own() -> None:
    low, high = np.full((40, 60), 1.0), np.full((40, 60), 3.0)
    rows = [[Panel(name="a", heat=low), Panel(name="b", heat=high)], [Panel(name="photo")]]
    picture = draw_panels(PHOTO, rows, title="t", lines=["l"], row_names=["one", "two"])
    assert picture.scales[0] == picture.scales[1]
    assert {"a", "b", "photo", "t", "l", "one", "two"} <= set(picture.lines)
    own = draw_panels(PHOTO, rows, scale="each")
    assert own.scales[0] != own.scales[1]


def test_a_box_is_drawn_at_its_place() -> None:
    panel = Panel(box_xyxy=(15, 10, 45, 30), colour=(255, 0, 0))
    picture = draw_panels(PHOTO, [[panel]])
    red = (picture.raster == (255, 0, 0)).all(-1)
    rows, columns = np.nonzero(red)
    photo_rows, photo_columns = np.nonzero((picture.raster == 128).all(-1) | red)
    height = photo_rows.max() - photo_rows.min() + 1
    width = photo_columns.max() - photo_columns.min() + 1
    top, left = photo_rows.min(), photo_columns.min()
    found = (columns.min() - left, rows.min() - top, columns.max() + 1 - left, rows.max() + 1 - top)
    expected = (width / 4, height / 4, width * 3 / 4, height * 3 / 4)
    assert np.abs(np.subtract(found, expected)).max() <= 1  # rounded to whole pixels


def test_bad_panels_are_told() -> None:
    with pytest.raises(GeometryError, match="no panel"):
        draw_panels(PHOTO, [[]])
    with pytest.raises(GeometryError, match="does not cover"):
        draw_panels(PHOTO, [[Panel(heat=np.ones((40, 40)))]])
    with pytest.raises(GeometryError, match="1 row names for 2 rows"):
        draw_panels(PHOTO, [[Panel()], [Panel()]], row_names=["x"])


def test_a_panel_may_lie_over_a_picture_of_its_own() -> None:
    dark = np.zeros_like(PHOTO)
    picture = draw_panels(PHOTO, [[Panel(), Panel(photo=dark)]])
    values = np.asarray(picture.image)
    assert (values == 128).any()
    assert (values == 0).all(-1).sum() > 1000
    with pytest.raises(GeometryError, match="expected all of one size"):
        draw_panels(PHOTO, [[Panel(photo=dark[:20])]])


def test_a_mask_under_heat_is_an_outline() -> None:
    heat, mask = np.full((40, 60), 1 / 2400), np.zeros((40, 60), bool)
    mask[10:30, 20:40] = True
    plain = np.asarray(draw_panels(PHOTO, [[Panel(heat=heat)]]).image).astype(int)
    drawn = np.asarray(draw_panels(PHOTO, [[Panel(heat=heat, mask=mask)]]).image).astype(int)
    changed = (plain != drawn).any(-1)
    assert (drawn[changed] == 255).all(-1).any(), "a light line"
    assert changed.sum() < 0.2 * changed.size, "and no more than a line"


def test_dots_lie_at_their_places_and_those_outside_are_left_out() -> None:
    dots = [
        Dot(xy=(45, 10), size=1, colour=(255, 0, 0)),
        Dot(xy=(90, 10), size=1, colour=(0, 0, 255)),
    ]
    picture = draw_panels(PHOTO, [[Panel(dots=dots)]])
    plain = draw_panels(PHOTO, [[Panel()]])
    rows, columns = np.nonzero((plain.raster == 128).all(-1))
    (top, left), (height, width) = (
        (rows.min(), columns.min()),
        (np.ptp(rows) + 1, np.ptp(columns) + 1),
    )
    found = np.argwhere((picture.raster == (255, 0, 0)).all(-1)).mean(0)
    assert found == pytest.approx((top + height / 4, left + width * 3 / 4), abs=1)
    assert not (picture.raster == (0, 0, 255)).all(-1).any()

"""Cells over a photo."""

import numpy as np
import pytest

from regard.errors import GeometryError
from regard.render.cells import LEVELS, Cells, cells_a_number, draw_cells, write_numbers
from regard.render.colour import Scale
from regard.render.look import Look
from regard.render.sheet import Sheet

LOOK = Look(unit="value", high="max")


def cells() -> Cells:
    """2 x 3 cells on a photo of which the last column is half padding."""
    values = np.array([[0, 1, 2], [3, 4, 8]], np.float32)
    return Cells(
        values, (np.array([0, 0.5, 1], np.float32), np.array([0, 0.4, 0.8, 1.2], np.float32))
    )


def test_each_cell_covers_its_part_of_the_photo() -> None:
    shown = cells().map((10, 4))
    assert shown[0].tolist() == [0, 0, 0, 0, 1, 1, 1, 1, 2, 2]
    assert shown[3].tolist() == [3, 3, 3, 3, 4, 4, 4, 4, 8, 8]


def test_where_there_is_no_cell_there_is_no_value() -> None:
    short = Cells(
        np.ones((1, 1), np.float32),
        (np.array([0, 0.5], np.float32), np.array([0.25, 1], np.float32)),
    )
    assert (
        np.isnan(short.map((4, 4))).tolist() == [[True, False, False, False]] * 2 + [[True] * 4] * 2
    )


def test_blocks_have_their_largest_value() -> None:
    blocks = cells().pooled(2)
    assert blocks.values.tolist() == [[4, 8]]
    assert blocks.edges_yx[1].tolist() == pytest.approx([0, 0.8, 1.2])


def test_levels_are_quarters_of_the_scale() -> None:
    photo = np.full((4, 10, 3), 100, np.uint8)
    tile = draw_cells(cells(), Scale.of(cells().values), LOOK, photo, "grid")
    expected = {(0, 0): None, (0, 9): 0, (3, 1): 0, (3, 6): 1, (3, 9): 2}
    for (row, column), level in expected.items():
        colour = (100,) * 3 if level is None else LEVELS[level][2]
        half = tuple(round((100 + part) / 2) for part in colour)
        near = np.abs(tile[row, column].astype(int) - half).max() <= 1
        edge = (tile[row, column] >= np.maximum(colour, 89) - 1).all()
        assert near or edge, (row, column)


def test_patches_are_flat_inside() -> None:
    grey = np.full((60, 80, 3), 128, np.uint8)
    tile = draw_cells(cells(), Scale.of(cells().values), LOOK, grey, "heatmap_num")
    assert (tile[2:28, 2:30] == tile[2, 2]).all()


def test_soft_patches_keep_their_middle() -> None:
    grey = np.full((60, 80, 3), 128, np.uint8)
    scale = Scale.of(cells().values)
    soft = draw_cells(cells(), scale, LOOK, grey, "grid_heatmap").astype(int)
    hard = draw_cells(cells(), scale, LOOK, grey, "heatmap_num").astype(int)
    assert np.abs(soft[45, 48] - hard[45, 48]).max() <= 12
    assert np.abs(np.diff(soft[45], axis=0)).max() < np.abs(np.diff(hard[45], axis=0)).max() / 2


def test_numbers_are_places_on_the_scale_and_small_ones_are_left_out() -> None:
    sheet = Sheet(300, 200)
    write_numbers(sheet, cells(), Scale.of(cells().values), 0, 0, (300, 200))
    assert sheet.picture().lines == ("12", "25", "38", "50", "100")


def test_small_cells_share_a_number() -> None:
    assert [cells_a_number(cells(), (width, 100)) for width in (300, 60, 20)] == [1, 2, 4]


def test_values_must_fit_the_edges() -> None:
    with pytest.raises(GeometryError, match=r"shape \(1, 1\) for 2 rows and 1 columns"):
        Cells(
            np.ones((1, 1), np.float32),
            (np.array([0, 0.5, 1], np.float32), np.array([0, 1], np.float32)),
        )

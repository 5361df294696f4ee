"""Feature pyramids: several grids over one picture."""

import json
import math

import pytest
import torch

from recorded import random
from regard import GridTokens, PyramidTokens, ViewTransform
from regard.errors import FormatError, GeometryError
from regard.tokens import tokens_from_json

ROUNDING = 1e-5
"""Float32 sums over up to a hundred thousand pixels, of totals of order 1."""

VIEW: ViewTransform = ViewTransform.identity((480, 640)).resize((600, 800)).pad(right=266, bottom=8)
FINE_FIRST = ((76, 134), (38, 67), (19, 34), (10, 17))


def pyramid() -> PyramidTokens:
    return PyramidTokens.from_levels(VIEW, FINE_FIRST)


def test_strides_are_measured_from_rounded_up_levels() -> None:
    assert [s[0] for s in pyramid().strides_px] == [8, 16, 32, 64]
    coarse_first = PyramidTokens.from_levels(VIEW, FINE_FIRST[::-1])
    assert [s[1] for s in coarse_first.strides_px] == [64, 32, 16, 8]
    assert pyramid().count == 76 * 134 + 38 * 67 + 19 * 34 + 10 * 17


def test_strides_of_patches_that_are_no_power_of_two() -> None:
    view = ViewTransform.identity((518, 518))
    assert PyramidTokens.from_levels(view, [(37, 37)]).strides_px[0] == (14.0, 14.0)


def test_strides_that_do_not_fit_are_refused() -> None:
    with pytest.raises(GeometryError, match="3 rows and 50 columns fits no stride"):
        PyramidTokens.from_levels(VIEW, [(3, 50)])
    given = PyramidTokens.from_levels(VIEW, [(10, 17)], strides_px=[64])
    assert given.strides_px[0] == (64.0, 64.0)
    with pytest.raises(GeometryError, match="do not fit"):
        PyramidTokens.from_levels(VIEW, [(10, 17)], strides_px=[32])
    with pytest.raises(GeometryError, match="1 levels and 2 strides"):
        PyramidTokens.from_levels(VIEW, [(10, 17)], strides_px=[64, 32])


def test_every_token_has_a_name_and_a_place_of_its_own() -> None:
    tokens = pyramid()
    first_of_second = 76 * 134
    assert tokens.name(0) == "level 8 px, row 0, column 0"
    assert tokens.name(first_of_second) == "level 16 px, row 0, column 0"
    assert tokens.name(first_of_second + 38 * 67 + 3 * 34 + 5) == "level 32 px, row 3, column 5"
    assert tokens.name(tokens.count - 1) == "level 64 px, row 9, column 16"
    for level in range(4):
        for index in (tokens.index(level, 0, 0), tokens.index(level, 4, 7)):
            x, y = tokens.center_xy(index)
            assert tokens.at(x, y, level=level) == index


def test_levels_of_the_same_stride_are_numbered() -> None:
    tokens = PyramidTokens.from_levels(VIEW, [(10, 17), (10, 17)])
    assert tokens.name(0) == "level 0 (64 px), row 0, column 0"
    assert tokens.name(170) == "level 1 (64 px), row 0, column 0"


def test_a_point_alone_is_on_the_finest_level() -> None:
    assert pyramid().name(pyramid().at(0, 0)) == "level 8 px, row 0, column 0"
    coarse_first = PyramidTokens.from_levels(VIEW, FINE_FIRST[::-1])
    assert coarse_first.name(coarse_first.at(0, 0)) == "level 8 px, row 0, column 0"


@pytest.mark.parametrize("between", ["cells", "linear"])
def test_pixels_add_up_the_levels(between: str) -> None:
    tokens = pyramid()
    weights = random(2, tokens.count).softmax(-1)
    whole = tokens.to_pixels(weights, between=between)  # type: ignore[arg-type]
    alone = [tokens.to_pixels(weights, between=between, level=n) for n in range(4)]  # type: ignore[arg-type]
    torch.testing.assert_close(whole, sum(alone[1:], alone[0]), rtol=0, atol=1e-7)
    assert whole.shape == (2, 480, 640)
    if between == "cells":
        shares = tokens.shares(weights)
        torch.testing.assert_close(whole.sum((1, 2)), shares["image"], rtol=0, atol=ROUNDING)
        total = shares["image"] + shares["padding"]
        torch.testing.assert_close(total, torch.ones(2), rtol=0, atol=ROUNDING)


def test_one_level_is_its_grid() -> None:
    tokens = pyramid()
    weights = random(tokens.count)
    start = tokens.index(2, 0, 0)
    grid = GridTokens.from_stride(VIEW, 32)
    expected = grid.to_pixels(weights[start : start + 19 * 34], (60, 80))
    assert torch.equal(tokens.to_pixels(weights, (60, 80), level=2), expected)
    assert torch.equal(tokens.level_weights(weights, 2).flatten(), weights[start : start + 19 * 34])
    shares = sum(map(float, tokens.level_shares(weights).values()))
    assert shares == pytest.approx(float(weights.double().sum()), abs=1e-3)


def test_only_what_no_level_saw_is_blank() -> None:
    """The second level rounds down and misses a strip; the first sees all but what was cropped."""
    view = ViewTransform.identity((40, 50)).crop((0, 0, 44, 40))
    tokens = PyramidTokens.from_levels(view, [(5, 6), (2, 2)], strides_px=[8, 16])
    pixels = tokens.to_pixels(torch.ones(34))
    assert pixels[:, 44:].isnan().all()
    assert not pixels[:, :44].isnan().any()
    assert torch.equal(pixels[:, 33:44], tokens.to_pixels(torch.ones(34), level=0)[:, 33:44])
    weights = torch.ones(34)
    weights[0] = math.nan
    assert tokens.to_pixels(weights)[:8, :8].isnan().all(), "an unknown weight stays unknown"


def test_points_lie_where_their_cells_do() -> None:
    tokens = pyramid()
    levels = torch.tensor([0, 3])
    middle = torch.tensor([[(5 + 0.5) / 134, (3 + 0.5) / 76], [(2 + 0.5) / 17, (1 + 0.5) / 10]])
    found = tokens.points_to_original(middle.double(), levels)
    for point, index in zip(found, [tokens.index(0, 3, 5), tokens.index(3, 1, 2)], strict=True):
        assert point.tolist() == pytest.approx(tokens.center_xy(index), abs=1e-4)


def test_json_gives_the_layout_back() -> None:
    text = json.dumps(pyramid().to_json())
    assert tokens_from_json(json.loads(text)) == pyramid()
    with pytest.raises(FormatError, match="fields"):
        tokens_from_json({**pyramid().to_json(), "extra": 1})


def test_wrong_counts_levels_and_tokens_are_refused() -> None:
    with pytest.raises(GeometryError, match=r"10 x 17 = 170 cells \+ 0 named"):
        PyramidTokens(171, levels_hw=((10, 17),), strides_px=((64, 64),), view=VIEW)
    with pytest.raises(GeometryError, match="level 4 of 4"):
        pyramid().to_pixels(torch.ones(pyramid().count), level=4)
    with pytest.raises(GeometryError, match="the pyramid says"):
        pyramid().check(7)
    named = PyramidTokens(
        171, levels_hw=((10, 17),), strides_px=((64, 64),), view=VIEW, prefix=("cls",)
    )
    assert named.name(1) == "level 64 px, row 0, column 0"
    with pytest.raises(GeometryError, match="stands for no place"):
        named.box_xyxy(0)

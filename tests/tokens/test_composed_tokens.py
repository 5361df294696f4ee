"""Layouts made of other layouts: joined, selected, parted; points and words."""

import json
import math
from typing import Any

import pytest
import torch

from regard import (
    GridTokens,
    JoinedTokens,
    PartedTokens,
    PointTokens,
    Segment,
    SelectedTokens,
    Tokens,
    ViewTransform,
    WordTokens,
)
from regard.errors import GeometryError, SelectionError
from regard.layouts import orders
from regard.tokens import tokens_from_json

VIEW = ViewTransform.identity((40, 60)).resize((32, 48)).pad(bottom=4)
GRID = GridTokens.from_stride(VIEW, 8, prefix=("cls",))
CELLS = GridTokens.from_stride(VIEW, 8)
COARSE = GridTokens.from_stride(VIEW, 16)
WORDS = WordTokens.of(["a", "cat", "a"])
PROMPT = JoinedTokens.of([Segment("text", WORDS), Segment("image", GRID)])
CROPS = JoinedTokens.of([Segment("whole", COARSE), Segment("fine", CELLS)])
VIDEO = JoinedTokens.of(Segment(f"frames {i}", CELLS, 2 * i, 2) for i in range(2))
WINDOWS = PartedTokens.of(CELLS, orders.windows((5, 6), (3, 4), (1, 2)))
POINTS = PointTokens.of([(3.5, 2.5), (40, 30), (47.0, 34.0)], VIEW)
SHUFFLED = SelectedTokens.of(PROMPT, torch.randperm(PROMPT.count))
EVERY = [PROMPT, CROPS, VIDEO, WINDOWS, POINTS, SHUFFLED, WORDS]


def weights_of(tokens: Tokens, *leading: int) -> torch.Tensor:
    return torch.rand(*leading, tokens.count, dtype=torch.float64)


@pytest.mark.parametrize("tokens", EVERY, ids=lambda tokens: tokens.kind)
def test_json_gives_back_an_equal_layout(tokens: Tokens) -> None:
    assert tokens_from_json(json.loads(json.dumps(tokens.to_json()))) == tokens


@pytest.mark.parametrize("between", ["cells", "linear"])
def test_an_order_changes_no_picture(between: Any) -> None:
    weights = weights_of(PROMPT, 2)
    order = torch.tensor(SHUFFLED.order)
    # the same numbers meet in another order: a rounding of float64
    expected = PROMPT.to_pixels(weights, between=between)
    drawn = SHUFFLED.to_pixels(weights[:, order], between=between)
    torch.testing.assert_close(drawn, expected, rtol=0, atol=1e-15, equal_nan=True)


def test_dropped_places_are_not_seen_and_keep_the_others() -> None:
    kept = SelectedTokens.of(GRID, [0, 3, 8, -1])
    weights = weights_of(kept)
    pixels = kept.to_pixels(weights)
    x0, y0, x1, y1 = (round(edge) for edge in GRID.box_xyxy(3))
    assert not pixels[y0 : y1 - 1, x0 : x1 - 1].isnan().any()
    assert pixels[-1, -1].isnan()
    # sums of some hundred float64 numbers below 1
    assert pixels.nansum().item() == pytest.approx(weights[1:3].sum().item(), rel=1e-12)
    assert kept.name(1) == "row 0, column 2"
    assert kept.name(3) == "padding 3"
    assert kept.named == {"cls": 0}
    assert kept.shares(weights)["padding"].item() == pytest.approx(weights[3].item(), rel=1e-12)
    with pytest.raises(GeometryError, match="it was dropped"):
        kept.at(59, 39)
    with pytest.raises(GeometryError, match="stands for padding"):
        kept.box_xyxy(3)


def test_windows_are_assembled_into_one_map() -> None:
    whole = weights_of(CELLS, 2, 3)  # two images, three heads
    cut = torch.stack(
        [
            torch.stack([torch.where(o >= 0, image[:, o.clamp(min=0)], 7.0) for o in order])
            for image, order in ((image, torch.tensor(WINDOWS.orders)) for image in whole)
        ]
    ).flatten(0, 1)
    assert torch.equal(WINDOWS.assemble(cut), whole)
    one = cut[: WINDOWS.parts].movedim(0, -2)
    drawn = WINDOWS.to_pixels(one)
    torch.testing.assert_close(drawn, CELLS.to_pixels(whole[0]), rtol=0, atol=0, equal_nan=True)


def test_a_shifted_window_holds_what_was_rolled_into_it() -> None:
    part, index = WINDOWS.locate(1, 1)  # rolled up and left by (1, 2): now in the last window
    assert (part, index) == (3, 10)  # of 6 x 8 cells, (0, 0) lies at (5, 6) now
    assert WINDOWS.part(part).box_xyxy(index) == CELLS.box_xyxy(0)
    assert WINDOWS.part(part + WINDOWS.parts) == WINDOWS.part(part)
    with pytest.raises(GeometryError, match=r"locate\(x, y\) gives both"):
        WINDOWS.at(1, 1)
    with pytest.raises(GeometryError, match=r"expected \(\.\.\., 4, 12\)"):
        WINDOWS.to_pixels(torch.ones(12))
    with pytest.raises(GeometryError, match="a batch of images x 4 parts"):
        WINDOWS.assemble(torch.ones(6, 12))


def test_segments_on_one_picture_are_drawn_together() -> None:
    weights = weights_of(CROPS)
    both = COARSE.to_pixels(weights[: COARSE.count]) + CELLS.to_pixels(weights[COARSE.count :])
    assert torch.equal(CROPS.to_pixels(weights), both)
    assert CROPS.name(CROPS.at(30, 20)) == "fine: row 2, column 3"
    assert [CROPS.name(i) for i in CROPS.all_at(30, 20)][1] == "whole: row 1, column 1"


def test_frames_share_the_weight_of_their_token() -> None:
    weights = weights_of(VIDEO)
    drawn = sum(VIDEO.to_pixels(weights, picture=i).nansum() for i in range(4))
    shares = (CELLS.shares(part)["image"] for part in weights.reshape(2, -1))
    assert float(drawn) == pytest.approx(sum(s.item() for s in shares), rel=1e-12)
    assert VIDEO.at(1, 1, picture=3) == CELLS.count
    assert VIDEO.picture(CELLS.count) == 2
    with pytest.raises(GeometryError, match=r"on picture 4, only on \(0, 1, 2, 3\)"):
        VIDEO.at(1, 1, picture=4)


def test_names_tell_segments_and_words_apart() -> None:
    assert [PROMPT.name(i) for i in (1, 3, 4)] == [
        "text: 1 'cat'",
        "image: cls",
        "image: row 0, column 0",
    ]
    assert PROMPT.named == {"image: cls": 3}
    assert PROMPT.where("image") == slice(3, PROMPT.count)
    assert list(PROMPT.shares(weights_of(PROMPT))) == ["text", "image"]
    with pytest.raises(SelectionError, match="there are: 'text', 'image'"):
        PROMPT.where("picture")


def test_points_lie_where_the_view_puts_them() -> None:
    assert [POINTS.at(*xy) for xy in ((4, 3), (50, 37), (60, 40))] == [0, 1, 2]
    pixels = POINTS.to_pixels(torch.tensor([1.0, 2.0, 4.0]))
    assert pixels.nonzero().tolist() == [[3, 4], [37, 50]]
    assert pixels.sum() == 3
    assert POINTS.shares(torch.tensor([1.0, 2.0, 4.0]))["padding"] == 4
    assert POINTS.center_xy(1) == pytest.approx((50, 37.5), rel=1e-12)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SelectedTokens.of(GRID, [0, GRID.count]), "expected indices of the base's 31"),
        (lambda: SelectedTokens.of(GRID, [0.5]), "no list of whole numbers"),
        (lambda: SelectedTokens(3, base=GRID, order=(1, 2)), r"SelectedTokens.of\(base, order\)"),
        (lambda: JoinedTokens(3, segments=(Segment("", GRID),)), r"JoinedTokens.of\(segments\)"),
        (lambda: PartedTokens(3, base=GRID, orders=((1, 2),)), r"PartedTokens.of\(base, orders\)"),
        (lambda: WordTokens(3, words=("a",)), r"WordTokens.of\(words\)"),
        (lambda: PointTokens(1, points_xy=(), view=VIEW), r"PointTokens.of\(points_xy, view\)"),
        (lambda: GRID.at(1, 1, picture=1), "picture 1 was asked for"),
    ],
)
def test_refuses_what_does_not_fit(make: Any, message: str) -> None:
    with pytest.raises(GeometryError, match=message):
        make()


def test_every_cell_is_in_one_window() -> None:
    for grid_hw, window_hw, shift_hw in (((5, 6), (3, 4), (1, 2)), ((7, 7), (7, 7), (0, 0))):
        order = orders.windows(grid_hw, window_hw, shift_hw).flatten()
        assert sorted(order[order >= 0].tolist()) == list(range(math.prod(grid_hw)))
    order = orders.unrolled((8, 16), [(2, 2), (2, 2)])
    assert sorted(order.tolist()) == list(range(128))

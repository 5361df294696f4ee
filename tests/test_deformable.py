"""Weights from sampled points, against sampling itself."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from recorded import random
from regard.deformable import DeformableAttention
from regard.errors import SelectionError
from regard.kept import Kept

LEVELS = ((3, 5), (2, 2))
ROUNDING = 1e-6
"""Float32: positions are computed in another order than `grid_sample` does."""


def attention(
    *, nearest: bool = False, queries: int = 4, points: tuple[int, ...] = (3, 2)
) -> DeformableAttention:
    xy = random(2, queries, 2, sum(points), 2) * 0.6 + 0.5
    weights = random(2, queries, 2, sum(points), seed=1).softmax(-1)
    return DeformableAttention(
        shape=(2, 2, queries, 19),
        locations=Kept(xy),
        point_weights=Kept(weights),
        levels_hw=LEVELS,
        points_per_level=points,
        nearest=nearest,
    )


def sampled_identity(call: DeformableAttention) -> Tensor:
    """The weights found by sampling: values that are the unit vectors of all cells."""
    points = call.points()
    cells = call.shape[3]
    start = 0
    total = torch.zeros(call.shape)
    for level, (height, width) in enumerate(call.levels_hw):
        image = torch.eye(cells)[start : start + height * width].T.view(1, cells, height, width)
        start += height * width
        mine = points.levels == level
        grid = points.xy[..., mine, :].flatten(0, 1) * 2 - 1
        samples = F.grid_sample(image.expand(len(grid), -1, -1, -1), grid, align_corners=False)
        weighed = samples * points.weights[..., mine].flatten(0, 1)[:, None]
        total += weighed.sum(-1).transpose(1, 2).view(call.shape)
    return total


def test_weights_are_what_sampling_reads() -> None:
    call = attention()
    torch.testing.assert_close(call.weights(), sampled_identity(call), rtol=0, atol=ROUNDING)
    assert float(call.weights().sum(-1).min()) < 0.9, "some points lie outside"


def test_a_point_in_the_middle_of_a_cell_reads_that_cell_alone() -> None:
    call = attention(queries=1)
    middle = torch.tensor([3.5 / 5, 1.5 / 3])
    call.locations.replace(middle.expand(2, 1, 2, 5, 2).clone())
    share = call.points().weights[..., :3].sum(-1)
    torch.testing.assert_close(call.weights()[..., 1 * 5 + 3], share, rtol=0, atol=ROUNDING)


def test_the_nearest_cell_holds_the_whole_weight() -> None:
    call = attention(nearest=True)
    points = call.points()
    expected = torch.zeros(call.shape)
    for level, (height, width) in enumerate(LEVELS):
        start = (0, 15)[level]
        for place in (points.levels == level).nonzero()[:, 0]:
            x, y = (
                (points.xy[..., place, :] * torch.tensor([width, height]) + 0.5).long().unbind(-1)
            )
            cell = start + y.clamp(0, height - 1) * width + x.clamp(0, width - 1)
            expected.scatter_add_(-1, cell[..., None], points.weights[..., [place]])
    torch.testing.assert_close(call.weights(), expected, rtol=0, atol=ROUNDING)


@pytest.mark.parametrize("nearest", [True, False])
def test_reductions_agree_with_the_whole_weights(nearest: bool) -> None:
    call = attention(nearest=nearest)
    whole = call.weights()
    rows, heads = [3, 1], [1]
    part = whole[:, heads][:, :, rows]
    close: Any = {"rtol": 0, "atol": ROUNDING}
    torch.testing.assert_close(call.weights(rows, heads), part, **close)
    torch.testing.assert_close(call.mean(rows), whole[:, :, rows].mean(1), **close)
    torch.testing.assert_close(call.received(rows, heads), part.mean(2), **close)
    torch.testing.assert_close(call.received(), whole.mean(2), **close)
    expected = torch.special.entr(part).sum(-1)
    torch.testing.assert_close(call.entropy(rows, heads), expected, rtol=0, atol=1e-5)
    asked = random(2, 3, 4)
    torch.testing.assert_close(call.pull(asked), asked @ whole.mean(1), **close)
    torch.testing.assert_close(call.pull(asked, heads=1), asked @ whole[:, 1], **close)
    tiles = list(call.tiles(budget_bytes=1))
    assert [len(block) for block, _ in tiles] == [1, 1, 1, 1]
    torch.testing.assert_close(torch.cat([w for _, w in tiles], 2), whole, **close)


def test_points_of_some_queries_and_heads() -> None:
    call = attention()
    points, part = call.points(), call.points(queries=[2, 0], heads=1)
    assert torch.equal(part.xy, points.xy[:, [1]][:, :, [2, 0]])
    assert torch.equal(part.weights, points.weights[:, [1]][:, :, [2, 0]])
    assert part.levels.tolist() == [0, 0, 0, 1, 1]


def test_no_mask_blocks_and_unmasked_weights_are_the_same() -> None:
    call = attention()
    assert torch.equal(call.weights(masked=False), call.weights())
    assert call.blocked([1, 2], 0).shape == (2, 1, 2, 19)
    assert not call.blocked().any()
    assert call.fully_masked([1, 2]).shape == (2, 2, 2)
    assert not call.fully_masked().any()


def test_half_precision_is_raised_before_it_is_spread() -> None:
    call = attention()
    low = DeformableAttention(
        shape=call.shape,
        locations=Kept(call.locations.get().half()),
        point_weights=Kept(call.point_weights.get().half()),
        levels_hw=LEVELS,
        points_per_level=(3, 2),
    )
    assert low.weights().dtype == torch.float32
    assert torch.equal(low.weights().sum(-1) > 0, call.weights().sum(-1) > 0)


def test_an_infinite_location_reads_nothing() -> None:
    call = attention()
    call.locations.get()[0, 0, 0] = torch.tensor([torch.nan, torch.inf])
    again = DeformableAttention(
        shape=call.shape,
        locations=Kept(call.locations._tensor),
        point_weights=call.point_weights,
        levels_hw=LEVELS,
        points_per_level=(3, 2),
    )
    assert not again.weights(0, 0)[0].any()


def test_few_rows_of_a_large_map_build_no_square() -> None:
    """A square of these 100,000 tokens would take 40 GB."""
    side, count = 316, 316 * 316
    call = DeformableAttention(
        shape=(1, 1, count, count),
        locations=Kept(torch.rand(1, count, 1, 2, 2)),
        point_weights=Kept(torch.full((1, count, 1, 2), 0.5)),
        levels_hw=((side, side),),
        points_per_level=(2,),
    )
    assert call.weights(queries=[5, 70_000]).shape == (1, 1, 2, count)
    assert call.received().shape == (1, 1, count)
    row = torch.zeros(1, 1, count)
    row[..., 7] = 1
    torch.testing.assert_close(call.pull(row)[0], call.weights(7)[0, 0], rtol=0, atol=ROUNDING)


def test_no_query_is_no_average() -> None:
    with pytest.raises(SelectionError, match="no query"):
        attention().received(queries=[])

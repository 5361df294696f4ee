"""A trained DETR on real roads: torch's own multi-head modules, head by head."""

from pathlib import Path

import pytest
import torch

import regard
from real import lstr

LAYERS = [
    "transformer.encoder.layers.0.self_attn",
    "transformer.encoder.layers.1.self_attn",
    "transformer.decoder.layers.0.self_attn",
    "transformer.decoder.layers.0.multihead_attn",
    "transformer.decoder.layers.1.self_attn",
    "transformer.decoder.layers.1.multihead_attn",
]


@pytest.fixture(scope="module")
def model(shared: Path) -> lstr.LaneDetector:
    return lstr.load(shared / "data/weights/lstr")


@pytest.fixture(scope="module")
def roads(shared: Path) -> list[Path]:
    return sorted((shared / "data/images/roads").glob("*.jpg"))


def test_lanes_are_found_and_recording_changes_no_bit(
    model: lstr.LaneDetector, roads: list[Path]
) -> None:
    assert len(roads) == 4
    for road in roads:
        pixels = lstr.pixels(road)
        with torch.inference_mode():
            plain = model(pixels)
            with regard.record(model, keep="qk") as recording:
                lanes = model(pixels)
        assert torch.equal(lanes, plain)
        assert int((lanes > 0.99).sum()) >= 2, "at least the two lines of the own lane"
        assert recording.layers == LAYERS
        assert recording.unrecorded == []
        checks = recording.verify()
        # W·V in another order of sums; values are of order 1
        assert max(check.error or 0 for check in checks) <= 5e-6
        assert all(check.error is not None for check in checks)


def test_the_average_that_the_module_returns_is_that_of_the_recorded_heads(
    model: lstr.LaneDetector, roads: list[Path]
) -> None:
    returned = []
    attention = model.get_submodule(LAYERS[-1])
    handle = attention.register_forward_hook(lambda _m, _i, out: returned.append(out[1]))
    with torch.no_grad(), regard.record(model, LAYERS[-1], keep="qk") as recording:
        model(lstr.pixels(roads[0]))
    handle.remove()
    (call,) = recording
    assert call.shape == (1, 2, 7, 240)
    torch.testing.assert_close(call.mean(), returned[0], rtol=0, atol=1e-6)
    heads = call.weights()[0]
    assert float((heads[0] - heads[1]).abs().max()) > 0.01, "the average hides two heads"


def test_lanes_look_at_different_places(model: lstr.LaneDetector, roads: list[Path]) -> None:
    with torch.no_grad(), regard.record(model, LAYERS[-1]) as recording:
        lanes = model(lstr.pixels(roads[0]))[0]
    rows = recording[0].mean()[0, lanes > 0.99]
    overlap = torch.minimum(rows[0], rows[1]).sum()
    assert float(overlap) < 0.8


def test_queries_look_along_their_own_lanes(
    model: lstr.LaneDetector, roads: list[Path], shared: Path
) -> None:
    """Attention on the cells under a lane, over their share of the photo: the lift.

    Queries 0 and 5 find a lane in every photo. In the first decoder layer each looks along its
    own lane, and hardly along others. In the last, query 0 looks along the neighbouring lane too.
    """
    hidden: list[torch.Tensor] = []
    norm = model.get_submodule("transformer.decoder.norm")
    handle = norm.register_forward_hook(lambda _m, _i, out: hidden.append(out[:, 0]))
    keys = regard.GridTokens.from_stride(regard.ViewTransform.identity((360, 640)), 32)
    for road in roads:
        with torch.no_grad(), regard.record(model, "*.multihead_attn") as recording:
            found = model(lstr.pixels(road))[0] > 0.9
        points = lstr.lanes(shared / "data/weights/lstr", hidden.pop().detach())
        cells = [_beside(keys, points[query]) for query in range(7)]
        first, last = recording
        for query in (0, 5):
            assert found[query]
            lifts = [_lift(first, query, each) for each in cells]
            others = [lifts[i] for i in range(7) if found[i] and i != query]
            assert lifts[query] > 3
            assert lifts[query] > 3 * max(others)
            assert _lift(last, query, cells[query]) > 2
    handle.remove()


def _beside(keys: regard.GridTokens, points: torch.Tensor) -> torch.Tensor:
    """Cells under a lane and one to either side: bool (keys,)."""
    rows, columns = keys.grid_hw
    under = torch.zeros(rows, columns, dtype=torch.bool)
    for index in {keys.at(float(x), float(y)) for x, y in points}:
        row, column = divmod(index, columns)
        under[row, max(column - 1, 0) : column + 2] = True
    return under.flatten()


def _lift(call: regard.Attention, query: int, cells: torch.Tensor) -> float:
    return float(call.mean(query)[0, 0, cells].sum() / cells.float().mean())

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

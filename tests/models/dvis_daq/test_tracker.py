"""The tracker against the official code: every id, every counter, attention of every frame."""

import pytest
import torch
from torch import Tensor

import regard
from dvis_reference import FORK, OFFLINE, ONLINE, Reference, assert_near
from regard.models.dvis_daq.model import DvisDaq, SegmentedFrames
from regard.models.dvis_daq.settings import Settings
from regard.models.dvis_daq.slots import SlotAttention
from regard.models.dvis_daq.tracker import TrackerOutput
from regard.models.dvis_daq.tracks import Tracks

RUNS = {"online": ONLINE, "offline": OFFLINE}
# Softmaxes of float32 logits up to 30 that were summed in another order; measured 1.5e-5.
WEIGHT_TOLERANCE = 5e-5


@pytest.mark.parametrize("run", RUNS)
def test_every_frame_matches(reference: Reference, segmented: SegmentedFrames, run: str) -> None:
    expected, tracks, model = reference.file(run), Tracks(max_unseen_frames=8), reference.model()
    previous: list[int] = []
    for frame in range(12):
        found: dict[str, Tensor] = {}
        with torch.no_grad(), regard.record(model, "tracker.*") as recording:
            output = _track(model, tracks, segmented, frame, RUNS[run])
        found |= _outputs(output, tracks)
        found["cross_attn"] = _weights(recording, "transformer_cross_attention_layers")
        own = _weights(recording, "transformer_self_attention_layers")
        found["self_attn_headmean"] = own.mean(1)
        if frame:
            found["frame_query_pos"] = _places(model, segmented, frame)
            name = "slot_cross_attention_layers.*.multihead_attn"
            found["slot_cross_attn_headmean"] = _weights(recording, name).mean(1)
        _assert_frame(expected, f"tracker.{frame:02d}", found)
        assert output.tracked.entered == tuple(previous)
        previous = expected[f"tracker.{frame:02d}.seq_ids"].tolist()
        assert list(output.tracked.left) == previous
        counted = [track.unseen_frames for track in tracks.alive]
        assert counted == expected[f"tracker.{frame:02d}.invalid_frames"].tolist()
        if f"tracker.{frame:02d}.masks" in expected:
            assert_near(output.masks, expected[f"tracker.{frame:02d}.masks"], "masks")


@pytest.mark.parametrize("run", RUNS)
def test_slot_shares_match(reference: Reference, segmented: SegmentedFrames, run: str) -> None:
    """Slot attention, whose softmax is over slots and whose mean is over inputs."""
    model, expected = reference.model(), reference.file(run)
    caught: list[Tensor] = []
    for module in model.tracker.modules():
        if isinstance(module, SlotAttention):
            module.register_forward_hook(
                lambda module, args, _: caught.append(_shares(module, *args))
            )
    tracks = Tracks(max_unseen_frames=8)
    for frame in range(12):
        caught.clear()
        with torch.no_grad():
            _track(model, tracks, segmented, frame, RUNS[run])
        if frame:
            name = f"tracker.{frame:02d}.slot_attn"
            assert_near(torch.cat(caught), expected[name], name, WEIGHT_TOLERANCE)


def test_ids_match_with_fewer_candidates(reference: Reference, segmented: SegmentedFrames) -> None:
    expected, tracks, model = (
        reference.file("offline_fork"),
        Tracks(max_unseen_frames=8),
        reference.model(),
    )
    layer = "tracker.transformer_cross_attention_layers.5"
    for frame in range(12):
        with torch.no_grad(), regard.record(model, layer) as recording:
            output = _track(model, tracks, segmented, frame, FORK)
        name = f"tracker.{frame:02d}"
        assert list(output.tracked.left) == expected[f"{name}.seq_ids"].tolist()
        counted = [track.unseen_frames for track in tracks.alive]
        assert counted == expected[f"{name}.invalid_frames"].tolist()
        weights = recording[0].weights()[0].mean(0)
        assert_near(weights, expected[f"{name}.cross_attn5_headmean"], name, WEIGHT_TOLERANCE)


def _outputs(output: TrackerOutput, tracks: Tracks) -> dict[str, Tensor]:
    found = {"queries_in": output.queries, "embeds": output.embeds, "logits": output.logits}
    found["track_embeds_out"] = tracks.queries()[1]
    if output.slot_logits is not None and output.slot_starts is not None:
        found |= {"slot_logits": output.slot_logits, "slot_query_match": output.slot_starts}
    return found


def _places(model: DvisDaq, segmented: SegmentedFrames, frame: int) -> Tensor:
    """Position embeddings of the frame queries."""
    with torch.no_grad():
        places: Tensor = model.tracker.positions(
            segmented.queries.masks[frame], segmented.mask_features[frame]
        )
    return places


def _assert_frame(expected: dict[str, Tensor], frame: str, found: dict[str, Tensor]) -> None:
    for name, tensor in found.items():
        tolerance = WEIGHT_TOLERANCE if "attn" in name else 1e-4
        if not tensor.is_floating_point():
            tolerance = 0.0
        assert_near(tensor, expected[f"{frame}.{name}"], f"{frame}.{name}", tolerance)


def _weights(recording: regard.Recording, layers: str) -> Tensor:
    """(layers, heads, queries, keys)."""
    return torch.cat([call.weights() for call in recording[f"tracker.{layers}*"]])


def _shares(module: SlotAttention, inputs: Tensor, keys: Tensor, slots: Tensor) -> Tensor:
    """The shares by definition: they are what turns one-hot inputs into the output."""
    one_hot = torch.eye(inputs.shape[1])[None]
    return module.forward(one_hot, keys, slots).transpose(1, 2)


def _track(
    model: DvisDaq,
    tracks: Tracks,
    segmented: SegmentedFrames,
    frame: int,
    settings: Settings,
) -> TrackerOutput:
    queries = segmented.queries
    output: TrackerOutput = model.tracker(
        tracks,
        frame,
        embeds=queries.embeds[frame],
        scores=queries.scores[frame],
        masks=queries.masks[frame],
        mask_features=segmented.mask_features[frame],
        learned_queries=model.learned_queries,
        settings=settings,
    )
    return output

"""From an instance to pixels: against the official code's tensors, put together by hand."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from dvis_reference import OFFLINE, ONLINE, Reference, assert_near
from regard.errors import CaptureError, SelectionError
from regard.geometry import ViewTransform
from regard.models.dvis_daq.record_video import record_video
from regard.models.dvis_daq.story import Keep
from regard.models.dvis_daq.video_attention import VideoAttention
from regard.tokens.grid import GridTokens

# The frames are 120 x 152 in an input of 128 x 160; the originals are taken to be 144 x 184.
VIEW = ViewTransform.identity((144, 184)).resize((120, 152)).pad(bottom=8, right=8)
# Products of two softmaxes that are each off by 1.5e-5 or less; see test_tracker.
TOLERANCE = 5e-5


def run(reference: Reference, keep: Keep) -> VideoAttention:
    return record_video(reference.model(), reference.frames, OFFLINE, VIEW, keep=keep)


@pytest.fixture(scope="module")
def predicted(reference: Reference) -> Iterator[VideoAttention]:
    attention = run(reference, "predicted")
    yield attention
    attention.close()


@pytest.fixture(scope="module")
def everything(reference: Reference) -> Iterator[VideoAttention]:
    attention = run(reference, "all")
    yield attention
    attention.close()


def tracks(attention: VideoAttention) -> list[int]:
    """Predicted rows that are tracks."""
    rows = {detection.row for detection in attention.output.detections}
    return sorted(row for row in rows if attention.output.rows[row].track is not None)


def mixture(reference: Reference, attention: VideoAttention, row: int, frame: int) -> Tensor | None:
    """Weights over frame queries from the frozen tensors; None outside the track's life."""
    expected, name = reference.file("offline"), f"tracker.{frame:02d}"
    track = attention.output.rows[row].track
    assert track is not None
    after = expected[f"{name}.seq_ids"].tolist()
    if track.id not in after:
        return None
    before = expected[f"tracker.{frame - 1:02d}.seq_ids"].tolist() if frame else []
    query = before.index(track.id) if track.id in before else _birth(expected, frame, track.id)
    return expected[f"{name}.cross_attn"][5, :, query].mean(0)


def _birth(expected: dict[str, Tensor], frame: int, track: int) -> int:
    """Query of a track in its first frame: the one whose output it goes on with."""
    after = expected[f"tracker.{frame:02d}.seq_ids"].tolist()
    nexts = expected[f"tracker.{frame + 1:02d}.queries_in"][after.index(track)]
    embeds = expected[f"tracker.{frame:02d}.embeds"]
    return int((embeds - nexts).abs().sum(1).argmin())


@pytest.fixture(scope="module")
def maps(reference: Reference) -> Iterator[VideoAttention]:
    attention = run(reference, "maps")
    yield attention
    attention.close()


@pytest.mark.parametrize("keep", ["predicted", "everything", "maps"])
def test_the_chain_to_cells(
    reference: Reference, keep: str, request: pytest.FixtureRequest
) -> None:
    attention: VideoAttention = request.getfixturevalue(keep)
    segmenter, lives = reference.file("segmenter"), 0
    for row in tracks(attention):
        for frame in range(12):
            shares = mixture(reference, attention, row, frame)
            for layer in (6, 7, 8):
                found = attention.cell_weights(row, frame, layer)
                assert (found is None) == (shares is None)
                if found is not None and shares is not None:
                    cells = segmenter[f"predictor.cross.{layer}.attn_headmean"][frame]
                    assert_near(found, shares @ cells, f"row {row}, frame {frame}", TOLERANCE)
                    lives += 1
    births = {attention.output.rows[row].track.start for row in tracks(attention)}  # type: ignore[union-attr]
    assert lives > 100
    assert 0 in births
    assert len(births) > 1  # the first frame and later births are among them


def test_heads_and_layers_of_the_tracker(reference: Reference, predicted: VideoAttention) -> None:
    expected, row = reference.file("offline"), tracks(predicted)[0]
    track = predicted.output.rows[row].track
    assert track is not None
    frame = track.start + 1
    query = predicted.output.tracked[frame].query_of(track.id)
    for layer, head in ((0, 1), (3, None), (-1, 2)):
        weights = expected[f"tracker.{frame:02d}.cross_attn"][layer, :, query]
        wanted = weights.mean(0) if head is None else weights[head]
        found = predicted.query_weights(row, frame, tracker_layer=layer, head=head)
        assert found is not None
        assert_near(found, wanted, f"layer {layer}, head {head}", TOLERANCE)
    top = predicted.query_weights(row, frame, mixing="top")
    assert top is not None
    best = expected[f"tracker.{frame:02d}.cross_attn"][-1, :, query].mean(0).argmax()
    assert top.tolist() == torch.eye(20)[best].tolist()


def test_rollout_is_the_same_whatever_was_kept(
    predicted: VideoAttention, everything: VideoAttention
) -> None:
    for row in tracks(predicted)[:3]:
        for frame in (0, 3, 11):
            one = predicted.query_weights(row, frame, mixing="rollout")
            other = everything.query_weights(row, frame, mixing="rollout")
            assert (one is None) == (other is None)
            if one is not None and other is not None:
                assert torch.equal(one, other)
                assert one.sum().item() == pytest.approx(1)


def test_unmasked_cells(reference: Reference, predicted: VideoAttention) -> None:
    """Of the first frame, of which the official code's unmasked weights are frozen."""
    expected, segmenter = reference.file("offline"), reference.file("segmenter")
    row = next(r for r in tracks(predicted) if predicted.output.rows[r].lives_in(0))
    track = predicted.output.rows[row].track
    assert track is not None
    shares = expected["tracker.00.cross_attn"][-1, :, track.query].mean(0)
    for layer in (6, 7, 8):
        cells = segmenter[f"predictor.cross.{layer}.attn_unmasked"][0]
        found = predicted.cell_weights(row, 0, layer, masked=False)
        assert found is not None
        assert_near(found, shares @ cells.mean(0), f"layer {layer}", TOLERANCE)
        one_head = predicted.cell_weights(row, 0, layer, masked=False, decoder_head=2)
        assert one_head is not None
        assert_near(one_head, shares @ cells[2], f"layer {layer}, head 2", TOLERANCE)


def test_heat_lies_on_the_original_frame(predicted: VideoAttention) -> None:
    row = tracks(predicted)[0]
    frame = predicted.output.rows[row].track.start  # type: ignore[union-attr]
    heat = predicted.heat(row, frame, layers=[8], between="cells")
    weights = predicted.cell_weights(row, frame, 8)
    assert heat is not None
    assert weights is not None
    assert heat.shape == (144, 184)
    padding = predicted.on_padding(row, frame, 8)
    assert padding is not None
    # float32 sums of 26,496 pixels
    assert heat.nansum().item() + padding == pytest.approx(1, abs=1e-5)
    # the cell at row 2, column 3 of stride 8 covers y 16-24, x 24-32 of the input; the original
    # is 1.2 and 184/152 times as large
    cell = heat[20:28, 30:38]
    expected = weights[2 * 20 + 3] / (8 * 8 * 1.2 * 184 / 152)
    assert torch.allclose(cell, expected, rtol=1e-4)


def test_layers_are_averaged_and_times_count(predicted: VideoAttention) -> None:
    row = tracks(predicted)[0]
    frame = predicted.output.rows[row].track.start  # type: ignore[union-attr]
    single = [predicted.heat(row, frame, layers=[layer]) for layer in (6, 8)]
    both = predicted.heat(row, frame, layers=[6, 8])
    timed = predicted.heat(row, frame, layers=[6, 8], temporal=True)
    assert both is not None
    assert timed is not None
    mean = torch.stack([heat for heat in single if heat is not None]).mean(0)
    assert torch.allclose(both, mean, equal_nan=True)
    assert torch.allclose(timed, both * predicted.importance(row).weights[frame], equal_nan=True)


def test_calls_say_where_they_belong(everything: VideoAttention) -> None:
    recording = everything.recording
    for call in recording.find("sem_seg_head.predictor.transformer_cross*"):
        layer = call.axes["layer_index"]
        assert call.axes["level"] == layer % 3
        assert call.axes["frame"] == 5 * call.axes["window"]
        assert isinstance(call.keys, GridTokens)
        assert call.keys.stride_px == (2 ** (5 - layer % 3),) * 2
    tracked = everything.output.tracked[6]
    [call] = recording.find("tracker.transformer_cross*", frame=6, layer_index=2)
    for track in tracked.left:
        assert call.queries.name(tracked.query_of(track) or 0) == f"track {track}"
    [slots] = recording.find("tracker.slot_cross*.slot_attn", frame=6, layer_index=2)
    assert slots.queries == slots.keys
    assert slots.queries.prefix[-1] == "background 4"
    assert max(error.error or 0 for error in recording.verify()) < 1e-4  # float32


def test_time_attention_of_one_instance(
    predicted: VideoAttention, everything: VideoAttention
) -> None:
    for row in sorted({detection.row for detection in predicted.output.detections}):
        for layer in (0, -1):
            one = predicted.time_weights(row, layer)
            assert one.shape == (12, 12)
            assert torch.equal(one, everything.time_weights(row, layer))


def test_importance_is_exact_and_marks_life(
    reference: Reference, predicted: VideoAttention
) -> None:
    refiner = predicted.model.refiner
    assert refiner is not None
    for row, of in enumerate(predicted.output.rows):
        found = predicted.importance(row)
        assert found.contributions is not None
        assert found.contributions is not None
        logits = found.contributions.sum(0) + refiner.class_embed.bias
        assert_near(logits, of.logits, "sum of contributions", 1e-5)  # order of summation
        assert found.weights.sum().item() == pytest.approx(1)
        if of.track is not None:
            alive = range(of.track.start, of.track.end)
            assert found.alive.nonzero()[:, 0].tolist() == list(alive)


def test_only_what_is_in_the_result_is_kept(
    predicted: VideoAttention, everything: VideoAttention
) -> None:
    assert predicted.recording.nbytes < everything.recording.nbytes / 2
    chosen = {f"track {predicted.output.rows[row].track.id}" for row in tracks(predicted)}  # type: ignore[union-attr]
    for call in predicted.recording.find("tracker"):
        assert set(call.queries.prefix) <= chosen
    other = next(
        row
        for row, of in enumerate(predicted.output.rows)
        if of.track is not None and f"track {of.track.id}" not in chosen
    )
    frame = predicted.output.rows[other].track.start  # type: ignore[union-attr]
    with pytest.raises(SelectionError, match="keep='all'"):
        predicted.query_weights(other, frame)
    assert everything.query_weights(other, frame) is not None


def test_maps_answer_only_what_they_hold(maps: VideoAttention) -> None:
    row = tracks(maps)[0]
    frame = maps.output.rows[row].track.start  # type: ignore[union-attr]
    assert maps.heat(row, frame) is not None
    assert not maps.recording
    with pytest.raises(CaptureError, match="keep='predicted'"):
        maps.cell_weights(row, frame, 8, masked=False)
    with pytest.raises(CaptureError, match="keep='predicted'"):
        maps.cell_weights(row, frame, 8, mixing="top")


def test_an_online_model_has_no_importance(reference: Reference) -> None:
    model = reference.model(offline=False)
    attention = record_video(model, reference.frames[:2], ONLINE, VIEW, keep="maps")
    with pytest.raises(SelectionError, match="online model"):
        attention.importance(0)
    attention.close()


@pytest.mark.parametrize(("row", "frame"), [(99, 0), (0, 99), (-99, 0)])
def test_what_does_not_exist_is_said(predicted: VideoAttention, row: int, frame: int) -> None:
    with pytest.raises(SelectionError, match="does not exist"):
        predicted.query_weights(row, frame)


def test_bad_choices_are_refused(reference: Reference, predicted: VideoAttention) -> None:
    model = reference.model()
    for options in ({"keep": "some"}, {"layers": (9,)}, {"layers": ()}):
        with pytest.raises(SelectionError):
            record_video(model, reference.frames, OFFLINE, VIEW, **options)
    with pytest.raises(SelectionError, match="layer 2"):
        predicted.cell_weights(0, 0, 2)
    with pytest.raises(SelectionError, match="mixing is"):
        predicted.query_weights(0, 0, mixing="mean")  # type: ignore[arg-type]

"""Whole videos against the official code: rows, refiner attention, frame weights, masks, scores."""

import numpy as np
import pytest
import torch
from torch import Tensor

import regard
from dvis_reference import FORK, OFFLINE, ONLINE, Reference, assert_near
from regard.errors import MediaError
from regard.models.dvis_daq.inference import Observer, VideoRun, run_video
from regard.models.dvis_daq.output import VideoOutput
from regard.models.dvis_daq.settings import Settings

SIZES = {"padded_hw": (128, 160), "content_hw": (120, 152), "size_hw": (144, 184)}
SCORE_TOLERANCE = 1e-5  # measured 1.2e-6; neighbouring scores of the result are 2e-5 apart or more
WEIGHT_TOLERANCE = 5e-5  # as in test_tracker


def test_online_result_matches(reference: Reference) -> None:
    with run_video(reference.model(offline=False), reference.frames, ONLINE) as output:
        expected = reference.file("online")
        logits = torch.stack([row.logits for row in output.rows])
        assert_near(logits, expected["vis.row_logits"], "row logits")
        _assert_detections(output, expected, "vis")
        _assert_masks(output, expected)


def test_offline_result_matches(reference: Reference) -> None:
    with run_video(reference.model(), reference.frames, OFFLINE) as output:
        expected = reference.file("offline")
        _assert_detections(output, expected, "vis", order=_order(output, expected))
        _assert_masks(output, expected)


@pytest.mark.parametrize(("run", "settings"), [("offline", OFFLINE), ("offline_fork", FORK)])
def test_what_goes_into_the_refiner_matches(
    reference: Reference, run: str, settings: Settings
) -> None:
    """Rows of tracks and of chains, with what stands in them outside of a track's life."""
    model, expected = reference.model(), reference.file(run)
    assert model.refiner is not None
    given: list[Tensor] = []
    model.refiner.register_forward_pre_hook(lambda _, inputs: given.append(inputs[0]))
    online = VideoRun(model, settings, Observer())
    with online.over(reference.frames) as output:
        order = _order(output, expected)
    found = given[0][order].permute(2, 1, 0)[None]
    assert_near(found, expected["refiner.instance_embeds"], "inputs of the refiner")
    if "refiner.online_logits" in expected:
        with torch.no_grad():
            rows, _, _ = online.rows_to_refine()
        logits = torch.stack([rows[row].logits for row in order])[None]
        assert_near(logits, expected["refiner.online_logits"], "mean logits of the tracker")


def test_what_leaves_the_refiner_before_its_norm_matches(reference: Reference) -> None:
    model, expected = reference.model(), reference.file("offline")
    assert model.refiner is not None
    last: list[Tensor] = []
    model.refiner.decoder_norm.register_forward_pre_hook(lambda _, inputs: last.append(inputs[0]))
    with run_video(model, reference.frames, OFFLINE) as output:
        order = _order(output, expected)
    found = last[0][order].permute(2, 1, 0)[None]
    assert_near(found, expected["refiner.pred_embds"], "last layer of the refiner")


def test_refiner_matches(reference: Reference) -> None:
    model, expected = reference.model(), reference.file("offline")
    with (
        regard.record(model, "refiner.*") as recording,
        run_video(model, reference.frames, OFFLINE) as output,
    ):
        order = _order(output, expected)
        assert output.refined is not None
        refined = output.refined
        found = refined.embeds.transpose(0, 1)[None, None, :, order]
        assert_near(found, expected["refiner.decoder_output"], "decoder output")
        found = refined.frame_weights.T[None, None, :, order, None]
        assert_near(found, expected["refiner.activation"], "frame weights", 1e-5)
        assert_near(refined.logits[order], expected["refiner.pred_logits"][0, 0], "logits")
        for place, frame in enumerate(reference.config["dense_frames"]):
            masks = output.mask_logits(frame, order)
            assert_near(masks, expected["refiner.pred_masks"][0, :, place], "masks", 2e-4)
    life = torch.tensor([[not row.lives_in(t) for t in range(12)] for row in output.rows])
    assert torch.equal(life[order], expected["refiner.padding_mask"][0].bool())
    for layer in range(6):
        _assert_refiner_attention(recording, expected, layer, order)


def _assert_refiner_attention(
    recording: regard.Recording, expected: dict[str, Tensor], layer: int, order: list[int]
) -> None:
    def weights(name: str) -> Tensor:
        [call] = recording[f"refiner.transformer_{name}_layers.{layer}"]
        return call.weights()

    over_time = weights("time_self_attention")[order]
    name = f"refiner.time_attn.{layer}"
    assert_near(over_time, expected[name], name, WEIGHT_TOLERANCE)
    rows = weights("obj_self_attention").mean(1)[:, order][..., order]
    name = f"refiner.obj_attn_headmean.{layer}"
    assert_near(rows, expected[name], name, WEIGHT_TOLERANCE)
    cross = weights("cross_attention").mean(1)[:, order]
    name = f"refiner.cross_attn_headmean.{layer}"
    assert_near(cross, expected[name], name, WEIGHT_TOLERANCE)


def test_refiner_with_convolution_matches(reference: Reference) -> None:
    with run_video(reference.model(), reference.frames, OFFLINE) as output:
        order = _order(output, reference.file("offline"))  # the same rows go in
    model, expected = reference.model(local_conv=True), reference.file("offline_local")
    with (
        regard.record(model, "refiner.transformer_time*") as recording,
        run_video(model, reference.frames, OFFLINE) as output,
    ):
        pass
    assert output.refined is not None
    found = output.refined.frame_weights.T[None, None, :, order, None]
    assert_near(found, expected["refiner_local.activation"], "frame weights", 1e-5)
    found = output.refined.embeds.transpose(0, 1)[None, None, :, order]
    assert_near(found, expected["refiner_local.decoder_output"], "decoder output")
    logits = output.refined.logits[order]
    assert_near(logits, expected["refiner_local.pred_logits"][0, 0], "logits")
    _assert_detections(output, expected, "vis_local", order=order)
    for layer, call in enumerate(recording):
        name = f"refiner_local.time_attn_headmean.{layer}"
        assert_near(call.weights().mean(1)[order], expected[name], name, WEIGHT_TOLERANCE)


def test_result_matches_with_fewer_candidates(reference: Reference) -> None:
    expected = reference.file("offline_fork")
    with run_video(reference.model(), reference.frames, FORK) as output:
        order = _order(output, expected)
    assert output.refined is not None
    found = output.refined.frame_weights.T[None, None, :, order, None]
    assert_near(found, expected["refiner.activation"], "frame weights", 1e-5)
    logits = output.refined.logits[order]
    assert_near(logits, expected["refiner.pred_logits"][0, 0], "logits")
    _assert_detections(output, expected, "vis", order=order)


def test_windows_do_not_change_the_result(reference: Reference) -> None:
    results = []
    for window in (1, 7):
        settings = OFFLINE.updated(window=window)
        with run_video(reference.model(), reference.frames, settings) as output:
            results.append(output)
    one, seven = results
    assert [list(range(0, 7)), list(range(7, 12))] == [list(window) for window in seven.windows]
    assert one.tracked == seven.tracked
    for mine, other in zip(one.detections, seven.detections, strict=True):
        assert (mine.row, mine.label) == (other.row, other.label)
        assert abs(mine.score - other.score) < SCORE_TOLERANCE  # kernels differ with batch size


def test_contributions_add_up_to_the_logits(reference: Reference) -> None:
    model = reference.model()
    with run_video(model, reference.frames, OFFLINE) as output:
        refined = output.refined
    assert refined is not None
    assert model.refiner is not None
    added = refined.contributions(model.refiner.class_embed).sum(1) + model.refiner.class_embed.bias
    assert_near(added, refined.logits, "sum of contributions", 1e-5)  # another order of summation


def test_an_empty_video_is_refused(reference: Reference) -> None:
    with pytest.raises(MediaError, match="no frames"):
        run_video(reference.model(), [], ONLINE)


def test_frames_of_another_size_are_refused(reference: Reference) -> None:
    frames = [*reference.frames[:2], torch.zeros(3, 96, 160)]
    with pytest.raises(MediaError, match="frame 2 is"):
        run_video(reference.model(), frames, ONLINE)


def test_a_video_in_which_nothing_is_found(reference: Reference) -> None:
    nothing = Settings(threshold=1.0, first_frame_threshold=1.0)
    with run_video(reference.model(offline=False), reference.frames[:6], nothing) as output:
        assert output.detections == []
        assert output.rows == []
        assert output.masks(0, [], **SIZES).shape == (0, 144, 184)


def _order(output: VideoOutput, expected: dict[str, Tensor]) -> list[int]:
    """Our row for each of the official code's, which come in no fixed order."""
    ids = [-1 if row.track is None else row.track.id for row in output.rows]
    wanted = expected["refiner.row_seq_ids"].tolist()
    assert sorted(ids) == sorted(wanted)
    order = [ids.index(track) for track in wanted if track >= 0]
    assert wanted[len(order) :] == [-1] * (len(wanted) - len(order))  # chains come last
    assert output.refined is not None
    weights = output.refined.frame_weights
    for row in range(len(order), len(wanted)):
        official = expected["refiner.activation"][0, 0, :, row, 0]
        order.append(int((weights - official).abs().sum(1).argmin()))
    assert len(set(order)) == len(order)
    return order


def _assert_detections(
    output: VideoOutput, expected: dict[str, Tensor], prefix: str, order: list[int] | None = None
) -> None:
    keys = ("scores", "labels", "rows")
    columns = (expected[f"{prefix}.{key}"].tolist() for key in keys)
    official = sorted(zip(*columns, strict=True), reverse=True)
    for found, (score, label, row) in zip(output.detections, official, strict=True):
        assert (found.label, found.row) == (label, order[row] if order else row)
        assert abs(found.score - score) < SCORE_TOLERANCE


def _assert_masks(output: VideoOutput, expected: dict[str, Tensor]) -> None:
    """Every pixel, but for those whose logit is 0 to within rounding."""
    best_first = np.argsort(-expected["vis.scores"].numpy(), kind="stable")
    rows = [detection.row for detection in output.detections]
    height, width = SIZES["size_hw"]
    for frame in range(output.frames):
        packed = expected["vis.masks_packed"][best_first, frame].numpy()
        official = np.unpackbits(packed, axis=-1)[..., :width].astype(bool)
        found = output.masks(frame, rows, **SIZES).numpy()
        assert found.shape == (len(rows), height, width)
        for place in np.argwhere(found != official):
            assert abs(_logit(output, frame, rows, place)) < 1e-4


def _logit(output: VideoOutput, frame: int, rows: list[int], place: np.ndarray) -> float:
    logits = output.mask_logits(frame, rows)[None]
    grown = torch.nn.functional.interpolate(logits, SIZES["padded_hw"], mode="bilinear")
    content = grown[..., : SIZES["content_hw"][0], : SIZES["content_hw"][1]]
    final = torch.nn.functional.interpolate(content, SIZES["size_hw"], mode="bilinear")
    return float(final[0][tuple(place.tolist())])

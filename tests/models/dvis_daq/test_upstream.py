"""Watching a model built like the official one: the same as our own recording of our network."""

from collections.abc import Iterator

import pytest
from torch import nn

from dvis_reference import OFFLINE, ONLINE, Reference
from regard.errors import CaptureError, NothingRecorded
from regard.geometry import ViewTransform
from regard.models.dvis_daq.record_video import record_video
from regard.models.dvis_daq.upstream import Watched, watch_upstream
from regard.models.dvis_daq.video_attention import VideoAttention
from upstream_like import UpstreamLike, stacked

VIEW = ViewTransform.identity((144, 184)).resize((120, 152)).pad(bottom=8, right=8)
FRAMES = 6
# float32, and sums in another order: fused attention against products and softmaxes
TOLERANCE = 2e-5


@pytest.fixture(scope="module")
def watched(reference: Reference) -> Watched:
    model = UpstreamLike(reference.model(), OFFLINE)
    with watch_upstream(model, VIEW) as watched:
        model(stacked(reference.frames[:FRAMES]))
    return watched


@pytest.fixture(scope="module")
def own(reference: Reference) -> Iterator[VideoAttention]:
    frames = reference.frames[:FRAMES]
    attention = record_video(reference.model(), frames, OFFLINE, VIEW, keep="all")
    yield attention
    attention.close()


def test_tracks_are_followed_by_the_order_of_calls(watched: Watched, own: VideoAttention) -> None:
    assert watched.attention.story.tracked == own.story.tracked
    assert watched.attention.story.windows == own.story.windows
    births = sum(len(frame.births) for frame in own.story.tracked[1:])
    assert births, "the clip has tracks that begin later"


def test_every_track_leads_to_the_same_cells(watched: Watched, own: VideoAttention) -> None:
    theirs, compared = watched.attention, 0
    places = {row.track_id: index for index, row in enumerate(theirs.story.rows)}
    for row, story in enumerate(own.story.rows):
        if story.track_id is None:
            continue
        for frame in range(FRAMES):
            for masked in (True, False):
                expected = own.cell_weights(row, frame, 8, masked=masked)
                found = theirs.cell_weights(places[story.track_id], frame, 8, masked=masked)
                assert (expected is None) == (found is None)
                if expected is not None and found is not None:
                    assert (expected - found).abs().max() < TOLERANCE
                    compared += 1
    assert compared > 50


def test_mixing_by_rollout_is_the_same(watched: Watched, own: VideoAttention) -> None:
    row = next(i for i, row in enumerate(own.story.rows) if row.track_id is not None)
    story = own.story.rows[row]
    place = [row.track_id for row in watched.attention.story.rows].index(story.track_id)
    expected = own.query_weights(row, story.life.start, mixing="rollout")
    found = watched.attention.query_weights(place, story.life.start, mixing="rollout")
    assert expected is not None
    assert found is not None
    assert (expected - found).abs().max() < TOLERANCE


def test_rows_are_those_of_the_official_result(watched: Watched) -> None:
    rows = watched.attention.story.rows
    assert len(watched.sequence_ids) == len(rows)
    linked = [i for i, sequence in enumerate(watched.sequence_ids) if sequence >= 100_000_000]
    assert [rows[index].track_id for index in linked] == [None, None]
    assert watched.attention.heat(linked[0], 0) is None, "linked by similarity: no track to follow"


def test_the_refiner_is_read_row_by_row(watched: Watched) -> None:
    refined = watched.attention
    time = refined.time_weights(0)
    assert time.shape == (FRAMES, FRAMES)
    assert time.sum(1).tolist() == pytest.approx([1.0] * FRAMES, abs=1e-5)
    importance = refined.importance(0)
    assert importance.weights.sum().item() == pytest.approx(1.0, abs=1e-5)
    assert importance.contributions is not None
    assert importance.contributions.shape[0] == FRAMES


def test_heat_lies_on_the_original_frame(watched: Watched) -> None:
    frame = watched.attention.story.rows[0].life.start
    heat = watched.attention.heat(0, frame)
    assert heat is not None
    assert heat.shape == (144, 184)


def test_online_models_have_no_refiner(reference: Reference) -> None:
    model = UpstreamLike(reference.model(offline=False), ONLINE)
    with watch_upstream(model, VIEW, layers=[2]) as watched:
        model(stacked(reference.frames[:2]))
    assert watched.attention.story.refiner_layers == 0
    assert watched.attention.layers == (2,)
    kept = watched.recording.find("sem_seg_head.*")
    assert {call.axes["layer_index"] for call in kept} == {2}


def test_hooks_are_gone_afterwards(reference: Reference) -> None:
    model = UpstreamLike(reference.model(offline=False), ONLINE)
    with pytest.raises(NothingRecorded), watch_upstream(model, VIEW):
        pass
    hooks = [module._forward_hooks | module._forward_pre_hooks for module in model.modules()]
    assert not any(hooks)
    assert "common_inference" not in vars(model)


def test_a_second_video_is_refused(reference: Reference) -> None:
    model = UpstreamLike(reference.model(offline=False), ONLINE)
    frames = stacked(reference.frames[:2])
    with watch_upstream(model, VIEW) as watched:
        model(frames)
        with pytest.raises(CaptureError, match="look at it after the with"):
            _ = watched.attention
        with pytest.raises(CaptureError, match="a second video begins after 2 frames"):
            model(frames)


def test_another_model_is_refused() -> None:
    with (
        pytest.raises(CaptureError, match="Linear has no module 'backbone'"),
        watch_upstream(nn.Linear(2, 2), VIEW),
    ):
        pass

"""A run read from its folder says the same as the model that is still in memory."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from dvis_reference import SMALL
from regard.clips.clip import ClipAttention, look_at
from regard.errors import MediaError, SelectionError
from regard.media.frames import EVERY_FRAME
from regard.media.ytvis import read_ytvis
from regard.models.dvis_daq.model import DvisDaq
from regard.models.dvis_daq.story import Keep
from regard.runs import RecordedVideo, Run
from runs.conftest import CATEGORIES, FRAMES, SIZE_HW, RunDataset


@pytest.fixture(scope="module")
def live(network: DvisDaq, dataset: Path) -> Iterator[ClipAttention]:
    video = read_ytvis(dataset).videos[1]
    with look_at(video, network, SMALL, EVERY_FRAME, keep="all", layers=(6, 7, 8)) as clip:
        yield clip


@pytest.fixture(scope="module", params=["predicted", "all"])
def stored(request: pytest.FixtureRequest, made: Run, everything: Run) -> RecordedVideo:
    return (made if request.param == "predicted" else everything).video(1)


def near(ours: Tensor, theirs: Tensor) -> bool:
    """The same but for rounding: stored tensors lie in memory in another order, and products of a
    few rows are summed in another order than those of all."""
    return torch.allclose(ours, theirs, rtol=1e-5, atol=1e-7, equal_nan=True)


def tracks(video: RecordedVideo) -> list[int]:
    """Rows of the result that are tracks."""
    return sorted({found.row for found in video.instances if found.track_id is not None})


def test_what_was_found(live: ClipAttention, stored: RecordedVideo) -> None:
    assert stored.frame_count == FRAMES
    assert stored.size_hw == SIZE_HW
    assert stored.view == live.attention.view
    assert len(stored.instances) == len(live.instances)
    for instance, detection in zip(stored.instances, live.instances, strict=True):
        assert (instance.row, instance.label) == (detection.row, detection.label)
        assert instance.score == detection.score
        category = list(CATEGORIES)[detection.label]
        assert (instance.category_id, instance.category) == (category, CATEGORIES[category])
        for frame in range(FRAMES):
            mask = live.masks(frame, [instance.row])[0]
            assert torch.equal(torch.from_numpy(instance.masks(frame)), mask)


def test_heat_is_the_same(live: ClipAttention, stored: RecordedVideo) -> None:
    assert tracks(stored)
    seen = 0
    for row in tracks(stored):
        for frame in range(FRAMES):
            for options in ({}, {"masked": False}, {"layers": [8], "temporal": True}):
                ours = stored.heat(row, frame, **options)
                theirs = live.attention.heat(row, frame, **options)
                assert (ours is None) == (theirs is None)
                if ours is not None and theirs is not None:
                    assert ours.shape == SIZE_HW
                    assert near(ours, theirs)
                    seen += 1
    assert seen


@pytest.mark.parametrize("mixing", ["weighted", "top", "rollout"])
def test_every_mixing(live: ClipAttention, stored: RecordedVideo, mixing: str) -> None:
    row = tracks(stored)[0]
    frame = stored.story.rows[row].life.start
    ours = stored.heat(row, frame, mixing=mixing)  # type: ignore[arg-type]
    theirs = live.attention.heat(row, frame, mixing=mixing)
    assert ours is not None
    assert theirs is not None
    assert near(ours, theirs)


def test_tracker_and_refiner(live: ClipAttention, stored: RecordedVideo) -> None:
    assert stored.tracker_layers == stored.refiner_layers == tuple(range(6))
    for row in tracks(stored):
        for layer in (0, -1):
            for head in (None, 2):
                assert near(
                    stored.temporal(layer, row, head), live.attention.time_weights(row, layer, head)
                )
                for frame in range(FRAMES):
                    ours = stored.tracker(layer, row, frame, head)
                    theirs = live.attention.tracker_weights(row, frame, layer, head=head)
                    assert (ours is None) == (theirs is None)
                    if ours is not None and theirs is not None:
                        assert near(ours, theirs)
                        assert ours.sum().item() == pytest.approx(1)


def test_decoder_maps_have_their_level(live: ClipAttention, stored: RecordedVideo) -> None:
    assert stored.decoder_layers == (6, 7, 8)
    assert [stored.level_hw(layer) for layer in (6, 7, 8)] == [(2, 3), (4, 6), (8, 12)]
    for masked in (True, False):
        maps = stored.decoder(8, 1, masked=masked)
        assert maps.shape == (20, 8, 12)
        assert near(maps.flatten(1), live.attention.decoder_weights(8, 1, masked=masked))


def test_importance_and_life(live: ClipAttention, stored: RecordedVideo) -> None:
    for row in tracks(stored):
        ours, theirs = stored.importance(row), live.attention.importance(row)
        assert near(ours.weights, theirs.weights)
        assert ours.contributions is not None
        assert theirs.contributions is not None
        assert near(ours.contributions, theirs.contributions)
        assert torch.equal(ours.alive, theirs.alive)


def test_queries_have_names(stored: RecordedVideo) -> None:
    for row in tracks(stored):
        of = stored.story.rows[row]
        for frame in range(FRAMES):
            query = stored.query_of(row, frame)
            assert (query is not None) == (frame in of.life)
            if query is not None:
                assert stored.tracker_names(frame)[query] == f"track {of.track_id}"
    assert len(stored.tracker_names(0)) == 20
    assert len(stored.tracker_names(1)) == len(stored.story.tracked[1].entered) + 20


def test_slots_and_self_attention_where_they_were_kept(
    live: ClipAttention, stored: RecordedVideo
) -> None:
    row = next(r for r in tracks(stored) if len(stored.story.rows[r].life) > 1)
    born = stored.story.rows[row].life.start
    assert stored.tracker(0, row, born, kind="slot") is None
    slot = stored.tracker(0, row, born + 1, kind="slot")
    expected = live.attention.tracker_weights(row, born + 1, 0, kind="slot")
    assert slot is not None
    assert expected is not None
    assert near(slot, expected)
    if stored._content.attention.story.keep == "all":
        among = stored.tracker(0, row, born, kind="self")
        assert among is not None
        assert len(among) == len(stored.tracker_names(born))
    else:
        with pytest.raises(SelectionError, match=r"keep='predicted'"):
            stored.tracker(0, row, born, kind="self")


def test_frames_are_read_from_where_they_were(stored: RecordedVideo, dataset: Path) -> None:
    assert stored.frame_names == tuple(f"v1/{frame:05d}.png" for frame in range(FRAMES))
    assert [frame.index for frame in stored.frames()] == list(range(FRAMES))
    elsewhere = list(stored.frames(dataset.parent / "JPEGImages"))
    assert [frame.image.size for frame in elsewhere] == [(70, 50)] * FRAMES
    with pytest.raises(MediaError, match="are not at"):
        list(stored.frames(dataset.parent / "nowhere"))


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda video: video.heat(99, 0), "row 99 does not exist"),
        (lambda video: video.heat(0, 99), "frame 99 does not exist"),
        (lambda video: video.decoder(2, 0), "layer 2 of the predictor was not kept"),
        (lambda video: video.instance(99), "instance 99 does not exist"),
        (lambda video: video.temporal(9, 0), "refiner layer 9 does not exist"),
        (lambda video: video.instance(0).masks(99), "frame 99 does not exist"),
    ],
)
def test_what_does_not_exist_is_said(made: Run, ask: object, message: str) -> None:
    assert callable(ask)
    with pytest.raises(SelectionError, match=message):
        ask(made.video(1))


def test_videos_that_do_not_exist_are_said(made: Run) -> None:
    with pytest.raises(SelectionError, match="has no video '9'; it has 1, 2"):
        made.video(9)


def test_a_long_video_lies_in_many_parts(
    live: ClipAttention,
    dataset: Path,
    run_dataset: RunDataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Here each window, each frame of the tracker and each row of the refiner fills one."""
    monkeypatch.setattr("regard.runs.parts.PART_BYTES", 1)
    run = run_dataset(dataset, tmp_path / "run", settings=SMALL.updated(window=2)).run
    parts = {path.name for path in (run.path / "attention_maps").glob("video_1_segment_*")}
    assert parts == {f"video_1_segment_{frames}.safetensors" for frames in ("0-2", "2-3")}
    video = run.video(1)
    for row in tracks(video):
        for frame in range(FRAMES):
            ours, theirs = video.heat(row, frame), live.attention.heat(row, frame)
            assert (ours is None) == (theirs is None)
            if ours is not None and theirs is not None:
                assert near(ours, theirs)


@pytest.mark.parametrize("keep", ["maps"])
def test_finished_maps(
    live: ClipAttention, dataset: Path, run_dataset: RunDataset, tmp_path: Path, keep: Keep
) -> None:
    video = run_dataset(dataset, tmp_path / "run", keep=keep).run.video(1)
    row = tracks(video)[0]
    frame = video.story.rows[row].life.start
    ours, theirs = video.heat(row, frame), live.attention.heat(row, frame)
    assert ours is not None
    assert theirs is not None
    assert near(ours, theirs)
    with pytest.raises(SelectionError, match="keep='predicted'"):
        video.decoder(8, 0)
    with pytest.raises(SelectionError, match="keep='predicted'"):
        video.heat(row, frame, masked=False)

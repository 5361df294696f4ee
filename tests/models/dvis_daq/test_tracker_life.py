"""What the frozen runs lack: a track that is lost and recovers, frames without a live track.

The tracker's weights are random; thresholds of 0 and 2 say that everything or nothing is seen.
"""

import pytest
import torch
from torch import Tensor

from regard.models.dvis_daq.settings import Settings
from regard.models.dvis_daq.tracker import Tracker, TrackerOutput
from regard.models.dvis_daq.tracks import Tracks

ALL = Settings(threshold=0.0, first_frame_threshold=0.0, slot_threshold=0.0)
NOTHING = Settings(threshold=2.0, first_frame_threshold=2.0)
QUERIES, CHANNELS = 6, 32


@pytest.fixture
def tracker() -> Tracker:
    sizes = {"classes": 3, "channels": CHANNELS, "mask_channels": 16, "heads": 4}
    return Tracker(**sizes, layers=2, width=64).eval()


def frame(tracker: Tracker, tracks: Tracks, index: int, settings: Settings) -> TrackerOutput:
    generator = torch.Generator().manual_seed(index)

    def noise(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    with torch.no_grad():
        output: TrackerOutput = tracker(
            tracks,
            index,
            embeds=noise(QUERIES, CHANNELS),
            scores=torch.ones(QUERIES),
            masks=noise(QUERIES, 8, 8),
            mask_features=noise(16, 8, 8),
            learned_queries=torch.eye(QUERIES, CHANNELS),
            settings=settings,
        )
    return output


@pytest.mark.parametrize("ovis_infer", [True, False])
@pytest.mark.parametrize("offline_mode", [True, False])
def test_a_lost_track_recovers_with_its_identity(
    tracker: Tracker, ovis_infer: bool, offline_mode: bool
) -> None:
    seen = ALL.updated(ovis_infer=ovis_infer, offline_mode=offline_mode, max_tracks=QUERIES)
    lost = NOTHING.updated(ovis_infer=ovis_infer, offline_mode=offline_mode)
    tracks = Tracks(max_unseen_frames=3, max_alive=QUERIES)
    frame(tracker, tracks, 0, seen)
    for index in (1, 2):
        found = frame(tracker, tracks, index, lost).tracked
        assert found.left == tuple(range(QUERIES))
        assert not any(found.left_seen)
    assert [track.unseen_frames for track in tracks.alive] == [2] * QUERIES
    found = frame(tracker, tracks, 3, seen).tracked
    assert found.left == tuple(range(QUERIES))
    assert [track.unseen_frames for track in tracks.alive] == [0] * QUERIES
    assert len(tracks.all[0]) == 4


def test_a_lost_track_goes_on_with_its_last_embedding(tracker: Tracker) -> None:
    tracks = Tracks(max_unseen_frames=8)
    frame(tracker, tracks, 0, ALL)
    unseen = frame(tracker, tracks, 1, NOTHING)
    after = frame(tracker, tracks, 2, NOTHING)
    assert torch.equal(after.queries[:QUERIES], unseen.embeds[:QUERIES])


@pytest.mark.parametrize("ovis_infer", [True, False])
def test_a_video_that_begins_with_nothing(tracker: Tracker, ovis_infer: bool) -> None:
    tracks = Tracks(max_unseen_frames=8)
    assert frame(tracker, tracks, 0, NOTHING).tracked.left == ()
    settings = ALL.updated(ovis_infer=ovis_infer, new_instances=4)
    output = frame(tracker, tracks, 1, settings)
    assert output.tracked.entered == ()
    assert output.tracked.births == (0, 1, 2, 3)
    assert output.queries.shape == (4, CHANNELS)
    assert output.slot_logits is not None
    assert len(output.slot_logits) == 5  # the background slots alone
    assert tracks.all[0].start == 1


def test_when_all_tracks_have_ended_new_ones_begin(tracker: Tracker) -> None:
    tracks = Tracks(max_unseen_frames=1)
    frame(tracker, tracks, 0, ALL)
    assert frame(tracker, tracks, 1, NOTHING).tracked.deaths == tuple(range(QUERIES))
    found = frame(tracker, tracks, 2, ALL).tracked
    assert found.births == tuple(range(QUERIES, 2 * QUERIES))


def test_no_mask_at_all_has_a_position(tracker: Tracker) -> None:
    empty = torch.full((2, 8, 8), -9.0)
    with torch.no_grad():
        places = tracker.positions(empty, torch.randn(16, 8, 8))
        nowhere = tracker.pos_embed(torch.zeros(2, 16))
    assert torch.equal(places, nowhere)

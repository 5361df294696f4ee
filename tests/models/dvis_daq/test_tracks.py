"""Births, lives and deaths of tracks, and where a track is remembered to be."""

import torch
from torch import Tensor

from regard.models.dvis_daq.tracks import TrackedFrame, Tracks


def step(
    tracks: Tracks, frame: int, seen: list[bool], positions: list[list[float]] | None = None
) -> TrackedFrame:
    embeds = torch.arange(len(seen)).float()[:, None].expand(-1, 2) + 10 * frame
    places = torch.tensor(positions) if positions else torch.eye(2)[:1].expand(len(seen), -1)
    return tracks.update(frame, seen, embeds, torch.zeros(len(seen), 3), places)


def test_a_lost_track_recovers_and_its_counter_starts_again() -> None:
    tracks = Tracks(max_unseen_frames=3)
    step(tracks, 0, [True, True])
    for frame in (1, 2):
        step(tracks, frame, [True, False])
    assert tracks.all[1].unseen_frames == 2
    step(tracks, 3, [True, True])
    assert tracks.all[1].unseen_frames == 0
    assert tracks.all[1].seen == [True, False, False, True]
    for frame in (4, 5):
        assert step(tracks, frame, [True, False]).left == (0, 1)
    last = step(tracks, 6, [True, False])
    assert last.deaths == (1,)
    assert (tracks.all[1].start, tracks.all[1].end) == (0, 6)  # its last, fatal frame is not kept


def test_a_frame_that_is_entered_with_no_live_track() -> None:
    tracks = Tracks(max_unseen_frames=1)
    step(tracks, 0, [True])
    assert step(tracks, 1, [False, False]).left == ()
    found = step(tracks, 2, [False, True, True])
    assert (found.entered, found.left, found.left_queries) == ((), (1, 2), (1, 2))
    assert found.births == (1, 2)
    assert found.query_of(2) == 2
    assert found.query_of(0) is None


def test_queries_of_the_next_frame_keep_the_order() -> None:
    tracks = Tracks(max_unseen_frames=1)
    step(tracks, 0, [True, True, True])
    step(tracks, 1, [True, False, True, False, True])
    assert [track.id for track in tracks.alive] == [0, 2, 3]
    embeds, _ = tracks.queries()
    assert embeds[:, 0].tolist() == [10, 12, 14]


def test_a_full_house_lets_nobody_take_over_an_identity() -> None:
    """Where queries are cut but their ids stay, a new query would go on as a track that was cut."""
    tracks = Tracks(max_unseen_frames=8, max_alive=2)
    assert step(tracks, 0, [True, True, True]).left == (0, 1)
    assert step(tracks, 1, [True, True, True]).left == (0, 1)
    dying = Tracks(max_unseen_frames=1, max_alive=2)
    step(dying, 0, [True, True])
    found = step(dying, 1, [True, False, True, True])
    assert (found.left, found.left_queries) == ((0, 2), (0, 2))
    assert len(dying) == 3


def test_position_is_a_mean_weighted_by_similarity() -> None:
    tracks = Tracks(max_unseen_frames=8)
    step(tracks, 0, [True], [[1.0, 0.0]])
    step(tracks, 1, [True], [[0.6, 0.8]])
    share = 0.6
    expected = torch.tensor([1 - share + share * 0.6, share * 0.8])
    _near(tracks.all[0].position, expected)
    step(tracks, 2, [False], [[9.0, 9.0]])
    _near(tracks.all[0].position, expected)  # not seen: not moved
    step(tracks, 3, [True], [[-1.0, 0.0]])
    _near(tracks.all[0].position, expected)  # opposite to all before: counts nothing


def test_position_looks_back_nine_sightings() -> None:
    tracks = Tracks(max_unseen_frames=8)
    step(tracks, 0, [True], [[0.0, 1.0]])
    for frame in range(1, 10):
        step(tracks, frame, [True], [[1.0, 0.0]])
    before = tracks.all[0].position.clone()
    step(tracks, 10, [True], [[0.0, 2.0]])  # the first sighting, the only similar one, is gone
    _near(tracks.all[0].position, before)


def _near(found: Tensor, expected: Tensor) -> None:
    assert torch.allclose(found, expected, atol=1e-6)  # float32

"""The tracker in training, several clips at once, is the tracker of inference."""

import torch
from torch import Tensor

from regard.models.dvis_daq.slots import SlotAttention
from regard.models.dvis_daq.tracks import Track
from training import video_tracker
from training.video_losses import Objects, pairs
from training.video_network import CHANNELS, QUERIES, build
from training.video_tracker import ROOM, SegmentedFrame

TOLERANCE = 1e-5  # float32: sums over 16 keys in another order


def frame(clips: int = 2) -> SegmentedFrame:
    return SegmentedFrame(
        embeds=torch.randn(clips, QUERIES, CHANNELS),
        logits=torch.randn(clips, QUERIES, 4),
        masks=torch.randn(clips, QUERIES, 6, 5),
        features=torch.randn(clips, CHANNELS, 6, 5),
    )


def living(tracks: int, clips: int = 2) -> video_tracker._Living:
    alive = torch.arange(ROOM).expand(clips, -1) < tracks
    return video_tracker._Living(
        queries=torch.randn(clips, ROOM, CHANNELS),
        position=torch.randn(clips, ROOM, CHANNELS),
        memory=torch.zeros(clips, ROOM, 9, CHANNELS),
        remembered=torch.zeros(clips, ROOM, dtype=torch.int64),
        owner=torch.where(alive, torch.arange(ROOM), -1),
        alive=alive,
    )


def test_places_without_a_track_are_seen_by_nobody() -> None:
    torch.manual_seed(0)
    tracker, said, tracks = build(3).tracker, frame(), living(3)
    places = video_tracker._positions(tracker, said.masks, said.features)
    found = video_tracker._run(tracker, said, places, tracks)[-1]
    for clip in range(2):
        known, known_places = tracks.queries[clip, :3], tracks.position[clip, :3]
        candidates = tracker.new_ins_embeds.weight.expand(QUERIES, -1)
        expected = tracker._run(
            torch.cat([known, candidates]),
            said.embeds[clip],
            position=torch.cat([known_places, places[clip]]),
            memory_position=places[clip],
        )
        both = torch.cat([found[clip, :3], found[clip, ROOM:]])
        torch.testing.assert_close(both, expected, atol=TOLERANCE, rtol=TOLERANCE)


def test_positions_are_those_of_the_tracker() -> None:
    torch.manual_seed(0)
    tracker, said = build(3).tracker, frame()
    found = video_tracker._positions(tracker, said.masks, said.features)
    expected = [tracker.positions(m, f) for m, f in zip(said.masks, said.features, strict=True)]
    torch.testing.assert_close(found, torch.stack(expected), atol=TOLERANCE, rtol=TOLERANCE)


def test_slots_without_a_track_take_no_share() -> None:
    torch.manual_seed(0)
    attention = SlotAttention(8)
    inputs, keys, slots = (torch.randn(1, 5, 8) for _ in range(3))
    alive = torch.tensor([[True, True, False, True, False]])
    found = video_tracker._share_out(attention, inputs, keys, slots, alive)
    expected = attention(inputs[:, alive[0]], keys[:, alive[0]], slots[:, alive[0]])
    torch.testing.assert_close(found[:, alive[0]], expected, atol=TOLERANCE, rtol=TOLERANCE)


def test_positions_are_remembered_as_a_track_does() -> None:
    torch.manual_seed(0)
    state, track = living(1, clips=1), Track(id=0, start=0, query=0)
    seen_in = [True, True, False, *[True] * 10]  # more than the nine that are remembered
    for seen in seen_in:
        now = torch.rand(1, ROOM, CHANNELS)
        flags = torch.zeros(1, ROOM, dtype=torch.bool)
        flags[0, 0] = seen
        state = video_tracker._remember(state, now, flags)
        track.add(seen, now[0, 0], torch.zeros(4), now[0, 0])
    torch.testing.assert_close(state.position[0, 0], track.position, atol=TOLERANCE, rtol=TOLERANCE)


def test_a_track_keeps_its_object_and_a_new_object_gets_a_candidate() -> None:
    torch.manual_seed(0)
    said, tracks = frame(clips=1), living(1, clips=1)
    logits, masks = torch.zeros(1, ROOM + QUERIES, 4), torch.full((1, ROOM + QUERIES, 6, 5), -9.0)
    shares = torch.zeros(1, 2, 6, 5)
    shares[0, 0, :2], shares[0, 1, 4:] = 1, 1
    masks[0, ROOM + 4, 4:] = 9  # a candidate sees the new object
    masks[0, ROOM + 2, :2] = 9  # another sees the one that has a track
    there = Objects(labels=torch.tensor([[0, 1]]), shares=shares)
    found = video_tracker._answers(said, logits, masks, there, tracks)
    assert set(zip(found.query.tolist(), found.target.tolist(), strict=True)) == {
        (0, 0),
        (ROOM + 4, 1),
    }


def test_a_hidden_object_keeps_its_track_without_an_answer() -> None:
    torch.manual_seed(0)
    there = Objects(labels=torch.tensor([[-1]]), shares=torch.zeros(1, 1, 6, 5))
    tracks = living(1, clips=1)
    outputs = torch.randn(1, ROOM + QUERIES, CHANNELS)
    found = video_tracker._answers(
        frame(clips=1), torch.zeros(1, ROOM + QUERIES, 4), _blank(), there, tracks
    )
    assert not len(found)
    scores = torch.zeros(1, ROOM + QUERIES)
    after = video_tracker._next(
        tracks, outputs, outputs, pairs([]), scores, there, torch.Generator()
    )
    assert after.alive.tolist() == tracks.alive.tolist()
    assert torch.equal(after.queries[0, 0], outputs[0, 0]), "it goes on from its last output"
    assert torch.equal(after.position, tracks.position), "it was not seen, so it stays in its place"


def _blank() -> Tensor:
    return torch.zeros(1, ROOM + QUERIES, 6, 5)

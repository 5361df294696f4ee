"""The tracks of a video: which instances live, since when, and what is remembered of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

_REMEMBERED_POSITIONS = 9


@dataclass(eq=False)
class Track:
    """One instance, from the frame in which it was first seen.

    It has one entry for each frame of its life, also for those in which it was not seen.
    """

    id: int
    """Order of birth in the video, from 0."""
    start: int
    """Frame in which it was first seen."""
    query: int
    """Index that it had among the tracker's queries of that frame."""
    embeds: list[Tensor] = field(default_factory=list, repr=False)
    """Tracker outputs, (channels,) each."""
    logits: list[Tensor] = field(default_factory=list, repr=False)
    """Class logits, (classes + 1,) each."""
    seen: list[bool] = field(default_factory=list, repr=False)
    """Whether it was seen."""
    unseen_frames: int = 0
    """Frames in a row that it has not been seen, up to now."""
    position: Tensor = field(default_factory=lambda: torch.zeros(()), repr=False)
    """Where it is, as an embedding (channels,): a mean over the frames in which it was seen, in
    which frames count by their similarity to those before."""
    _positions: list[Tensor] = field(default_factory=list, repr=False)

    def __len__(self) -> int:
        """Frames of its life."""
        return len(self.embeds)

    @property
    def end(self) -> int:
        """The frame after its last one."""
        return self.start + len(self)

    def goes_on(self, is_seen: bool, max_unseen_frames: int) -> bool:
        """Whether it lives on after a frame in which it was seen or not; counts the frame."""
        self.unseen_frames = 0 if is_seen else self.unseen_frames + 1
        return self.unseen_frames < max_unseen_frames

    def add(self, is_seen: bool, embed: Tensor, logits: Tensor, position: Tensor) -> None:
        """Add a frame to its life."""
        self.embeds.append(embed.clone())  # a view would keep all queries of the frame alive
        self.logits.append(logits.clone())
        self.seen.append(is_seen)
        if is_seen:
            self._move_to(position)

    def _move_to(self, position: Tensor) -> None:
        if not self._positions:
            self.position = position
        else:
            before = F.normalize(torch.stack(self._positions), dim=-1)
            share = (before @ F.normalize(position, dim=-1)).mean().clamp(min=0)
            self.position = (1 - share) * self.position + share * position
        self._positions = [*self._positions, position][-_REMEMBERED_POSITIONS:]


@dataclass(frozen=True, kw_only=True)
class TrackedFrame:
    """Which query of the tracker was which track in one frame.

    The first queries are the tracks that lived before, in the order of ``entered``; the others are
    candidates for new tracks. In the first frame all queries are the frame's own.
    """

    frame: int
    """Index of the frame in the video."""
    entered: tuple[int, ...]
    """Ids of the tracks that lived when the frame began, in query order."""
    left: tuple[int, ...]
    """Ids of the tracks that live after it, in query order of the next frame."""
    left_queries: tuple[int, ...]
    """Query that each of ``left`` has in this frame."""
    left_seen: tuple[bool, ...]
    """Whether each of ``left`` was seen in this frame."""

    def query_of(self, track: int) -> int | None:
        """Index of the track's query in this frame; ``None`` outside its life."""
        return self.left_queries[self.left.index(track)] if track in self.left else None

    @property
    def births(self) -> tuple[int, ...]:
        """Ids of the tracks that began in this frame."""
        return tuple(track for track in self.left if track not in self.entered)

    @property
    def deaths(self) -> tuple[int, ...]:
        """Ids of the tracks that ended in this frame."""
        return tuple(track for track in self.entered if track not in self.left)


class Tracks:
    """All tracks of a video, and the order in which the living ones are the tracker's queries.

    Args:
        max_unseen_frames: Frames in a row that a track may be unseen; in the last it ends.
        max_alive: Most tracks that may live at once; None for no limit.
    """

    def __init__(self, *, max_unseen_frames: int, max_alive: int | None = None) -> None:
        self.all: list[Track] = []
        self.alive: list[Track] = []
        self._max_unseen = max_unseen_frames
        self._max_alive = max_alive

    def __iter__(self) -> Iterator[Track]:
        return iter(self.all)

    def __len__(self) -> int:
        return len(self.all)

    def queries(self) -> tuple[Tensor, Tensor]:
        """Last embeddings and positions of the living tracks, (tracks, channels) each."""
        return (
            torch.stack([track.embeds[-1] for track in self.alive]),
            torch.stack([track.position for track in self.alive]),
        )

    def update(
        self, frame: int, seen: Sequence[bool], embeds: Tensor, logits: Tensor, positions: Tensor
    ) -> TrackedFrame:
        """Go on with what the tracker found in a frame.

        A track lives on while it is seen, or was seen a short while ago. A candidate that is seen
        begins a new track, as long as there is room.

        Args:
            frame: Index of the frame.
            seen: For each tracker query; the living tracks come first.
            embeds: (queries, channels).
            logits: (queries, classes + 1).
            positions: (queries, channels).
        """
        before = self.alive
        lives_on: dict[int, Track] = {}  # by query
        for query, is_seen in enumerate(seen):
            if query < len(before):
                track = before[query]
            elif is_seen and not self._is_full(len(lives_on)):
                track = self._begin(frame, query)
            else:
                continue
            if track.goes_on(is_seen, self._max_unseen):
                track.add(is_seen, embeds[query], logits[query], positions[query])
                lives_on[query] = track
        self.alive = list(lives_on.values())
        return TrackedFrame(
            frame=frame,
            entered=tuple(track.id for track in before),
            left=tuple(track.id for track in self.alive),
            left_queries=tuple(lives_on),
            left_seen=tuple(track.seen[-1] for track in self.alive),
        )

    def _is_full(self, alive: int) -> bool:
        return self._max_alive is not None and alive >= self._max_alive

    def _begin(self, frame: int, query: int) -> Track:
        self.all.append(Track(id=len(self.all), start=frame, query=query))
        return self.all[-1]

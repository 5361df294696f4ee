"""The tracker's rows of the tracks that live on, which wait for the end of the video.

Candidates that came to nothing are dropped, and so is the attention among the tracker's queries, of
which its rollout is kept. A few frames are worked on at once: on a card their products take no
time, and to ask for those of each frame does.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import groupby

import torch
from torch import Tensor

from regard.attention import Attention, ExplicitAttention
from regard.models.dvis_daq.module_paths import ROLLOUT, TRACKER_CROSS, TRACKER_SELF
from regard.models.dvis_daq.tracker_rollout import tracker_rollout
from regard.models.dvis_daq.tracks import TrackedFrame
from regard.models.dvis_daq.trim import Cut, Cuts, explicit
from regard.together import Alike, moved_together, weights_together

_AT_ONCE = 8  # the q and k of a frame take some megabytes
_ROLLED_OUT = ("rollout over all layers of the tracker, mean of heads: an approximation",)


class LivingRows:
    """Takes the tracker's calls frame by frame, and keeps rows of them on the CPU."""

    def __init__(self) -> None:
        self._rows: list[ExplicitAttention] = []
        self._waiting: list[_Frame] = []

    def add(self, frame: TrackedFrame, calls: Sequence[Attention]) -> None:
        """Add what the tracker attended to in a frame."""
        if frame.left:
            self._waiting.append(_Frame(frame, calls))
        if len(self._waiting) == _AT_ONCE:
            self._work()

    def taken(self) -> list[ExplicitAttention]:
        """The rows of all frames so far.

        Those of the rollout through the layers are calls of the layer ``tracker``.
        """
        self._work()
        return self._rows

    def _work(self) -> None:
        if self._waiting:
            self._rows += _rows_of(self._waiting)
        self._waiting = []


@dataclass(frozen=True, eq=False)
class _Frame:
    """What the tracker attended to in a frame."""

    frame: TrackedFrame
    calls: Sequence[Attention]

    @cached_property
    def names(self) -> frozenset[str]:
        """Of the queries of tracks that live after it."""
        return frozenset(f"track {track}" for track in self.frame.left)

    def of(self, stem: str) -> list[Attention]:
        """The calls of some layers, in order."""
        return [call for call in self.calls if call.layer.startswith(stem)]


def _rows_of(frames: Sequence[_Frame]) -> Iterator[ExplicitAttention]:
    """Rows of the rollouts, then those of the calls."""
    groups = weights_together(call for frame in frames for call in frame.calls)
    names = {frame.frame.frame: frame.names for frame in frames}
    runs = list(_runs([*_rollouts(groups, frames), *groups], names))
    moved = moved_together([weights for _, weights, _ in runs])
    for (calls, _, cut), rows in zip(runs, moved, strict=True):
        for call, weights in Alike(calls, rows).of_each():
            yield explicit(call, weights, queries=cut.layout, keys=call.keys)


def _runs(
    groups: Iterable[Alike], names: Mapping[int, frozenset[str]]
) -> Iterator[tuple[list[Attention], Tensor, Cut]]:
    """Neighbours of which the same rows are kept, these rows, and which they are.

    Args:
        groups: Each call has a batch of one.
        names: Of the tracks that live after each frame.
    """
    cuts: Cuts | None = None
    for group in groups:
        cuts = cuts or Cuts(group.weights.device)
        place = 0
        for cut, calls in groupby(group.calls, partial(_cut_of, cuts, names)):
            run = list(calls)
            if cut is not None:
                yield run, group.weights[place : place + len(run)].index_select(2, cut.places), cut
            place += len(run)


def _cut_of(cuts: Cuts, names: Mapping[int, frozenset[str]], call: Attention) -> Cut | None:
    if call.layer.startswith(TRACKER_SELF):
        return None
    return cuts.of(call.queries, names[call.axes["frame"]])


def _rollouts(groups: Iterable[Alike], frames: Iterable[_Frame]) -> Iterator[Alike]:
    """The rollout through all layers of the tracker in each frame, as a call."""
    means = {
        call: mean
        for group in groups
        if group.calls[0].layer.startswith((TRACKER_CROSS, TRACKER_SELF))
        for call, mean in zip(group.calls, group.weights.float().mean(1), strict=True)
    }

    def layers(alike: Sequence[_Frame], stem: str) -> tuple[Tensor, ...]:
        every = torch.stack([means[call] for frame in alike for call in frame.of(stem)])
        return every.unflatten(0, (len(alike), -1)).unbind(1)

    for (is_first, _), some in groupby(frames, _size):
        alike = list(some)
        shares = tracker_rollout(
            layers(alike, TRACKER_CROSS), layers(alike, TRACKER_SELF), is_first_frame=is_first
        )
        yield Alike(list(map(_rollout, alike, shares)), shares[:, None])


def _size(frame: _Frame) -> tuple[bool, Sequence[int]]:
    return frame.frame.frame == 0, frame.of(TRACKER_CROSS)[0].shape


def _rollout(frame: _Frame, shares: Tensor) -> ExplicitAttention:
    first = frame.of(TRACKER_CROSS)[0]
    call = explicit(first, shares[None, None], queries=first.queries, keys=first.keys)
    call.layer, call.axes["layer_index"], call.notes = ROLLOUT, -1, _ROLLED_OUT
    return call

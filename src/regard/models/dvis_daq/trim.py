"""What is kept of tracker and refiner: the rows of instances, not every query.

Which instances are in the result is known when a video ends. Until then the tracker keeps the rows
of the tracks that live, frame by frame; candidates that came to nothing are dropped at once, and
so is the attention among the tracker's queries, of which its rollout is kept.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from regard.attention import Attention, ExplicitAttention
from regard.kept import Kept
from regard.models.dvis_daq.module_paths import ROLLOUT, TIME, TRACKER_CROSS, TRACKER_SELF
from regard.models.dvis_daq.output import VideoOutput
from regard.models.dvis_daq.tracker_rollout import tracker_rollout
from regard.models.dvis_daq.tracks import TrackedFrame
from regard.together import Alike, moved_together, weights_together
from regard.tokens import Tokens

_ROLLED_OUT = ("rollout over all layers of the tracker, mean of heads: an approximation",)


def living_rows(calls: Sequence[Attention], frame: TrackedFrame) -> list[ExplicitAttention]:
    """Calls of the tracker in one frame, without the rows of what is no track after it.

    First comes the rollout through its layers, as a call of the layer ``tracker``. All are on the
    CPU, where they wait for the end of the video.
    """
    names = {f"track {track}" for track in frame.left}
    if not names:
        return []
    groups = weights_together(calls)
    rollout = _rolled_out(groups, is_first_frame=frame.frame == 0)
    chosen = _Chosen(names, rollout.weights.device)
    found = [
        (group, cut)
        for group in (rollout, *groups)
        if any(map(_is_kept, group.calls)) and (cut := chosen.of(group.calls[0].queries))
    ]
    moved = moved_together([group.weights.index_select(2, cut.places) for group, cut in found])
    return [
        _explicit(call, weights, queries=cut.layout, keys=call.keys)
        for (group, cut), rows in zip(found, moved, strict=True)
        for call, weights in Alike(group.calls, rows).of_each()
        if _is_kept(call)
    ]


def _is_kept(call: Attention) -> bool:
    return not call.layer.startswith(TRACKER_SELF)


def only_predicted(
    calls: Iterable[Attention], tracker_rows: Iterable[ExplicitAttention], output: VideoOutput
) -> Iterator[Attention]:
    """The calls without the rows of instances that are not in the result.

    Args:
        calls: Of predictor and refiner; those of the predictor are kept whole.
        tracker_rows: Of `living_rows`.
        output: What the model says about the video.
    """
    rows = sorted({detection.row for detection in output.detections})
    tracks = (output.rows[row].track for row in rows)
    names = {f"track {track.id}" for track in tracks if track is not None}
    of_refiner: list[Attention] = []
    for call in calls:
        if call.layer.startswith("refiner."):
            of_refiner.append(call)
        else:
            yield call
    chosen = _Chosen(names)
    for call in tracker_rows:
        if cut := chosen.of(call.queries):
            weights = call.kept_weights.get()
            if cut.layout.count < call.shape[2]:
                weights = weights.index_select(2, cut.places)
            yield _explicit(call, weights, queries=cut.layout, keys=call.keys)
    layout = Tokens(len(rows), prefix=tuple(f"row {row}" for row in rows)) if rows else None
    for call in of_refiner:
        if call.layer.startswith(TIME):
            yield from _rows_over_time(call, rows)
        elif layout:
            yield _explicit(call, call.weights(rows), queries=layout, keys=call.keys)


class _Cut(NamedTuple):
    """Some tokens of a layout."""

    places: Tensor
    """Where they are."""
    layout: Tokens
    """They alone."""


class _Chosen:
    """The tokens of some names, in one layout after the other.

    Layouts are the same in all layers of a frame, and in frames in which nothing is born or dies.
    """

    def __init__(self, names: set[str], device: torch.device | str = "cpu") -> None:
        self._names, self._device = names, device
        self._known: dict[Tokens, _Cut | None] = {}

    def of(self, layout: Tokens) -> _Cut | None:
        """The tokens of the names; None where there are none."""
        if layout not in self._known:
            here = [place for place, name in enumerate(layout.prefix) if name in self._names]
            names = tuple(layout.prefix[place] for place in here)
            places = torch.tensor(here).to(self._device, non_blocking=True)  # nobody waits
            self._known[layout] = _Cut(places, Tokens(len(here), prefix=names)) if here else None
        return self._known[layout]


def _rolled_out(groups: Iterable[Alike], *, is_first_frame: bool) -> Alike:
    """The rollout through all layers of the tracker, as a call, and its weights."""
    means = [
        (call, mean)
        for group in groups
        if group.calls[0].layer.startswith((TRACKER_CROSS, TRACKER_SELF))
        for call, mean in zip(group.calls, group.weights.float().mean(1), strict=True)
    ]
    cross, own = (
        [mean for call, mean in means if call.layer.startswith(stem)]
        for stem in (TRACKER_CROSS, TRACKER_SELF)
    )
    shares = tracker_rollout(cross, own, is_first_frame=is_first_frame)[None, None]
    first = next(call for call, _ in means if call.layer.startswith(TRACKER_CROSS))
    call = _explicit(first, shares, queries=first.queries, keys=first.keys)
    call.layer, call.axes["layer_index"], call.notes = ROLLOUT, -1, _ROLLED_OUT
    return Alike([call], shares)


def _rows_over_time(call: Attention, rows: Sequence[int]) -> Iterator[Attention]:
    """The attention over frames of some rows of the refiner, which are its batch."""
    weights, frames = call.weights()[list(rows)], Tokens(call.shape[3])
    for row, of_row in zip(rows, weights.split(1), strict=True):
        found = _explicit(call, of_row, queries=frames, keys=frames)
        found.axes["row"] = row
        yield found


def _explicit(
    call: Attention, weights: Tensor, *, queries: Tokens, keys: Tokens
) -> ExplicitAttention:
    shape = (weights.shape[0], weights.shape[1], weights.shape[2], weights.shape[3])
    return ExplicitAttention(
        shape=shape,
        kept_weights=Kept(weights),
        layer=call.layer,
        axes=dict(call.axes),
        queries=queries,
        keys=keys,
        notes=call.notes,
    )

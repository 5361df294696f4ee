"""What is kept of tracker and refiner: the rows of instances, not every query.

Which instances are in the result is known when a video ends. Until then the tracker keeps the rows
of the tracks that live, frame by frame; candidates that came to nothing are dropped at once, and
so is the attention among the tracker's queries, of which its rollout is kept.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import torch
from torch import Tensor

from regard.attention import Attention, ExplicitAttention
from regard.kept import Kept
from regard.models.dvis_daq.module_paths import ROLLOUT, TIME, TRACKER_CROSS, TRACKER_SELF
from regard.models.dvis_daq.output import VideoOutput
from regard.models.dvis_daq.tracker_rollout import tracker_rollout
from regard.models.dvis_daq.tracks import TrackedFrame
from regard.together import moved_together, weights_together
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
    weights = dict(zip(calls, weights_together(calls), strict=True))
    kept = [_rolled_out(weights, is_first_frame=frame.frame == 0)]
    kept += [pair for pair in weights.items() if not pair[0].layer.startswith(TRACKER_SELF)]
    rows = [(call, here, found) for call, found in kept if (here := _places(call.queries, names))]
    chosen = {
        here: torch.tensor(here, device=rows[0][2].device) for here in {here for _, here, _ in rows}
    }
    cut = moved_together([found.index_select(2, chosen[here]) for _, here, found in rows])
    return [_rows(call, here, found) for (call, here, _), found in zip(rows, cut, strict=True)]


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
    for call in tracker_rows:
        here = _places(call.queries, names)
        if len(here) == call.shape[2]:
            yield call
        elif here:
            yield _rows(call, here, call.kept_weights.get()[:, :, here])
    for call in of_refiner:
        if call.layer.startswith(TIME):
            yield from _rows_over_time(call, rows)
        elif rows:
            yield _rows(call, rows, call.weights(rows))


def _places(layout: Tokens, names: set[str]) -> tuple[int, ...]:
    """Where tokens of these names are."""
    return tuple(place for place, name in enumerate(layout.prefix) if name in names)


def _rolled_out(
    weights: Mapping[Attention, Tensor], *, is_first_frame: bool
) -> tuple[Attention, Tensor]:
    """The rollout through all layers of the tracker, as a call, and its weights."""
    cross, own = (
        {call: found for call, found in weights.items() if call.layer.startswith(stem)}
        for stem in (TRACKER_CROSS, TRACKER_SELF)
    )
    shares = tracker_rollout(
        list(cross.values()), list(own.values()), is_first_frame=is_first_frame
    )[None, None]
    first = next(iter(cross))
    call = _explicit(first, shares, queries=first.queries, keys=first.keys)
    call.layer, call.axes["layer_index"], call.notes = ROLLOUT, -1, _ROLLED_OUT
    return call, shares


def _rows(call: Attention, queries: Sequence[int], weights: Tensor) -> ExplicitAttention:
    """Some queries of a call, with their weights."""
    names = call.queries.prefix or tuple(f"row {query}" for query in range(call.shape[2]))
    layout = Tokens(len(queries), prefix=tuple(names[query] for query in queries))
    return _explicit(call, weights, queries=layout, keys=call.keys)


def _rows_over_time(call: Attention, rows: Sequence[int]) -> Iterator[Attention]:
    """The attention over frames of some rows of the refiner, which are its batch."""
    weights, frames = call.weights(), Tokens(call.shape[3])
    for row in rows:
        found = _explicit(call, weights[row : row + 1].clone(), queries=frames, keys=frames)
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

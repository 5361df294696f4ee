"""What is kept of tracker and refiner: the rows of instances, not every query.

Which instances are in the result is known when a video ends. Until then the tracker keeps the rows
of the tracks that live, frame by frame; candidates that came to nothing are dropped at once, and
so is the attention among the tracker's queries, of which its rollout is kept.
"""

from collections.abc import Iterable, Iterator, Sequence

from torch import Tensor

from regard.attention import Attention, ExplicitAttention
from regard.kept import Kept
from regard.models.dvis_daq.module_paths import ROLLOUT, TIME, TRACKER_CROSS, TRACKER_SELF
from regard.models.dvis_daq.output import VideoOutput
from regard.models.dvis_daq.tracker_rollout import tracker_rollout
from regard.models.dvis_daq.tracks import TrackedFrame
from regard.tokens import Tokens


def living_rows(calls: Sequence[Attention], frame: TrackedFrame) -> list[Attention]:
    """Calls of the tracker in one frame, without the rows of what is no track after it.

    First comes the rollout through its layers, as a call of the layer ``tracker``.
    """
    names = {f"track {track}" for track in frame.left}
    if not names:
        return []
    rows = [_rolled_out(calls, is_first_frame=frame.frame == 0)]
    rows += [call for call in calls if not call.layer.startswith(TRACKER_SELF)]
    return [kept for call in rows if (kept := _named_rows(call, names)) is not None]


def only_predicted(
    calls: Iterable[Attention], tracker_rows: Iterable[Attention], output: VideoOutput
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
        if (kept := _named_rows(call, names)) is not None:
            yield kept
    for call in of_refiner:
        if call.layer.startswith(TIME):
            yield from (_row_over_time(call, row) for row in rows)
        elif rows:
            yield _rows(call, rows)


def _rolled_out(calls: Sequence[Attention], *, is_first_frame: bool) -> Attention:
    cross, own = (
        [call for call in calls if call.layer.startswith(stem)]
        for stem in (TRACKER_CROSS, TRACKER_SELF)
    )
    shares = tracker_rollout(cross, own, is_first_frame=is_first_frame)[None, None]
    found = _explicit(cross[0], shares, queries=cross[0].queries, keys=cross[0].keys)
    found.layer = ROLLOUT
    found.axes["layer_index"] = -1
    found.notes = ("rollout over all layers of the tracker, mean of heads: an approximation",)
    return found


def _named_rows(call: Attention, names: set[str]) -> Attention | None:
    here = [query for query, name in enumerate(call.queries.prefix) if name in names]
    return _rows(call, here) if here else None


def _rows(call: Attention, queries: list[int]) -> Attention:
    """Some queries of a call."""
    names = call.queries.prefix or tuple(f"row {query}" for query in range(call.shape[2]))
    layout = Tokens(len(queries), prefix=tuple(names[query] for query in queries))
    return _explicit(call, call.weights(queries), queries=layout, keys=call.keys)


def _row_over_time(call: Attention, row: int) -> Attention:
    """The attention over frames of one row of the refiner, which are its batch."""
    frames = Tokens(call.shape[3])
    found = _explicit(call, call.weights()[row : row + 1], queries=frames, keys=frames)
    found.axes["row"] = row
    return found


def _explicit(call: Attention, weights: Tensor, *, queries: Tokens, keys: Tokens) -> Attention:
    shape = (weights.shape[0], weights.shape[1], weights.shape[2], weights.shape[3])
    return ExplicitAttention(
        shape=shape,
        kept_weights=Kept(weights.clone()),
        layer=call.layer,
        axes=dict(call.axes),
        queries=queries,
        keys=keys,
        notes=call.notes,
    )

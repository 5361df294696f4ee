"""What is kept of tracker and refiner: the rows of instances, not every query.

Which instances are in the result is known when a video ends; until then `LivingRows` has the rows
of the tracker.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from regard.attention import Attention, ExplicitAttention
from regard.kept import Kept
from regard.models.dvis_daq.module_paths import TIME
from regard.models.dvis_daq.output import VideoOutput
from regard.tokens import Tokens


def only_predicted(
    calls: Iterable[Attention], tracker_rows: Iterable[ExplicitAttention], output: VideoOutput
) -> Iterator[Attention]:
    """The calls without the rows of instances that are not in the result.

    Args:
        calls: Of predictor and refiner; those of the predictor are kept whole.
        tracker_rows: Of `LivingRows`.
        output: What the model says about the video.
    """
    rows = sorted({detection.row for detection in output.detections})
    tracks = (output.rows[row].track for row in rows)
    names = frozenset(f"track {track.id}" for track in tracks if track is not None)
    of_refiner: list[Attention] = []
    for call in calls:
        if call.layer.startswith("refiner."):
            of_refiner.append(call)
        else:
            yield call
    cuts = Cuts()
    for call in tracker_rows:
        if cut := cuts.of(call.queries, names):
            weights = call.kept_weights.get()
            if cut.layout.count < call.shape[2]:
                weights = weights.index_select(2, cut.places)
            yield explicit(call, weights, queries=cut.layout, keys=call.keys)
    layout = Tokens(len(rows), prefix=tuple(f"row {row}" for row in rows)) if rows else None
    for call in of_refiner:
        if call.layer.startswith(TIME):
            yield from _rows_over_time(call, rows)
        elif layout:
            yield explicit(call, call.weights(rows), queries=layout, keys=call.keys)


@dataclass(frozen=True, eq=False)
class Cut:
    """Some tokens of a layout."""

    places: Tensor
    """Where they are."""
    layout: Tokens
    """They alone."""


class Cuts:
    """The tokens of some names, in one layout after the other.

    Layouts are the same in all layers of a frame, and in frames in which nothing is born or dies.

    Args:
        device: Where the places are.
    """

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self._device = device
        self._known: dict[tuple[Tokens, frozenset[str]], Cut | None] = {}

    def of(self, layout: Tokens, names: frozenset[str]) -> Cut | None:
        """The tokens of the names; None where there are none."""
        if (layout, names) not in self._known:
            self._known[layout, names] = self._cut(layout, names)
        return self._known[layout, names]

    def _cut(self, layout: Tokens, names: frozenset[str]) -> Cut | None:
        here = [place for place, name in enumerate(layout.prefix) if name in names]
        if not here:
            return None
        places = torch.tensor(here).to(self._device, non_blocking=True)
        return Cut(places, Tokens(len(here), prefix=tuple(layout.prefix[place] for place in here)))


def _rows_over_time(call: Attention, rows: Sequence[int]) -> Iterator[Attention]:
    """The attention over frames of some rows of the refiner, which are its batch."""
    weights, frames = call.weights()[list(rows)], Tokens(call.shape[3])
    for row, of_row in zip(rows, weights.split(1), strict=True):
        found = explicit(call, of_row, queries=frames, keys=frames)
        found.axes["row"] = row
        yield found


def explicit(
    call: Attention, weights: Tensor, *, queries: Tokens, keys: Tokens
) -> ExplicitAttention:
    """A call with these weights in place of its own."""
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

"""How the tracker followed an instance: which object queries it read in each frame, by layer."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from regard.errors import SelectionError
from regard.figures.decoder import about
from regard.figures.subject import Subject
from regard.render.arrays import Floats
from regard.render.blocks import Column, Named, in_rows
from regard.render.chart import Chart, Curve
from regard.render.colour import Scale
from regard.render.field import UNSEEN, Place
from regard.render.look import Look
from regard.render.matrix import MatrixPlot
from regard.render.page import draw_page
from regard.render.picture import Picture

_COLUMNS = 3
_SIDE = 400
_MOST_ROWS = 16
_REST = "others"


@dataclass(frozen=True, eq=False)
class IdentityFlow:
    """Which object queries of each frame a track read, in each layer of the tracker."""

    subject: Subject
    layers: tuple[int, ...]
    weights: Floats
    """(layers, frames, object queries); NaN outside of the track's life. Rows sum to 1."""

    @classmethod
    def of(
        cls, subject: Subject, layers: Sequence[int] | None = None, head: int | None = None
    ) -> "IdentityFlow":
        """Of some layers of the tracker, by default of all.

        Args:
            subject: An instance that is a track.
            layers: Which ones.
            head: One head alone; the mean by default.

        Raises:
            SelectionError: It is no track, or a layer or head is not there.
        """
        video, instance = subject.video, subject.instance
        if instance is None or instance.track_id is None:
            raise SelectionError(
                f"{subject.name} of video {video.id!r} is no track: its object queries were "
                "linked without the tracker"
            )
        chosen = tuple(video.tracker_layers if layers is None else layers)
        found = [
            [video.tracker(layer, instance.row, frame, head) for frame in range(video.frame_count)]
            for layer in chosen
        ]
        count = max(len(row) for rows in found for row in rows if row is not None)
        nothing = np.full(count, np.nan, np.float32)
        weights = [[nothing if row is None else np.asarray(row) for row in rows] for rows in found]
        return cls(subject, chosen, np.asarray(weights, np.float32))

    def top(self, layer: int = -1) -> list[int | None]:
        """The object query that is read most, frame by frame; None where the track has none."""
        return [None if np.isnan(row).any() else int(row.argmax()) for row in self.weights[layer]]

    def strongest(self, most: int = _MOST_ROWS) -> list[int]:
        """Object queries that are read most in some frame and layer, in their own order.

        Those that lead somewhere are all among them, more than ``most`` if need be.
        """
        lead = {query for place in range(len(self.layers)) for query in self.top(place)} - {None}
        peak = np.nanmax(self.weights, axis=(0, 1))
        order = np.argsort(-peak, kind="stable")[: max(most - len(lead), 0) + len(lead)].tolist()
        rest = [query for query in order if query not in lead][: max(most - len(lead), 0)]
        return sorted([*(query for query in lead if query is not None), *rest])

    def plot(
        self,
        place: int,
        *,
        look: Look = Look(cmap="viridis", high="max", unit="weight"),  # noqa: B008 - it is frozen
        scale: Scale | None = None,
        side: int = _SIDE,
    ) -> MatrixPlot:
        """Object queries by frames in one of the layers, and the line of the strongest."""
        shown = self.strongest()
        names = [f"query {query}" for query in shown]
        names += [_REST] if len(shown) < self.weights.shape[2] else []
        return MatrixPlot.of(
            _rows(self.weights[place], shown),
            query_names=names,
            key_names=self.subject.frame_names,
            look=look,
            axes=("object query", "frame"),
            side=side,
            scale=scale,
            path=[None if q is None else shown.index(q) for q in self.top(place)],
        )


def draw_tracker(
    subject: Subject,
    layers: Sequence[int] | None = None,
    *,
    head: int | None = None,
    cmap: str = "viridis",
) -> Picture:
    """For each layer of the tracker, object queries by frames, and the line of the strongest.

    The line is the identity's way through the frames: where it jumps, another object query has
    taken over. Object queries that are never among the strongest are added up in the last row.

    Args:
        subject: An instance that is a track.
        layers: Layers of the tracker, all by default.
        head: One head alone; their mean by default.
        cmap: A matplotlib colour map.
    """
    flow = IdentityFlow.of(subject, layers, head)
    look = Look(cmap=cmap, high="max", unit="weight")
    scale = Scale.of(flow.weights)
    plots = [flow.plot(place, look=look, scale=scale) for place in range(len(flow.layers))]
    named = [Named(f"layer {layer}", plot) for layer, plot in zip(flow.layers, plots, strict=True)]
    table = in_rows(named, _COLUMNS)
    page = Column(
        [table, Named("share of the object query that is read most", _shares(flow, table))]
    )
    heads = "mean of heads" if head is None else f"head {head}"
    return draw_page(
        page.size_wh,
        page.draw,
        replace(plots[0].legend(), places=_places(flow)),
        title=f"What the tracker reads for {subject.words}",
        lines=[
            about(subject),
            f"attention to the frame's object queries · {heads} · "
            "white line: the object query that is read most",
        ],
    )


def _places(flow: IdentityFlow) -> tuple[Place, ...]:
    gone = np.isnan(flow.weights).any()
    return (replace(UNSEEN, words="the track does not live"),) if gone else ()


def _rows(layer: Floats, shown: Sequence[int]) -> Floats:
    """(shown object queries, frames), with the sum of the others in the last row."""
    chosen = layer[:, shown].T
    if len(shown) == layer.shape[1]:
        return chosen
    rest = layer.sum(1) - layer[:, shown].sum(1)
    return np.concatenate([chosen, rest[None]])


def _shares(flow: IdentityFlow, table: Column) -> Chart:
    last = len(flow.layers) - 1
    chosen = sorted({0, last})
    strongest = flow.weights.max(2)
    return Chart(
        curves=[Curve(strongest[place], f"layer {flow.layers[place]}") for place in chosen],
        names=flow.subject.frame_names,
        shaded=flow.subject.alive(),
        shade_name="lives",
        axes=("frame", "share"),
        size_wh=(max(table.size_wh[0], 1100), 360),
        top=1.0,
    )

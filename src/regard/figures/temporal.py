"""Attention of the refiner from frame to frame: each layer, and all of them rolled out."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from regard.analysis.temporal_rollout import Fusion, column_mean, temporal_rollout
from regard.errors import SelectionError
from regard.figures.decoder import about
from regard.figures.subject import Subject
from regard.render.blocks import Column, Named, Row, in_rows
from regard.render.chart import Chart, Curve
from regard.render.colour import Scale
from regard.render.legend import Legend
from regard.render.look import Look
from regard.render.matrix import MatrixPlot
from regard.render.page import draw_page
from regard.render.picture import Picture

_COLUMNS = 3
_SIDE = 400


@dataclass(frozen=True, eq=False)
class TimeAttention:
    """The attention over time of one instance."""

    subject: Subject
    layers: tuple[int, ...]
    heads: tuple[Tensor, ...]
    """Of each layer, (heads, frames, frames); one, their mean, where no more was kept."""
    is_mean: bool = False
    """Whether the run kept the mean of heads alone."""

    @classmethod
    def of(
        cls, subject: Subject, layers: Sequence[int] | None = None, head: int | None = None
    ) -> "TimeAttention":
        """Of some layers of the refiner, by default of all.

        Args:
            subject: An instance of an offline model.
            layers: Which ones.
            head: One head alone; all of them by default.

        Raises:
            SelectionError: An online model, an object query, or a layer or head that is not there.
        """
        video, instance = subject.video, subject.instance
        if instance is None:
            raise SelectionError("the refiner attends from frame to frame for instances only")
        if not video.refiner_layers:
            raise SelectionError(
                f"video {video.id!r} has no attention over time: online models have none"
            )
        chosen = tuple(video.refiner_layers if layers is None else layers)
        if head is not None:
            found = [video.temporal(layer, instance.row, head)[None] for layer in chosen]
            return cls(subject, chosen, tuple(found))
        of_layers = [_heads(subject, layer, instance.row) for layer in chosen]
        if all(of_layers):
            return cls(subject, chosen, tuple(torch.stack(heads) for heads in of_layers))
        found = [video.temporal(layer, instance.row)[None] for layer in chosen]
        return cls(subject, chosen, tuple(found), is_mean=True)

    def require_heads(self, why: str) -> None:
        """Refuse what needs single heads where only their mean was kept.

        Raises:
            SelectionError: The run does not hold them.
        """
        if self.is_mean:
            raise SelectionError(
                f"video {self.subject.video.id!r} kept the mean of heads of the refiner alone, and "
                f"{why} needs each; record the videos again with regard run"
            )

    def rollout(self, *, residual: float = 0.5, fusion: Fusion = "mean") -> Tensor:
        """How much of each frame reaches each frame; see `temporal_rollout`."""
        if fusion != "mean":
            self.require_heads(f"fusion {fusion!r}")
        return temporal_rollout(self.heads, residual=residual, fusion=fusion)


def _heads(subject: Subject, layer: int, row: int) -> list[Tensor]:
    """All heads of a layer; none where they were not kept."""
    found: list[Tensor] = []
    while True:
        try:
            found.append(subject.video.temporal(layer, row, len(found)))
        except SelectionError:
            return found


def draw_temporal(
    subject: Subject,
    layers: Sequence[int] | None = None,
    *,
    head: int | None = None,
    by_head: bool = False,
    residual: float = 0.5,
    fusion: Fusion = "mean",
    cmap: str = "viridis",
) -> Picture:
    """Matrices of attention from frame to frame, their rollout, and what each frame gives to all.

    Rows are the frames that look, columns those that are looked at. One scale holds for the
    layers; the rollout, which is flatter, has its own.

    Args:
        subject: An instance of an offline model.
        layers: Layers of the refiner, all by default.
        head: One head alone; their mean by default.
        by_head: A matrix for each head of each layer.
        residual: See `temporal_rollout`.
        fusion: See `temporal_rollout`.
        cmap: A matplotlib colour map.
    """
    time = TimeAttention.of(subject, layers, head)
    if by_head:
        time.require_heads("a matrix for each head")
    rolled = time.rollout(residual=residual, fusion=fusion)
    look = Look(cmap=cmap, high="max", unit="weight")
    table, legend = _layers(time, by_head, look)
    charts = _rolled_out(time, rolled, look, table.size_wh[0], _rest(time, residual, fusion))
    page = Column([table, charts])
    heads = "each head" if by_head else (f"head {head}" if head is not None else "mean of heads")
    kept = f"rollout: residual {residual:g}, {fusion} of heads"
    return draw_page(
        page.size_wh,
        page.draw,
        legend,
        title=f"Attention over time for {subject.words}",
        lines=[about(subject), f"{heads} · {kept} · an approximation: attention over time alone"],
    )


def _layers(time: TimeAttention, by_head: bool, look: Look) -> tuple[Column, Legend]:
    """A matrix for each layer, or for each head in a row for each layer."""
    shown = _named(time, by_head)
    columns = time.heads[0].shape[0] if by_head else _COLUMNS
    side = (_SIDE + 100) * _COLUMNS / max(columns, _COLUMNS) - 100
    shared = Scale.of(*(matrix for _, matrix in shown))
    plots = [_plot(time.subject, matrix, look, side, shared) for _, matrix in shown]
    named = [Named(name, plot) for (name, _), plot in zip(shown, plots, strict=True)]
    return in_rows(named, columns), plots[0].legend()


def _rest(time: TimeAttention, residual: float, fusion: Fusion) -> Tensor | None:
    """The rollout without the first layer."""
    if len(time.layers) == 1:
        return None
    return temporal_rollout(time.heads[1:], residual=residual, fusion=fusion)


def _rolled_out(
    time: TimeAttention, rolled: Tensor, look: Look, width: int, rest: Tensor | None
) -> Row:
    """The rollout on its own scale, and its column means."""
    plot = _plot(time.subject, rolled, look, 1.3 * _SIDE)
    words = f"rollout of layers {time.layers[0]} to {time.layers[-1]}, up to {rolled.max():.2f}"
    received = _received(time, rolled, rest, max(900, width - plot.size_wh[0] - 32))
    return Row([Named(words, plot), Named("how much of a frame reaches all frames", received)])


def _named(time: TimeAttention, by_head: bool) -> list[tuple[str, Tensor]]:
    if not by_head:
        means = [heads.mean(0) for heads in time.heads]
        return [(f"layer {layer}", mean) for layer, mean in zip(time.layers, means, strict=True)]
    return [
        (f"layer {layer}, head {number}", matrix)
        for layer, heads in zip(time.layers, time.heads, strict=True)
        for number, matrix in enumerate(heads)
    ]


def _plot(
    subject: Subject, matrix: Tensor, look: Look, side: float, scale: Scale | None = None
) -> MatrixPlot:
    return MatrixPlot.of(
        matrix,
        query_names=subject.frame_names,
        key_names=subject.frame_names,
        look=look,
        axes=("frame", "frame it looks at"),
        side=side,
        scale=scale,
    )


def _received(time: TimeAttention, rolled: Tensor, rest: Tensor | None, width: int) -> Chart:
    """Column means of the rollout, without the first layer as well, beside the exact weights."""
    curves = [Curve(column_mean(rolled), "rollout")]
    if rest is not None:
        curves.append(Curve(column_mean(rest), f"without layer {time.layers[0]}", dashed=True))
    if time.subject.video.weighs_frames:
        curves.append(Curve(time.subject.frame_weights(), "weight for the class"))
    return Chart(
        curves=curves,
        names=time.subject.frame_names,
        shaded=time.subject.alive(),
        shade_name="lives",
        axes=("frame", "share"),
        size_wh=(width, 520),
    )

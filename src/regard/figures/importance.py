"""Which frames count for an instance, and what its attention does along its track."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from regard.errors import SelectionError
from regard.figures.decoder import about
from regard.figures.maps import Maps
from regard.figures.subject import Subject
from regard.figures.tracker import IdentityFlow
from regard.render.arrays import Floats
from regard.render.blocks import Block, Column, Named
from regard.render.chart import Chart, Curve
from regard.render.contour import draw_contour
from regard.render.page import draw_page
from regard.render.picture import Picture
from regard.render.style import Colour
from regard.render.tiles import Tile, Tiles

WIDTH = 1504
_TILES = 6
_GAINS: Colour = (33, 150, 137)


@dataclass(frozen=True, eq=False)
class AlongTrack:
    """What an instance's attention does from frame to frame; NaN where it does not live."""

    in_mask: Floats
    """Share of the attention on the photo that falls into the instance's mask, (frames,)."""
    mask_area: Floats
    """Share of the photo that the mask covers: what even attention would have in it."""
    spread: Floats
    """Cells that the attention is spread over, as exp of its entropy, over all cells."""

    @classmethod
    def of(cls, subject: Subject, layers: Sequence[int] | None = None) -> "AlongTrack":
        """Of the mean of some layers of the predictor, by default of all that were kept."""
        maps = Maps.of(subject, layers)
        found = np.full((3, subject.video.frame_count), np.nan, np.float32)
        for frame in subject.life:
            cells, mask = maps.cells(frame), subject.mask(frame)
            if cells is None:
                continue
            height, width = subject.video.size_hw
            density = np.nan_to_num(cells.map((width, height)))
            inside = density[mask].sum() if mask is not None else 0.0
            shares = cells.values.ravel() / cells.values.sum()
            known = shares[shares > 0]
            found[:, frame] = (
                inside / density.sum(),
                0.0 if mask is None else mask.mean(),
                np.exp(-(known * np.log(known)).sum()) / shares.size,
            )
        return cls(*found)


def draw_importance(
    subject: Subject,
    photos: Mapping[int, Image.Image] | None = None,
    layers: Sequence[int] | None = None,
) -> Picture:
    """Curves over the frames of a video, and the frames that count most.

    For offline models: the weight of each frame, and what it adds to the class logit. For all: how
    much of the attention is on the instance itself, and how far it is spread.

    Args:
        subject: An instance.
        photos: Frames by index; those that count most are shown, none without.
        layers: Layers of the predictor for the curves of attention.
    """
    if subject.instance is None:
        raise SelectionError("frames count for instances; choose one instead of an object query")
    blocks: list[Block] = list(weight_charts(subject)) if subject.video.weighs_frames else []
    if photos and subject.video.weighs_frames:
        blocks.append(Named("frames that count most", most_counting(subject, photos)))
    has_maps = bool(subject.video.decoder_layers and subject.life)
    if has_maps:
        blocks += [Named("attention along the track", track_chart(subject, layers))]
    if subject.instance.track_id is not None:
        blocks.append(Named("identity", identity_chart(subject)))
    page = Column(blocks)
    return draw_page(
        page.size_wh,
        page.draw,
        title=f"What counts for {subject.words}",
        lines=[
            about(subject),
            Maps.of(subject, layers).words if has_maps else "its attention on frames was not kept",
        ],
    )


def weight_charts(subject: Subject, height: int = 340) -> list[Named]:
    """Weight of each frame, and what it adds to the class logit where that was kept."""
    instance = subject.instance
    assert instance is not None
    found = subject.video.importance(instance.row)
    charts = [
        Named(
            "weight of each frame for the class",
            _chart(subject, [Curve(found.weights)], "weight", height, bars=True),
        )
    ]
    if found.contributions is not None:
        added = found.contributions[:, instance.label]
        named = f"what each frame adds to the logit of {instance.category}"
        curve = Curve(added, colour=_GAINS)
        charts.append(Named(named, _chart(subject, [curve], "logit", height, bars=True)))
    return charts


def track_chart(subject: Subject, layers: Sequence[int] | None = None, height: int = 340) -> Chart:
    """How much of the attention is on the instance, and how far it is spread, over frames."""
    along = AlongTrack.of(subject, layers)
    curves = [
        Curve(along.in_mask, "share inside the mask"),
        Curve(along.mask_area, "share of the photo that the mask covers", dashed=True),
        Curve(along.spread, "spread, 1 is even"),
    ]
    return _chart(subject, curves, "share", height)


def identity_chart(subject: Subject, height: int = 300) -> Chart:
    """Share of the object query that the track reads most, in the last layer of the tracker."""
    flow = IdentityFlow.of(subject, [subject.video.tracker_layers[-1]])
    curve = Curve(flow.weights[-1].max(1), "share of the object query that the tracker reads most")
    return _chart(subject, [curve], "share", height)


def most_counting(
    subject: Subject, photos: Mapping[int, Image.Image], count: int = _TILES
) -> Tiles:
    """The frames of largest weight, largest first, with the line around the instance."""
    weights = np.asarray(subject.frame_weights())
    order = [int(frame) for frame in np.argsort(-weights, kind="stable") if frame in photos]
    width = (WIDTH + 16) // count - 16
    height = max(1, round(width * subject.video.size_hw[0] / subject.video.size_hw[1]))
    tiles = []
    for frame in order[:count]:
        small = photos[frame].convert("RGB").resize((width, height), Image.Resampling.LANCZOS)
        mask = subject.mask(frame)
        if mask is not None:
            stencil = Image.fromarray(mask.astype(np.uint8) * 255).resize(small.size)
            draw_contour(small, np.asarray(stencil) >= 128)
        lives = "" if frame in subject.life else ", absent"
        note = f"weight {100 * weights[frame]:.1f} %{lives}"
        tiles.append(Tile(np.asarray(small), f"frame {subject.frame_names[frame]}", note))
    return Tiles([tiles])


def _chart(
    subject: Subject, curves: Sequence[Curve], upwards: str, height: int, *, bars: bool = False
) -> Chart:
    return Chart(
        curves=curves,
        names=subject.frame_names,
        shaded=subject.alive(),
        shade_name="lives",
        axes=("frame", upwards),
        size_wh=(WIDTH, height),
        bars=bars,
    )

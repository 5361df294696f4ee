"""`regard plot`: pictures of what a run recorded."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from regard.cli.choosing import (
    Category,
    Failures,
    Instances,
    Mixing,
    Query,
    Scale,
    Track,
    Videos,
    options,
)


def plot(
    run: Path,
    kind: Literal["decoder", "temporal", "tracker", "importance", "page"],
    /,
    *,
    video: Videos = [],  # noqa: B006
    instance: Instances = [],  # noqa: B006
    class_name: Category = None,
    track: Track = None,
    query: Query = None,
    layers: Annotated[list[int] | None, Parameter(consume_multiple=True)] = None,
    frames: str | None = None,
    view: Literal["heatmap", "grid_heatmap", "heatmap_num", "grid"] = "heatmap",
    scale: Scale = "across_frames",
    mixing: Mixing = "weighted",
    unmasked: Annotated[bool, Parameter(show_default=False)] = False,
    head: Annotated[int | None, Parameter(validator=Number(gte=0))] = None,
    by_head: Annotated[bool, Parameter(show_default=False)] = False,
    residual: Annotated[float, Parameter(validator=Number(gte=0, lt=1))] = 0.5,
    fusion: Literal["mean", "max", "min"] = "mean",
    high: Literal["max", "p99.5"] = "p99.5",
    colormap: str = "inferno",
    file_type: Literal["png", "pdf", "svg"] = "png",
    images: Path | None = None,
    short_side_px: Annotated[int, Parameter(validator=Number(gte=32))] = 480,
    out: Path | None = None,
) -> int:
    """Draw what a run recorded, into RUN/plots.

    decoder: where the predictor looks, over frames, by layer. temporal: attention from frame to
    frame and its rollout, whose numbers go to RUN/attention_maps/rolled_out. tracker: which object
    queries the tracker reads. importance: which frames count. page: all of it on one page.

    Parameters
    ----------
    run
        Folder of a run; also one that the DVIS attention pipeline made.
    kind
        What is drawn.
    video
        Names of videos; all by default.
    instance
        Places in the list of instances; 0, the best one, by default.
    class_name
        Every instance of a class, by name or number.
    track
        The instance that is this track.
    query
        An object query, instead of an instance.
    layers
        Layers of the part that is drawn; all that were kept by default.
    frames
        Frames that are shown, START:STOP or START:STOP:STEP; six of its life by default.
    view
        heatmap: smooth. grid_heatmap: by cell. heatmap_num: by cell, with numbers from 0 to 100.
        grid: cells above a quarter, a half, three quarters.
    scale
        per_frame: each frame on its own. across_frames: one for all. temporal_...: values times
        how much the frame counts (offline models).
    mixing
        How an instance mixes the object queries of a frame: by its tracker's weights, the best
        one alone, or by rollout over the tracker's layers.
    unmasked
        Show the attention with every mask left open.
    head
        One head alone: of the predictor, the refiner or the tracker.
    by_head
        A matrix for each head (temporal).
    residual
        Share that a frame keeps of itself in each layer of the rollout (temporal).
    fusion
        What becomes of heads in the rollout (temporal).
    high
        Where scales end: at the largest value of each frame, or at its 99.5th percentile, which
        keeps the rest visible where one cell soaks up attention.
    colormap
        Any matplotlib colour map for maps over frames, such as viridis or jet.
    file_type
        pdf and svg keep letters and lines.
    images
        Where the frames are now, if they have moved.
    short_side_px
        What frames were resized to, for runs that do not say it.
    out
        Another folder than the run's own.
    """
    from regard.figures.decoder import DecoderLook
    from regard.figures.plots import PlotOptions, plot_run
    from regard.media.frames import FrameRange
    from regard.render.look import Look
    from regard.runs import open_run

    chosen = options(instance, class_name, track, query, mixing, unmasked)
    if head is not None and kind in ("decoder", "page"):
        chosen["decoder_head"] = head
    look = Look(cmap=colormap, high=high)
    how = PlotOptions(
        layers=layers,
        frames=None if frames is None else FrameRange.parse(frames),
        decoder=DecoderLook(view=view, scaling=scale, look=look),
        head=head,
        by_head=by_head,
        residual=residual,
        fusion=fusion,
        file_type=file_type,
        images=images,
    )
    opened = open_run(run, short_side_px=short_side_px)
    failures = Failures()
    paths = plot_run(
        opened,
        kind,
        videos=video,
        chosen=chosen,
        options=how,
        out=out,
        on_failure=failures,
    )
    for path in paths:
        print(path, flush=True)
    return failures.code

"""`regard render`: films of what a run recorded."""

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


def render(
    run: Path,
    /,
    *,
    video: Videos = [],  # noqa: B006
    instance: Instances = [],  # noqa: B006
    class_name: Category = None,
    track: Track = None,
    query: Query = None,
    side_by_side: Path | None = None,
    annotations: Path | None = None,
    panels: Literal["layers"] | None = None,
    importance: Annotated[bool, Parameter(show_default=False)] = False,
    reorder: Annotated[bool, Parameter(show_default=False)] = False,
    layers: Annotated[list[int] | None, Parameter(consume_multiple=True)] = None,
    scale: Scale = "across_frames",
    mixing: Mixing = "weighted",
    unmasked: Annotated[bool, Parameter(show_default=False)] = False,
    high: Literal["max", "p99.5"] = "p99.5",
    colormap: str = "inferno",
    fps: Annotated[float | None, Parameter(validator=Number(gt=0))] = None,
    width_px: Annotated[int | None, Parameter(validator=Number(gte=16, lte=7680))] = None,
    file_type: Annotated[Literal["mp4", "gif"], Parameter(name="--format")] = "mp4",
    images: Path | None = None,
    short_side_px: Annotated[int, Parameter(validator=Number(gte=32))] = 480,
    out: Path | None = None,
) -> int:
    """Film what was found in the videos of a run and where the model looked, into RUN/videos.

    Each frame has the attention over it, a line around the instance, its class and score, and the
    number of the frame. Frames in which the instance does not live are grey.

    Parameters
    ----------
    run
        Folder of a run; also one that the DVIS attention pipeline made.
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
    side_by_side
        Another run over the same videos, shown at the right on the same scale.
    annotations
        Annotated YTVIS file of the videos: what an instance really is stands below its class, and
        frames in which that object is annotated are shaded in the curve of importance.
    panels
        A panel for each layer, beside that of their mean.
    importance
        How much each frame counts, as a curve with a cursor that runs along (offline models).
    reorder
        Frames that count most first, each followed by the plain frame (offline models).
    layers
        Layers of the predictor; all that were kept by default.
    scale
        per_frame: each frame on its own. across_frames: one for all. temporal_...: values times
        how much the frame counts (offline models).
    mixing
        How an instance mixes the object queries of a frame: by its tracker's weights, the best
        one alone, or by rollout over the tracker's layers.
    unmasked
        Show the attention with every mask left open.
    high
        Where scales end: at the largest value of each frame, or at its 99.5th percentile, which
        keeps the rest visible where one cell soaks up attention.
    colormap
        Any matplotlib colour map, such as viridis or jet.
    fps
        Frames a second; by default the video's own, or 10.
    width_px
        Width of a panel; by default that of the video, enlarged if it is small.
    file_type
        mp4: H.264, for players, browsers and slides. gif: for everything else.
    images
        Where the frames are now, if they have moved.
    short_side_px
        What frames were resized to, for runs that do not say it.
    out
        Another folder than the run's own.
    """
    from regard.figures.film import FilmLook
    from regard.figures.films import render_run
    from regard.render.look import Look
    from regard.runs import open_run

    how = FilmLook(
        scaling=scale,
        look=Look(cmap=colormap, high=high),
        panels=panels == "layers",
        importance=importance,
        reorder=reorder,
        width_px=width_px,
    )
    failures = Failures()
    paths = render_run(
        open_run(run, short_side_px=short_side_px),
        videos=video,
        chosen=options(instance, class_name, track, query, mixing, unmasked),
        layers=layers,
        how=how,
        beside=None
        if side_by_side is None
        else open_run(side_by_side, short_side_px=short_side_px),
        annotations=annotations,
        fps=fps,
        file_type=file_type,
        images=images,
        out=out,
        on_failure=failures,
    )
    for path in paths:
        print(path, flush=True)
    return failures.code

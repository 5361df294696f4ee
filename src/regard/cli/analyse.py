"""`regard analyse`: the standard workflow over a run."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from regard.cli.choosing import Failures, Instances, Videos
from regard.cli.terminal import complain


def analyse(
    run: Path,
    /,
    *,
    video: Videos = [],  # noqa: B006
    instance: Instances = [0],  # noqa: B006
    annotations: Path | None = None,
    against: Path | None = None,
    colormap: str = "inferno",
    fps: Annotated[float | None, Parameter(validator=Number(gt=0))] = None,
    file_type: Annotated[Literal["mp4", "gif"], Parameter(name="--format")] = "mp4",
    images: Path | None = None,
    short_side_px: Annotated[int, Parameter(validator=Number(gte=32))] = 480,
) -> int:
    """Sum up, plot, roll out and film a run: the standard workflow in one command.

    As `regard summarize`, `regard plot` of every kind, and `regard render` with the curve of
    importance and in its order. What is there from before is not made again.

    Parameters
    ----------
    run
        Folder of a run; also one that the DVIS attention pipeline made.
    video
        Names of videos; all by default.
    instance
        Places in the list of instances; 0, the best one, by default.
    annotations
        Annotated YTVIS file of the videos.
    against
        Another run over the same videos, compared and shown beside.
    colormap
        Any matplotlib colour map, such as viridis or jet.
    fps
        Frames a second of films; by default the videos' own, or 10.
    file_type
        mp4: H.264, for players, browsers and slides. gif: for everything else.
    images
        Where the frames are now, if they have moved.
    short_side_px
        What frames were resized to, for runs that do not say it.
    """
    from regard.figures.analyse import analyse_run
    from regard.runs import open_run

    failures = Failures()
    paths = analyse_run(
        open_run(run, short_side_px=short_side_px),
        videos=video,
        instances=instance,
        annotations=annotations,
        against=None if against is None else open_run(against, short_side_px=short_side_px),
        cmap=colormap,
        fps=fps,
        file_type=file_type,
        images=images,
        notify=complain,
        on_failure=failures,
    )
    for path in paths:
        print(path, flush=True)
    return failures.code

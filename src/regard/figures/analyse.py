"""`regard analyse`: the standard workflow over a run, in one call."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from regard.errors import SelectionError
from regard.figures.decoder import DecoderLook
from regard.figures.film import FilmLook
from regard.figures.films import render_run
from regard.figures.plots import Kind, PlotOptions, plot_run
from regard.figures.subject import OnFailure, choose, raised
from regard.render.look import Look
from regard.runs import Run
from regard.summaries.choice import Choice
from regard.summaries.summarize import summarize


def analyse_run(
    run: Run,
    *,
    videos: Sequence[str] = (),
    instances: Sequence[int] = (0,),
    annotations: str | os.PathLike[str] | None = None,
    against: Run | None = None,
    cmap: str = "inferno",
    fps: float | None = None,
    file_type: Literal["mp4", "gif"] = "mp4",
    images: str | os.PathLike[str] | None = None,
    notify: Callable[[str], object] | None = None,
    on_failure: OnFailure = raised,
) -> Iterator[Path]:
    """Sum a run up, plot it, roll it out and film it; gives each path once it is there.

    What is there from before is not made again, so the same call goes on after an interruption.

    Args:
        run: See `open_run`.
        videos: Which ones are drawn and filmed; all by default.
        instances: Places in the list of instances; 0 is the best of each video. Videos with fewer
            have fewer figures.
        annotations: Annotated YTVIS file of the videos; see `summarize`.
        against: Another run over the same videos, compared and shown beside.
        cmap: A matplotlib colour map.
        fps: Frames a second of films; by default the videos' own.
        file_type: Of films.
        images: Where the frames are now, if they have moved.
        notify: Called with lines about what a video cannot have, such as the frame weights of an
            online model.
        on_failure: Called with what fails; the rest is made. By default it is raised.

    Raises:
        RegardError: As `summarize`, `plot_run` and `render_run`.
    """
    summary = summarize(run, annotations=annotations, against=against, choice=_best(instances))
    yield from summary.written
    for what, missing in summary.not_available.items():
        if notify is not None:
            notify(f"no {what} of {missing['of'][0]}: {missing['reason']}")
    look = Look(cmap=cmap)
    options = PlotOptions(decoder=DecoderLook(look=look), images=images)
    for name in videos or run.videos:
        for place in instances:
            if place < len(run.video(name).instances):
                chosen: dict[str, Any] = {"videos": [name], "chosen": {"instances": [place]}}
                chosen["on_failure"] = on_failure
                yield from _plots(run, chosen, options)
                more = {"fps": fps, "file_type": file_type, "images": images}
                yield from _films(run, chosen, look, against, more)


def _best(instances: Sequence[int]) -> Choice:
    """The instances that are asked for, of videos that have so many."""
    return Choice(best=max(instances, default=0) + 1)


def _plots(run: Run, chosen: Mapping[str, Any], options: PlotOptions) -> Iterator[Path]:
    """Every plot that an instance can have."""
    (subject,) = choose(run.video(chosen["videos"][0]), **chosen["chosen"])
    assert subject.instance is not None
    is_offline = bool(subject.video.refiner_layers)
    kinds: list[Kind] = ["page", "importance"]
    kinds += ["temporal"] if is_offline and _has_time(run, chosen) else []
    kinds += ["tracker"] if subject.instance.track_id is not None else []
    for kind in kinds:
        yield from plot_run(run, kind, options=options, **chosen)
    for scaling in ("per_frame", "temporal_per_frame") if is_offline else ("per_frame",):
        scaled = replace(options, decoder=replace(options.decoder, scaling=scaling))
        yield from plot_run(run, "decoder", options=scaled, **chosen)


def _has_time(run: Run, chosen: Mapping[str, Any]) -> bool:
    """Whether the run kept the instance's attention over time."""
    (subject,) = choose(run.video(chosen["videos"][0]), **chosen["chosen"])
    assert subject.instance is not None
    try:
        subject.video.temporal(-1, subject.instance.row)
    except SelectionError:
        return False
    return True


def _films(
    run: Run, chosen: Mapping[str, Any], look: Look, against: Run | None, more: Mapping[str, Any]
) -> Iterator[Path]:
    """The film, the same by importance, and two runs beside each other."""
    is_offline = bool(run.video(chosen["videos"][0]).refiner_layers)
    plain = FilmLook(look=look, importance=is_offline)
    yield from render_run(run, how=plain, **chosen, **more)
    if is_offline:
        yield from render_run(run, how=replace(plain, reorder=True), **chosen, **more)
    if against is not None:
        yield from render_run(run, how=FilmLook(look=look), beside=against, **chosen, **more)

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
from regard.figures.maps import Maps
from regard.figures.plots import Kind, PlotOptions, plot_run
from regard.figures.subject import OnFailure, Subject, choose, raised
from regard.render.look import Look
from regard.runs import Run
from regard.runs.choice import Choice
from regard.summaries.summarize import summarize

Paths = Iterator[Path]


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
) -> Paths:
    """Sum a run up, plot it, roll it out and film it; gives each path once it is there.

    What is there from before is not made again, so the same call goes on after an interruption.

    Args:
        run: See `open_run`.
        videos: Which ones are drawn and filmed; all by default.
        instances: Places in the list of instances; 0 is the best of each video. Videos with fewer
            have fewer figures.
        annotations: Annotated YTVIS file of the videos; see `summarize` and `render_run`.
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
    choice = Choice(places=tuple(instances), skips_missing=True)
    summary = summarize(run, annotations=annotations, against=against, choice=choice)
    yield from summary.written
    tell = notify or (lambda _: None)
    for what, missing in summary.not_available.items():
        tell(f"no {what} of {missing['of'][0]}: {missing['reason']}")
    look = Look(cmap=cmap)
    options = PlotOptions(decoder=DecoderLook(look=look), images=images)
    for name in videos or run.videos:
        for place in instances:
            if place < len(run.video(name).instances):
                chosen: dict[str, Any] = {"videos": [name], "chosen": {"instances": [place]}}
                chosen["on_failure"] = on_failure
                (subject,) = choose(run.video(name), instances=[place])
                yield from _plots(run, subject, chosen, options)
                if not _has_maps(subject):
                    tell(f"no maps and films of video {name}, instance {place}: {_why(subject)}")
                    continue
                more = {"fps": fps, "file_type": file_type, "images": images}
                more |= {"annotations": annotations}
                yield from _films(run, subject, chosen, look, against, more)


def _why(subject: Subject) -> str:
    """Why there are no maps of a subject."""
    try:
        Maps.of(subject)
    except SelectionError as error:
        return str(error)
    raise AssertionError("there are maps")


def _plots(run: Run, subject: Subject, chosen: Mapping[str, Any], options: PlotOptions) -> Paths:
    """Every plot that an instance can have."""
    video = subject.video
    kinds: list[Kind] = ["page", "importance"] if _has_maps(subject) else ["importance"]
    kinds += ["temporal"] if _has_time(subject) else []
    kinds += ["tracker"] if _is_read_by_the_tracker(subject) else []
    for kind in kinds:
        yield from plot_run(run, kind, options=options, **chosen)
    if not _has_maps(subject):
        return
    for scaling in ("per_frame", "temporal_per_frame") if video.weighs_frames else ("per_frame",):
        scaled = replace(options, decoder=replace(options.decoder, scaling=scaling))
        yield from plot_run(run, "decoder", options=scaled, **chosen)


def _has_maps(subject: Subject) -> bool:
    """Whether there is a frame with attention on its pixels."""
    return bool(subject.life and subject.video.decoder_layers)


def _is_read_by_the_tracker(subject: Subject) -> bool:
    assert subject.instance is not None
    return subject.instance.track_id is not None and bool(subject.video.tracker_layers)


def _has_time(subject: Subject) -> bool:
    """Whether the run kept the instance's attention over time."""
    assert subject.instance is not None
    try:
        subject.video.temporal(-1, subject.instance.row)
    except SelectionError:
        return False
    return True


def _films(
    run: Run,
    subject: Subject,
    chosen: Mapping[str, Any],
    look: Look,
    against: Run | None,
    more: Mapping[str, Any],
) -> Paths:
    """The film, the same by importance, and two runs beside each other."""
    weighs_frames = subject.video.weighs_frames
    plain = FilmLook(look=look, importance=weighs_frames)
    yield from render_run(run, how=plain, **chosen, **more)
    if weighs_frames:
        yield from render_run(run, how=replace(plain, reorder=True), **chosen, **more)
    if against is not None:
        yield from render_run(run, how=FilmLook(look=look), beside=against, **chosen, **more)

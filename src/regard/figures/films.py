"""`regard render`: films of a run, written into it."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import numpy as np

from regard.datasets.ytvis_tracks import read_truth
from regard.errors import MediaError, SelectionError
from regard.figures.film import FilmLook, film
from regard.figures.room import Room
from regard.figures.subject import OnFailure, Subject, choose, raised, subjects
from regard.figures.truth import Truth
from regard.file_names import safe_name
from regard.runs import RecordedVideo, Run

DEFAULT_FRAMES_PER_SECOND = 10.0
"""Of films of a video that does not state its own rate."""

_COMPARED_FRAMES = 8


def render_run(
    run: Run,
    *,
    videos: Sequence[str] = (),
    chosen: Mapping[str, Any] | None = None,
    layers: Sequence[int] | None = None,
    how: FilmLook = FilmLook(),  # noqa: B008 - it is frozen
    beside: Run | None = None,
    annotations: str | os.PathLike[str] | None = None,
    fps: float | None = None,
    file_type: Literal["mp4", "gif"] = "mp4",
    images: str | os.PathLike[str] | None = None,
    out: str | os.PathLike[str] | None = None,
    on_failure: OnFailure = raised,
) -> Iterator[Path]:
    """Write films of a run into it; gives each path once it is written.

    They are `videos/VIDEO/instance_0...mp4`.

    Args:
        run: See `open_run`.
        videos: Which ones; all by default.
        chosen: Which instances, as keywords of `choose`; the best of each video by default.
        layers: Layers of the predictor; all that were kept by default.
        how: Scale, colours and parts of the film.
        beside: Another run over the same videos; the instance that overlaps most with each one is
            shown at the right, on the same scale.
        annotations: Annotated YTVIS file of the videos: what an instance really is stands below
            its class, and frames in which that object is annotated are shaded in the curve.
        fps: Frames a second; by default the video's own.
        file_type: "mp4" or "gif".
        images: Where the frames are now; by default where they were when the run was made.
        out: Another folder than the run's own.
        on_failure: Called with what a video does not hold or whose frames are gone; the others
            are filmed. By default it is raised.

    Raises:
        SelectionError: Something that a run does not hold.
        FormatError: Annotations that are damaged or of other videos.
        MediaError, RunError: Frames cannot be read, or files not written.
    """
    truth = None if annotations is None else read_truth(annotations)
    with Room(run, out) as room:
        for subject in subjects(run, videos, chosen or {}, on_failure):
            video = subject.video
            rate = fps or video.frames_per_second or DEFAULT_FRAMES_PER_SECOND
            folder = safe_name(video.id, otherwise="video")
            real = None if truth is None else Truth.of(subject, truth)
            path = f"videos/{folder}/{subject.name}{_suffix(subject, how, layers)}"
            path += f"{'_truth' if real else ''}{'_beside' if beside else ''}.{file_type}"
            choices = asdict(how) | subject.choices() | {"fps": rate, "layers": _listed(layers)}
            choices["beside"] = None if beside is None else _names(run, beside)[1]
            choices |= {} if real is None else {"truth": real.choices()}
            if there := room.made(f"film {path}", choices):
                yield from there
                continue
            try:
                pair = None
                if beside is not None:
                    other = overlapping(subject, beside.video(video.id))
                    pair = (other, _names(run, beside))
                frames = film(subject, video.frames(images), layers, how, beside=pair, truth=real)
                yield room.film(f"film {path}", path, frames, rate, choices)
            except (SelectionError, MediaError) as error:
                on_failure(error)


def overlapping(subject: Subject, other: RecordedVideo) -> Subject:
    """The instance of another run over the same video whose masks overlap most with a subject's.

    An object query is the query of the same number.

    Raises:
        SelectionError: Frames of other numbers or sizes, or no instance that overlaps at all.
    """
    video = subject.video
    if (video.frame_count, video.size_hw) != (other.frame_count, other.size_hw):
        raise SelectionError(
            f"video {video.id!r} has {video.frame_count} frames of {video.size_hw} (height, width) "
            f"in one run and {other.frame_count} of {other.size_hw} in the other"
        )
    if subject.instance is None:
        return choose(other, query=subject.query, **subject.options)[0]
    life = subject.require_life()
    picks = np.linspace(life.start, life.stop - 1, _COMPARED_FRAMES)
    frames = sorted({round(pick) for pick in picks.tolist()})
    own = [subject.instance.masks(frame) for frame in frames]
    shares = []
    for one in other.instances:
        theirs = [one.masks(frame) for frame in frames]
        both = sum(int((a & b).sum()) for a, b in zip(own, theirs, strict=True))
        either = sum(int((a | b).sum()) for a, b in zip(own, theirs, strict=True))
        shares.append(both / either if either else 0.0)
    if not any(shares):
        raise SelectionError(
            f"nothing in video {other.id!r} of the other run overlaps with {subject.name} "
            f"({subject.words})"
        )
    place = int(np.argmax(shares))
    return choose(other, instances=[place], **subject.options)[0]


def _listed(layers: Sequence[int] | None) -> list[int] | None:
    return None if layers is None else list(layers)


def _names(run: Run, other: Run) -> tuple[str, str]:
    """What the two runs are called above their panels."""
    names = (run.path.resolve().name, other.path.resolve().name)
    return names if names[0] != names[1] else (str(run.path), str(other.path))


def _suffix(subject: Subject, how: FilmLook, layers: Sequence[int] | None) -> str:
    """What tells the files of different films apart; nothing for those by default."""
    mixing = subject.options.get("mixing", "weighted")
    parts = [mixing] if mixing != "weighted" else []
    parts += [] if subject.options.get("masked", True) else ["unmasked"]
    parts += [how.scaling] if how.scaling != "across_frames" else []
    parts += [f"layers_{'_'.join(map(str, layers))}"] if layers is not None else []
    flags = {"panels": how.panels, "importance": how.importance, "reordered": how.reorder}
    return "".join(f"_{part}" for part in [*parts, *(name for name, on in flags.items() if on)])

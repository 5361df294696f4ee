"""Running all videos of a run, one after the other: what is done is left, what fails is told.

The same call after a kill goes on where it was, and ends with the same bytes as if nothing had
happened.
"""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from regard.errors import DeviceError, MediaError, RegardError, RunError
from regard.runs.about import RUN_JSON, About, read_about
from regard.runs.folder import RunFolder
from regard.runs.job import Job, Source
from regard.runs.journal import Unit
from regard.runs.parts import part_patterns
from regard.runs.reader import is_video, unit_name, video_stem
from regard.runs.results import result_files
from regard.runs.run import Run, open_run

RUN_UNIT = "run"
RESULTS_UNIT = "results"


def counted(count: int, what: str) -> str:
    """A count with its word: "1 video", "2 videos"."""
    return f"{count:,} {what}" + ("" if count == 1 else "s")


class Progress:
    """Is told how far a run is; this one does nothing with it."""

    def start(self, videos: int, frames: int | None) -> None:
        """So many videos are to be run, with so many frames, if all say how many they have."""

    def begin(self, name: str, frames: int | None) -> None:
        """A video begins, which says that it has so many frames."""

    def frame(self, count: int) -> None:
        """So many frames of it have been read."""

    def end(self, name: str, failure: str | None) -> None:
        """A video is done, or has failed."""


@dataclass(frozen=True)
class Outcome:
    """What became of the videos."""

    run: Run
    """The run."""
    failed: Mapping[str, str]
    """Why videos have no result."""
    done_before: int
    """How many were done already."""


Engine = Callable[[Path, Job, Sequence[Source], Progress], Iterator[tuple[Source, Unit | str]]]
"""Runs videos, in any order, and gives for each its unit of work or why it failed."""


def run_videos(
    path: Path,
    about: About,
    job: Job,
    sources: Sequence[Source],
    *,
    engine: Engine | None = None,
    progress: Progress | None = None,
    notify: Callable[[str], None] | None = None,
) -> Outcome:
    """Run a model over videos, and keep its attention in a run.

    Args:
        path: Folder of the run; it is made, or gone on with.
        about: How the run is made; written into it.
        job: What is run.
        sources: The videos.
        engine: What runs them; by default this process, one after the other.
        progress: Is told how far the run is.
        notify: Called with lines for people, such as how much disk the run will take.

    Raises:
        RunError: The folder cannot be written to, is another run's, or the disk is too small.
        FormatError: The journal of the run is damaged.
    """
    told = progress or Progress()
    with RunFolder(path) as folder:
        begin(folder, about)
        waiting = [source for source in sources if folder.unit(unit_name(source.name)) is None]
        _tell_size(path, job, waiting, told, notify)
        failed: dict[str, str] = {}
        for source, outcome in (engine or run_here)(path, job, waiting, told):
            if isinstance(outcome, Unit):
                folder.acknowledge(outcome)
            else:
                folder.clear(part_patterns(video_stem(source.name)))
                failed[source.name] = outcome
        finish(folder, failed)
    return Outcome(open_run(path), failed, len(sources) - len(waiting))


def run_here(
    path: Path, job: Job, sources: Sequence[Source], progress: Progress
) -> Iterator[tuple[Source, Unit | str]]:
    """One video after the other in this process; see `Engine`."""
    for source in sources:
        outcome = attempt(path, job, source, progress)
        yield source, outcome
        progress.end(source.name, None if isinstance(outcome, Unit) else outcome)


def attempt(path: Path, job: Job, source: Source, progress: Progress) -> Unit | str:
    """A video's unit of work, or why it failed; what concerns the whole run is raised."""
    try:
        progress.begin(source.name, _count(job, source))
        return job.run(path, source, progress.frame)
    except (RunError, DeviceError):
        raise
    except RegardError as error:
        return str(error)
    except Exception as error:  # a decoder's bug or a full memory must not cost the other videos
        return f"{type(error).__name__}: {error}"


def _count(job: Job, source: Source) -> int | None:
    count = source.open().frame_count
    return None if count is None else job.wanted.count(count)


def begin(folder: RunFolder, about: About) -> None:
    """Write how a run is made, or check that the run that is there was made so.

    Raises:
        RunError: The folder is another run's, in which videos are done.
    """
    before = read_about(folder.path)
    if before is not None and any(is_video(unit.name) for unit in folder.units):
        about = about.joined_with(before)
    folder.add(RUN_UNIT, [(RUN_JSON, about.to_bytes())])


def finish(folder: RunFolder, failed: Mapping[str, str]) -> None:
    """Sum the run up, with the journal in the order of the videos."""
    run = open_run(folder.path)
    left = {name: failed[name] for name in failed if name not in run.videos}
    files = result_files((run.video(name) for name in run.videos), dict(run.failed) | left)
    folder.add(RESULTS_UNIT, files)
    names = [RUN_UNIT, *map(unit_name, _order(run)), RESULTS_UNIT]
    folder.settle(names)


def _order(run: Run) -> list[str]:
    return [str(video["id"]) for video in run.about["videos"]]


def _tell_size(
    path: Path,
    job: Job,
    sources: Sequence[Source],
    progress: Progress,
    notify: Callable[[str], None] | None,
) -> None:
    """Say what the run will take on the disk; refuse to begin what cannot end."""
    total = frames = 0
    all_say = True
    for source in sources:
        try:
            video = source.open()
        except MediaError:
            continue  # told when its turn comes
        total += job.bytes_of(video)
        frames += job.wanted.count(video.frame_count or 0)
        all_say &= video.frame_count is not None
    progress.start(len(sources), frames if all_say else None)
    free = shutil.disk_usage(path).free
    if total > free:
        raise RunError(
            f"the run needs about {total / 2**20:,.0f} MiB on the disk, and {free / 2**20:,.0f} "
            "MiB are free; make room, keep fewer layers, or keep='maps'"
        )
    if notify is not None and frames:  # of videos that can be read and say how long they are
        what = f"{counted(len(sources), 'video')}, {counted(frames, 'frame')}"
        size = f"about {total / 2**20:,.0f} MiB on the disk ({free / 2**20:,.0f} MiB are free)"
        notify(f"{what}: {size}")

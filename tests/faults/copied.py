"""A run that is made in an instant: what a model would write is copied from a run that it wrote."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

from regard.errors import MediaError
from regard.media.frames import Video
from regard.models.dvis_daq.settings import Settings
from regard.runs import Run
from regard.runs.about import About
from regard.runs.folder import write_sealed
from regard.runs.job import Job, Source
from regard.runs.journal import Unit, latest, read_journal
from regard.runs.reader import unit_name
from regard.runs.run_videos import Outcome, Progress, run_videos


def copy_run(made: Run, out: Path) -> Outcome:
    """Make the run again by everything but the model: the files of each video are written anew."""
    units = latest(read_journal(made.path))

    def engine(
        path: Path, job: Job, sources: Sequence[Source], progress: Progress
    ) -> Iterator[tuple[Source, Unit | str]]:
        for source in sources:
            files = units[unit_name(source.name)].files
            for name in files:
                write_sealed(path, name, (made.path / name).read_bytes())
            yield source, Unit(unit_name(source.name), files)

    sources = [Source(name, _no_video, made.path) for name in made.videos]
    return run_videos(out, about_of(made), cast(Job, None), sources, engine=engine)


def _no_video() -> Video:
    raise MediaError("there is nothing to read")


def about_of(made: Run) -> About:
    """How a run was made, from what it says itself."""
    said = made.about
    settings = dict(said["settings"])
    lists = {name: tuple(value) for name, value in settings.items() if isinstance(value, list)}
    about = About(
        model=said["model"]["name"],
        model_sha256=said["model"]["sha256"],
        settings=Settings(**(settings | lists)),
        keep=said["keep"],
        layers=tuple(said["layers"]),
        frames=said["frames"],
        categories=tuple((entry["id"], entry["name"]) for entry in said["categories"]),
        videos=tuple((video["id"], video["source"]) for video in said["videos"]),
    )
    return replace(about, dataset=said["dataset"]["name"], dataset_sha256=said["dataset"]["sha256"])

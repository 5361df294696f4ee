"""Sum up a run over videos: `regard.summarize`."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from regard.datasets.ytvis_tracks import read_truth
from regard.runs import Run, open_run
from regard.runs.about import RUN_JSON
from regard.runs.choice import Choice
from regard.runs.folder import RunFolder, write_sealed
from regard.summaries.regions import read_regions
from regard.summaries.run_summary import RunSummary

SUMMARY_UNIT = "summary"
"""The unit of work in the journal of a run that vouches for its summary."""

Source = str | os.PathLike[str] | Run


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What a run says; written into it."""

    content: Mapping[str, Any] = field(repr=False)
    """As ``inference/summary.json`` holds it."""
    written: tuple[Path, ...]
    """Its files."""

    @property
    def not_available(self) -> Mapping[str, Mapping[str, Any]]:
        """What is missing: the first ``reason``, and what it is missing ``of``."""
        found: Mapping[str, Mapping[str, Any]] = self.content["not_available"]
        return found


def summarize(
    run: Source,
    *,
    annotations: str | os.PathLike[str] | None = None,
    against: Source | None = None,
    regions: str | os.PathLike[str] | None = None,
    choice: Choice | None = None,
    share: float = 0.75,
    max_frames: int | None = None,
    permutations: int = 10_000,
    seed: int = 42,
    plots: bool = True,
    on_video: Callable[[str], None] | None = None,
) -> Summary:
    """Sum up what a run recorded, and write it into the run.

    Args:
        run: Folder of a run, ours or of the DVIS attention pipeline, or the opened run.
        annotations: Annotated YTVIS file of the videos: frames of objects, which instance is
            which object, attention inside of objects.
        against: Another run over the same videos, which importance is compared with.
        regions: File of named regions; see `regard.summaries.regions`.
        choice: Which instances and object queries; by default the best instance of each video.
        share: Share of importance that the frames of the CSV file hold together.
        max_frames: Most frames of a video in the CSV file.
        permutations: How many are made for a comparison.
        seed: Of the permutations.
        plots: Whether to draw.
        on_video: Called with the name of each video when its turn comes.

    Raises:
        FormatError: A file that is damaged, or does not fit the run.
        SelectionError: Nothing fits the choice; the runs share no video.
        RunError: The run cannot be written to.
        MediaError: There is no such folder.
    """
    own = run if isinstance(run, Run) else open_run(run)
    truth = None if annotations is None else read_truth(annotations)
    named = [] if regions is None else read_regions(Path(regions))
    chosen = choice or Choice()
    chosen.check([own.video(name) for name in own.videos])
    summary = RunSummary(own, chosen, truth, named, draws=plots)
    for name in own.videos:
        if on_video is not None:
            on_video(name)
        summary.add(own.video(name))
    if against is not None:
        other = against if isinstance(against, Run) else open_run(against)
        summary.compare(other, permutations=permutations, seed=seed)
    summary.finish(share, max_frames)
    _write(own.path, summary.files)
    written = tuple(own.path / name for name in summary.files)
    return Summary(content=summary.content, written=written)


def _write(run: Path, files: Mapping[str, bytes]) -> None:
    """Write into a run; one of ours vouches for the files in its journal."""
    if (run / RUN_JSON).is_file():
        with RunFolder(run) as folder:
            folder.add(SUMMARY_UNIT, files.items())
        return
    for name, data in files.items():
        write_sealed(run, name, data)

"""Opening the folder of a run: ours, or one that the DVIS attention pipeline made."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from regard.errors import FormatError, MediaError, SelectionError
from regard.runs.recorded_video import RecordedVideo, VideoContent


@dataclass(frozen=True, eq=False)
class Run:
    """What a run over videos left; nothing heavy is read before it is asked for."""

    path: Path
    """Its folder."""
    categories: dict[int, str]
    """Names of the classes, as the dataset numbers them."""
    videos: tuple[str, ...]
    """Names of the videos that are done, in the order of the dataset."""
    failed: dict[str, str]
    """Why each of the others has no result."""
    about: Mapping[str, Any] = field(repr=False)
    """How it was made: model, settings, versions; empty where the folder does not say."""
    _read: Any = field(repr=False)

    def video(self, name: str | int) -> RecordedVideo:
        """One of `videos`.

        Raises:
            SelectionError: There is no such video, or it has no result.
        """
        name = str(name)
        if name in self.failed:
            raise SelectionError(f"video {name!r} of {self.path} failed: {self.failed[name]}")
        if name not in self.videos:
            few = ", ".join(self.videos[:12]) + (", ..." if len(self.videos) > 12 else "")
            raise SelectionError(f"{self.path} has no video {name!r}; it has {few or 'none yet'}")

        def load() -> VideoContent:
            content: VideoContent = self._read(name)
            return content

        return RecordedVideo(name, load)


def open_run(path: str | os.PathLike[str], *, short_side_px: int = 480) -> Run:
    """The run in a folder.

    Args:
        path: Folder that `regard run` or `regard video` wrote, or one of the DVIS attention
            pipeline with its ``attention_maps`` and ``inference`` folders.
        short_side_px: Short side that frames were resized to, for folders that do not say it.

    Raises:
        MediaError: There is no such folder.
        FormatError: It is no run, or is damaged.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise MediaError(f"{str(folder)!r} is no folder; expected that of a run")
    if (folder / "run.json").is_file():
        from regard.runs.reader import open_ours

        return open_ours(folder)
    if (folder / "inference" / "results_temporal.json").is_file():
        from regard.runs.npz_reader import open_npz

        return open_npz(folder, short_side_px)
    raise FormatError(
        f"{str(folder)!r} is no run: it has neither run.json nor inference/results_temporal.json"
    )

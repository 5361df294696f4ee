"""Where figures go: into the run that they are of, with a line in its journal, or elsewhere."""

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from PIL import Image

from regard.atomic import write_atomically
from regard.errors import MediaError
from regard.media.animation import write_animation
from regard.runs import Run
from regard.runs.folder import RunFolder
from regard.runs.journal import Seal, Unit


class Room:
    """A folder that figures are written into, each whole or not at all. Use it in a ``with``.

    Args:
        run: The run that they are of.
        out: Another folder; by default they go into the run's own.

    Raises:
        RunError: The run cannot be written to, or somebody else is writing into it.
        MediaError: The other folder cannot be made.
    """

    def __init__(self, run: Run, out: str | os.PathLike[str] | None = None) -> None:
        self._folder = Path(run.path if out is None else out)
        has_journal = out is None and (run.path / "run.json").is_file()
        self._run = RunFolder(run.path) if has_journal else None

    def write(self, figure: str, files: Iterable[tuple[str, bytes]]) -> list[Path]:
        """Write the files of a figure, by path in the folder; gives where they are.

        Args:
            figure: What it is, for the journal; a figure made again takes the place of the former.
            files: Paths and contents.
        """
        if self._run is not None:
            content = list(files)
            self._run.add(figure, content)
            return [self._folder / name for name, _ in content]
        written = []
        for name, data in files:
            with _told(self._folder / name):
                write_atomically(self._made(name), data)
            written.append(self._folder / name)
        return written

    def film(self, figure: str, name: str, frames: Iterable[Image.Image], fps: float) -> Path:
        """Write frames as a moving picture, one after the other as they are made.

        Args:
            figure: As for `write`.
            name: Path in the folder; its ending says the kind.
            frames: See `write_animation`.
            fps: Frames a second.
        """
        path = self._made(name)
        write_animation(path, frames, fps=fps)
        if self._run is not None:
            self._run.acknowledge(Unit(figure, {name: Seal.of_file(path)}))
        return path

    def close(self) -> None:
        """Let others write."""
        if self._run is not None:
            self._run.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _made(self, name: str) -> Path:
        """The file's path; its folder is made."""
        path = self._folder / name
        with _told(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        return path


def file_name(video: str) -> str:
    """A video's name as that of a folder or file: nothing in it leads elsewhere."""
    return re.sub(r"[^\w.-]", "_", video).lstrip(".") or "video"


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Whatever the disk refuses is one error that names the file."""
    try:
        yield
    except OSError as error:
        raise MediaError(f"cannot write {str(path)!r}: {error.strerror or error}") from error

"""Where figures go: into the run that they are of, with a line in its journal, or elsewhere."""

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image

from regard.atomic import write_atomically
from regard.closing import Closing
from regard.errors import MediaError
from regard.media.animation import write_animation
from regard.runs import Run
from regard.runs.folder import RunFolder


class Room(Closing):
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

    def made(self, figure: str, how: Mapping[str, Any]) -> list[Path]:
        """Files of a figure that is there already and was made with the same choices; else none.

        Only runs remember how; elsewhere everything is made anew.
        """
        if self._run is None or not self._run.is_done(figure, how):
            return []
        unit = self._run.unit(figure)
        paths = [self._folder / name for name in (unit.files if unit else ())]
        return paths if all(path.is_file() for path in paths) else []

    def write(
        self, figure: str, files: Iterable[tuple[str, bytes]], how: Mapping[str, Any]
    ) -> list[Path]:
        """Write the files of a figure; gives where they are.

        Args:
            figure: What it is, for the journal; a figure made again takes the place of the former.
            files: Paths in the folder, and contents.
            how: Choices that it was made with: numbers, words and lists.
        """
        content = list(files)
        if self._run is not None:
            self._run.add(figure, content, how)
            return [self._folder / name for name, _ in content]
        for name, data in content:
            path = self._made(name)
            with _told(path):
                write_atomically(path, data)
        return [self._folder / name for name, _ in content]

    def film(
        self,
        figure: str,
        name: str,
        frames: Iterable[Image.Image],
        fps: float,
        how: Mapping[str, Any],
    ) -> Path:
        """Write frames as a moving picture, one after the other as they are made.

        Args:
            figure: As for `write`.
            name: Path in the folder; its ending says the kind.
            frames: See `write_animation`.
            fps: Frames a second.
            how: As for `write`.
        """
        path = self._made(name)
        if self._run is not None:
            self._run.withdraw(figure)
        write_animation(path, frames, fps=fps)
        if self._run is not None:
            self._run.vouch(figure, [name], how)
        return path

    def close(self) -> None:
        """Let others write."""
        if self._run is not None:
            self._run.close()

    def _made(self, name: str) -> Path:
        """The file's path; its folder is made."""
        path = self._folder / name
        with _told(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        return path


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Whatever the disk refuses is one error that names the file."""
    try:
        yield
    except OSError as error:
        raise MediaError(f"cannot write {str(path)!r}: {error.strerror or error}") from error

"""How far a run over videos is: a bar on a terminal, a line now and then in a pipe."""

import sys
import time
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars
from rich.text import Text

from regard.cli.terminal import complain, plain
from regard.runs.run_videos import Progress

SECONDS_BETWEEN_LINES = 30.0


class RunProgress(Progress):
    """Counts the frames of a run. Use it in a ``with``."""

    def __init__(self) -> None:
        console = Console(stderr=True, markup=False)
        self._bars = Bars(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("frames"),
            _Rate(),
            TimeRemainingColumn(compact=True),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bars.add_task("", total=None)
        self._videos = self._number = self._before = self._now = 0
        self._said = time.monotonic()

    def start(self, videos: int, frames: int | None) -> None:
        """So many videos are to be run."""
        self._videos = videos
        self._bars.reset(self._task, total=frames)

    def begin(self, name: str, frames: int | None) -> None:
        """A video begins."""
        self._number += 1
        self._before += self._now
        self._now = 0
        of_all = f" ({self._number} of {self._videos})" if self._videos > 1 else ""
        self.say(f"{name}{of_all}")

    def frame(self, count: int) -> None:
        """So many frames of it have been read."""
        self._now = count
        self._bars.update(self._task, completed=self._before + count)
        if not sys.stderr.isatty() and time.monotonic() - self._said > SECONDS_BETWEEN_LINES:
            self._said = time.monotonic()
            complain(f"video {self._number} of {self._videos}, frame {count}")

    def end(self, name: str, failure: str | None) -> None:
        """A video is done, or has failed."""
        if failure is not None:
            complain(f"video {name}: {failure}")

    def say(self, words: str) -> None:
        """Show what is going on."""
        self._bars.update(self._task, description=plain(words))

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()


class _Rate(ProgressColumn):
    """Frames a second."""

    def render(self, task: Task) -> Text:
        """The column of a task."""
        return Text("" if task.speed is None else f"{task.speed:.3g}/s")

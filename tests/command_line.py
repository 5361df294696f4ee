"""Running the command line in a process of its own, in a pipe or on a terminal."""

import os
import pty
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

SOURCE = Path(__file__).parents[1] / "src"
PROGRAM = [sys.executable, "-W", "error", "-c", "from regard.cli import main; main()"]


@dataclass(frozen=True)
class Done:
    """What a command left: its exit code, and what it said."""

    code: int
    out: str
    err: str


Run = Callable[..., Done]


def environment(**changes: str) -> dict[str, str]:
    """What a process needs to find the package, and nothing that colours or widens."""
    unwanted = ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE")
    kept = {name: value for name, value in os.environ.items() if name not in unwanted}
    return {**kept, "PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1", **changes}


def on_terminal(*arguments: str, stdout: int | None = None, **changes: str) -> Done:
    """A command that runs on a terminal of 80 columns; its stdout may go elsewhere."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [*PROGRAM, *arguments],
        stdin=theirs,
        stdout=theirs if stdout is None else stdout,
        stderr=theirs,
        env=environment(COLUMNS="80", TERM="xterm", **changes),
    ) as process:
        os.close(theirs)
        screen = b"".join(iter(lambda: _read(ours), b""))
    os.close(ours)
    return Done(process.returncode, screen.decode(), "")


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # Linux says so when the other end is closed
        return b""


def noisy_photo(path: Path, width: int = 60, height: int = 40) -> Path:
    """The path, now of a small noisy photo."""
    pixels = np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path

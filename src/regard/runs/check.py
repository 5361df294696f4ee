"""Whether every byte of a run is as it was written."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from regard.errors import FormatError, MediaError
from regard.runs.journal import JOURNAL, difference, read_journal, sealed_files


@dataclass(frozen=True)
class Checked:
    """What is known of one file."""

    name: str
    """Path in the run."""
    problem: str | None
    """What is wrong with it; ``None`` if it is whole."""
    size_bytes: int
    """What it must have; 0 for files that do not belong there."""


def check_run(run: Path) -> Iterator[Checked]:
    """Read every file of a run once, and compare it with the journal.

    Raises:
        MediaError: There is no such folder.
        FormatError: It has no journal, or a damaged one.
    """
    if not run.is_dir():
        raise MediaError(f"{str(run)!r} is no folder; expected that of a run")
    if not (run / JOURNAL).is_file():
        raise FormatError(
            f"{str(run)!r} has no journal ({JOURNAL}), so nobody knows what its files must be; "
            "only runs that regard wrote can be checked"
        )
    files = sealed_files(read_journal(run))
    for name, seal in files.items():
        yield Checked(name, difference(run / name, seal), seal.size_bytes)
    there = (path.relative_to(run).as_posix() for path in sorted(run.rglob("*")) if path.is_file())
    for name in there:
        if name not in files and name != JOURNAL:
            yield Checked(name, _foreign(name), 0)


def _foreign(name: str) -> str:
    if Path(name).name.startswith(".regard-"):
        return "is the trace of a kill; the next command that writes into the run removes it"
    return "does not belong to the run: no unit of work that is done has left it"

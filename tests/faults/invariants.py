"""What must hold for a run at any instant, whatever was done to the process that writes it."""

from pathlib import Path

from regard.runs import open_run
from regard.runs.check import check_run
from regard.runs.journal import JOURNAL, latest, read_journal, sealed_files


def assert_nothing_is_lost(run: Path, before: set[str]) -> set[str]:
    """The units that the journal vouches for now: all of those before, and every one is whole."""
    if not (run / JOURNAL).is_file():
        assert not before
        return set()
    acknowledged = set(latest(read_journal(run)))
    assert before <= acknowledged
    files = sealed_files(read_journal(run))
    broken = [found for found in check_run(run) if found.problem and found.name in files]
    assert not broken
    if "run" in acknowledged:
        opened = open_run(run)
        for name in opened.videos:
            assert opened.video(name).instances is not None
    return acknowledged


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}

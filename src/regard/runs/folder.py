"""Writing into the folder of a run, so that a kill at any instant loses nothing that is done.

Files of a unit are written beside their place, reach the disk and take their place; then the
journal says so. What has no line in the journal is done again.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from regard.atomic import Content, pieces_of, sync_folder, write_atomically
from regard.closing import Closing
from regard.errors import RunError
from regard.runs.journal import (
    JOURNAL,
    Seal,
    Unit,
    append,
    difference,
    latest,
    read_journal,
    sealed_files,
    whole_bytes,
)

IS_POSIX = os.name == "posix"  # elsewhere two writers are not told apart
if IS_POSIX:
    import fcntl

FOLDERS = ("inference", "attention_maps", "plots", "videos")
"""Rooms of a run."""


class RunFolder(Closing):
    """The one writer of a run; a second one is refused. Use it in a ``with``.

    Args:
        path: The folder; it is made.

    Raises:
        RunError: It cannot be made or written to, or somebody else is writing into it.
        FormatError: Its journal is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._folder = self._journal = -1
        self._replaced: dict[str, tuple[str, ...]] = {}  # files of units that were withdrawn
        try:
            for name in FOLDERS:
                (path / name).mkdir(parents=True, exist_ok=True)
            self._folder = os.open(path, os.O_RDONLY) if IS_POSIX else -1
            self._lock()
            self._journal = self._open_journal()
            self._repair()
            self._units = self._known()
        except BaseException as error:
            self.close()
            if isinstance(error, OSError) and not isinstance(error, RunError):
                raise _unwritable(path, error) from error
            raise

    def unit(self, name: str) -> Unit | None:
        """A unit of work; ``None`` if it is not done."""
        return self._units.get(name)

    @property
    def units(self) -> tuple[Unit, ...]:
        """All that are done, in the order of the journal."""
        return tuple(self._units.values())

    def write(self, name: str, data: bytes) -> Seal:
        """Put a file into the run; a unit that is added later vouches for it.

        Args:
            name: Path in the run.
            data: Its content.
        """
        return write_sealed(self.path, name, data)

    def add(
        self, unit: str, files: Iterable[tuple[str, bytes]], how: Mapping[str, Any] | None = None
    ) -> None:
        """Write the files of a unit, then say in the journal that it is done.

        A unit that is done again takes the place of its former self; where nothing differs, the
        journal stays as it is.

        Args:
            unit: Its name, such as "plots 12".
            files: (path in the run, content) of each; one is held at a time.
            how: Choices that the files depend on, of numbers, words and lists; `is_done` compares
                them.
        """
        seals = {name: self._renew(unit, name, data) for name, data in files}
        self.acknowledge(Unit(unit, seals, dict(how or {})))

    def _renew(self, unit: str, name: str, data: bytes) -> Seal:
        """Write a file of a unit, unless it is there with the same bytes."""
        former, seal = self.unit(unit), Seal.of(data)
        if former is not None and name in former.files:
            if former.files[name] == seal and difference(self.path / name, seal) is None:
                return seal
            self.withdraw(unit)
        return self.write(name, data)

    def withdraw(self, unit: str) -> None:
        """Say in the journal, before a file of a unit is replaced, that the unit is not done.

        A kill between the two would otherwise leave files that are not what the journal says.
        """
        if (former := self._units.get(unit)) is None:
            return
        self._append(Unit(unit, {}, is_done=False))
        self._replaced[unit] = tuple(former.files)
        del self._units[unit]

    def vouch(self, unit: str, names: Iterable[str], how: Mapping[str, Any] | None = None) -> None:
        """Say in the journal that a unit is done whose files are there, such as films.

        They must have been written atomically, as `regard.atomic` does, and the unit withdrawn
        before if it was done.

        Args:
            unit: Its name.
            names: Paths of its files in the run.
            how: As for `add`.
        """
        seals = {name: Seal.of_file(self.path / name) for name in names}
        self.acknowledge(Unit(unit, seals, dict(how or {})))

    def is_done(self, unit: str, how: Mapping[str, Any] | None = None) -> bool:
        """Whether a unit is done, and was made with these choices."""
        found = self.unit(unit)
        return found is not None and found.how == dict(how or {})

    def acknowledge(self, unit: Unit) -> None:
        """Say in the journal that a unit is done whose files are written."""
        if self._units.get(unit.name) == unit:
            return
        before = self._units.get(unit.name)
        replaced = self._replaced.pop(unit.name, ()) if before is None else tuple(before.files)
        self._append(unit)
        self._units[unit.name] = unit
        self._remove(path for path in replaced if path not in unit.files)

    def clear(self, patterns: Iterable[str]) -> None:
        """Remove files that no unit vouches for, such as the first parts of a video that failed.

        Args:
            patterns: Globs of paths in the run.
        """
        known = {path for unit in self._units.values() for path in unit.files}
        paths = (path for pattern in patterns for path in self.path.glob(pattern))
        found = (path.relative_to(self.path).as_posix() for path in paths)
        self._remove(path for path in sorted(found) if path not in known)

    def settle(self, order: Sequence[str]) -> None:
        """Bring the journal into order: one line a unit, those named first, in this order.

        A run that was interrupted, or ran on several machines, ends with the same journal as one
        that was not.
        """
        place = {name: index for index, name in enumerate(order)}
        units = sorted(self._units.values(), key=lambda unit: place.get(unit.name, len(place)))
        content = b"".join(unit.line() for unit in units)
        if content == (self.path / JOURNAL).read_bytes():
            return
        self.write(JOURNAL, content)
        os.close(self._journal)
        self._journal = self._open_journal()
        self._units = {unit.name: unit for unit in units}

    def close(self) -> None:
        """Let others write."""
        for handle in (self._journal, self._folder):
            if handle >= 0:
                os.close(handle)

    def _append(self, unit: Unit) -> None:
        try:
            append(self._journal, unit)
        except OSError as error:
            raise _unwritable(self.path, error) from error

    def _open_journal(self) -> int:
        return os.open(self.path / JOURNAL, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)

    def _remove(self, paths: Iterable[str]) -> None:
        for path in paths:
            (self.path / path).unlink(missing_ok=True)

    def _lock(self) -> None:
        if not IS_POSIX:
            return
        try:
            fcntl.flock(self._folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise RunError(
                f"another program is writing into the run {str(self.path)!r}; wait for it, or "
                "choose another folder"
            ) from error

    def _repair(self) -> None:
        """Cut off a line that was cut short, and remove what a kill left half written."""
        content = (self.path / JOURNAL).read_bytes()
        if whole_bytes(content) != len(content):
            os.ftruncate(self._journal, whole_bytes(content))
            os.fsync(self._journal)
        if not content:
            sync_folder((self.path / JOURNAL).parent)
        for left in self.path.rglob(".regard-*.tmp"):
            left.unlink(missing_ok=True)

    def _known(self) -> dict[str, Unit]:
        """The units that are done; files of their former selves are removed."""
        lines = read_journal(self.path)
        now, done = sealed_files(lines), latest(lines)
        former = (unit for unit in lines if unit.name in done)
        self._remove({path for unit in former for path in unit.files if path not in now})
        return done


def write_sealed(run: Path, name: str, content: Content) -> Seal:
    """Put a file into a run and give what it must be from now on.

    Raises:
        RunError: The disk is full, or the folder is missing or not writable.
    """
    try:
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        write_atomically(run / name, content)
    except OSError as error:
        size = sum(map(len, pieces_of(content)))
        raise _unwritable(run, error, name, size) from error
    return Seal.of(content)


def _unwritable(run: Path, error: OSError, name: str = "", size_bytes: int = 0) -> RunError:
    what = f"{name} ({size_bytes:,} bytes) " if name else ""
    return RunError(
        f"cannot write {what}into the run {str(run)!r}: {error.strerror or error}; what is done is "
        "kept, and the same command goes on from there"
    )

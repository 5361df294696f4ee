"""The journal of a run: which units of work are done, and the checksum of every file they left.

It is only ever appended to. A line is its own checksum (CRC-32), a space, and JSON; it is written
after the files that it names have reached the disk, so what it says is there. A line without its
end is the trace of a kill and counts as not written.
"""

import hashlib
import json
import os
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from regard.atomic import Content, pieces_of
from regard.errors import FormatError

JOURNAL = "attention_maps/journal.txt"
"""Where it lies in a run."""

_CHUNK_BYTES = 2**20


@dataclass(frozen=True)
class Seal:
    """What a file must be."""

    size_bytes: int
    sha256: str

    @classmethod
    def of(cls, content: Content) -> "Seal":
        """Of what a file will hold."""
        digest, size = hashlib.sha256(), 0
        for piece in pieces_of(content):
            digest.update(piece)
            size += len(piece)
        return cls(size, digest.hexdigest())

    @classmethod
    def of_file(cls, path: Path) -> "Seal":
        """Of what a file holds now, read in pieces."""
        digest, size = hashlib.sha256(), 0
        with path.open("rb") as file:
            while piece := file.read(_CHUNK_BYTES):
                digest.update(piece)
                size += len(piece)
        return cls(size, digest.hexdigest())


@dataclass(frozen=True)
class Unit:
    """A unit of work that is done."""

    name: str
    """Such as "video 12"."""
    files: dict[str, Seal]
    """Its files, by path in the run."""
    how: dict[str, Any] = field(default_factory=dict)
    """Choices that its files depend on, besides those of the run."""
    is_done: bool = True
    """False takes back what was said of the unit before: its files are about to be replaced."""

    def line(self) -> bytes:
        """Its line in the journal."""
        files = {path: [seal.size_bytes, seal.sha256] for path, seal in self.files.items()}
        words: dict[str, Any] = {"unit": self.name, "files": files}
        words |= {"how": self.how} if self.how else {}
        words |= {} if self.is_done else {"is_done": False}
        body = json.dumps(words).encode()
        return b"%08x %s\n" % (zlib.crc32(body), body)


def read_journal(run: Path) -> list[Unit]:
    """The units of a run, in the order in which they were done; none where there is no journal.

    Raises:
        FormatError: A line is damaged; the message names it.
    """
    path = run / JOURNAL
    if not path.is_file():
        return []
    return [_unit(path, number, line) for number, line in enumerate(_lines(path.read_bytes()), 1)]


def latest(units: Iterable[Unit]) -> dict[str, Unit]:
    """The last word on each unit that is done, in the order of their first."""
    found: dict[str, Unit] = {}
    for unit in units:
        found[unit.name] = unit
    return {name: unit for name, unit in found.items() if unit.is_done}


def sealed_files(units: Iterable[Unit]) -> dict[str, Seal]:
    """Every file that the run must have."""
    return {path: seal for unit in latest(units).values() for path, seal in unit.files.items()}


def difference(path: Path, seal: Seal | None) -> str | None:
    """In what a file differs from what it must be; ``None`` if it is whole."""
    if seal is None:
        return "is not in the journal"
    try:
        size = path.stat().st_size
        if size != seal.size_bytes:
            word = "cut short" if size < seal.size_bytes else "too long"
            return f"is {word}: {size:,} bytes, expected {seal.size_bytes:,}"
        found = Seal.of_file(path)
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
    return None if found == seal else "is changed: its checksum does not fit"


def whole_bytes(content: bytes) -> int:
    """Length of the journal without a line that was cut short."""
    return content.rfind(b"\n") + 1


def append(handle: int, unit: Unit) -> None:
    """Add a line to an open journal; it is on the disk when this returns."""
    line = unit.line()
    written = os.write(handle, line)
    if written != len(line):
        raise OSError(f"{written} of {len(line)} bytes of a line were written")
    os.fsync(handle)


def _lines(content: bytes) -> list[bytes]:
    return content[: whole_bytes(content)].splitlines()


def _unit(path: Path, number: int, line: bytes) -> Unit:
    checksum, _, body = line.partition(b" ")
    try:
        if int(checksum, 16) != zlib.crc32(body) or len(checksum) != 8:
            raise ValueError("its checksum does not fit")
        content = json.loads(body)
        files = {
            str(name): Seal(int(size), str(sha)) for name, (size, sha) in content["files"].items()
        }
        how, is_done = dict(content.get("how", {})), bool(content.get("is_done", True))
        return Unit(str(content["unit"]), files, how, is_done)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FormatError(
            f"{path}, line {number}: damaged ({error}); the files of this run cannot be told to be "
            "whole, run it again into another folder"
        ) from error

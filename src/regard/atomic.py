"""Files that appear whole or not at all."""

import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

Content = bytes | Sequence[bytes | memoryview]
"""What a file holds: bytes, or pieces of bytes, one after the other."""


def pieces_of(content: Content) -> Sequence[bytes | memoryview]:
    """The pieces; bytes are a single one."""
    return [content] if isinstance(content, bytes) else content


def write_atomically(path: str | os.PathLike[str], content: Content) -> None:
    """Put it under ``path``: afterwards the old file is there or the new one, never a part.

    Raises:
        OSError: The folder is missing or not writable, the disk is full.
    """
    with written_atomically(path) as file:
        file.writelines(pieces_of(content))


@contextmanager
def written_atomically(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A file to write to, which takes its place under ``path`` when the ``with`` ends well.

    The bytes go to a new file in the same folder (exclusive, so a planted link is not followed;
    mode by the umask), reach the disk, and are renamed over ``path``. Whatever fails, the
    temporary file is removed.

    Raises:
        OSError: The folder is missing or not writable, the disk is full.
    """
    target = Path(path)
    temporary = target.parent / f".regard-{secrets.token_hex(8)}.tmp"
    handle = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        with os.fdopen(handle, "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(target.parent)


def sync_folder(folder: Path) -> None:
    """Make the rename itself survive a power cut, where folders can be opened (not Windows)."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

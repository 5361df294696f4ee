"""The folder where converted weights are kept, written so that a half-made entry is never seen."""

import contextlib
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from regard.atomic import sync_folder
from regard.errors import CheckpointError


def cache_folder() -> Path:
    """``$REGARD_CACHE``, else ``$XDG_CACHE_HOME/regard``, else ``~/.cache/regard``."""
    if chosen := os.environ.get("REGARD_CACHE"):
        return Path(chosen).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "regard"


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def new_folder(final: Path) -> Iterator[Path]:
    """A fresh folder to write into, which becomes ``final`` at the end of the ``with``.

    It lies beside ``final``, so it appears by one rename: readers see the whole entry or none.
    Where several processes write the same entry, the first one stands. After an exception
    nothing is left of it.

    Raises:
        CheckpointError: The folder cannot be written; names it and the way out.
    """
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        draft = _sibling(final, "new")
        draft.mkdir()
    except OSError as error:
        raise CheckpointError(_cannot_write(final, error)) from error
    try:
        yield draft
        _flush(draft)
        _put_in_place(draft, final)
    except OSError as error:
        raise CheckpointError(_cannot_write(final, error)) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def discard_folder(folder: Path) -> None:
    """Remove an entry; it disappears at once, whole, though deleting its files takes longer."""
    retired = _sibling(folder, "old")
    with contextlib.suppress(FileNotFoundError):
        folder.rename(retired)
    shutil.rmtree(retired, ignore_errors=True)


def _put_in_place(draft: Path, final: Path) -> None:
    try:
        draft.rename(final)
    except OSError:
        if not final.exists():
            raise
        return  # another process was first
    sync_folder(final.parent)


def _flush(folder: Path) -> None:
    for path in folder.iterdir():
        with path.open("rb+") as file:
            os.fsync(file.fileno())
    sync_folder(folder)


def _sibling(final: Path, role: str) -> Path:
    return final.with_name(f".{final.name}.{role}-{secrets.token_hex(8)}")


def _cannot_write(folder: Path, error: OSError) -> str:
    return (
        f"cannot write {folder}: {error}; "
        "set REGARD_CACHE to a folder with 200 MB free that you may write to"
    )

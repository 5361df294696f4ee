"""Folders for what is made of photos: one each, with a name that any file system takes."""

import os
from collections.abc import Sequence
from pathlib import Path

from regard.errors import MediaError
from regard.file_names import distinct, safe_name


def folders(photos: Sequence[Path], out: Path) -> list[Path]:
    """A folder of its own in ``out`` for each photo, named after it.

    Names that are the same, or that some file system takes for the same, get a number.
    """
    return [out / name for name in distinct([folder_name(photo) for photo in photos])]


def folder_name(photo: Path) -> str:
    """The photo's name without its ending, as one that is safe everywhere; see `safe_name`."""
    return safe_name(photo.stem, otherwise="photo")


def require_folder(out: Path) -> None:
    """Refuse, before any work is done, a folder that cannot be made or written to.

    Raises:
        MediaError: A file is in its place, or it is not writable.
    """
    there = next(path for path in (out, *out.absolute().parents) if os.path.lexists(path))
    if not there.is_dir():
        raise MediaError(f"--out {str(out)!r}: {str(there)!r} is no folder; choose another one")
    if not os.access(there, os.W_OK | os.X_OK):
        raise MediaError(f"--out {str(out)!r}: {str(there)!r} is not writable; choose another one")

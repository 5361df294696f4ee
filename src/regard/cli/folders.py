"""Folders for what is made of photos: one each, with a name that any file system takes."""

import os
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from regard.errors import MediaError

NAME_BYTES = 100
"""Longest name of a folder; file systems take 255, and names of files follow."""


def folders(photos: Sequence[Path], out: Path) -> list[Path]:
    """A folder of its own in ``out`` for each photo, named after it.

    Names that are the same, or that some file system takes for the same, get a number.
    """
    taken: set[str] = set()
    result = []
    for photo in photos:
        name = first = folder_name(photo)
        number = 1
        while name.casefold() in taken:
            number += 1
            name = f"{first}-{number}"
        taken.add(name.casefold())
        result.append(out / name)
    return result


def folder_name(photo: Path) -> str:
    """The photo's name without its ending, as one that is safe everywhere.

    Letters of every script stay. What has a meaning to a shell or a file system becomes "_".
    """
    stem = unicodedata.normalize("NFC", photo.stem)
    shown = "".join(c if c.isprintable() else "_" for c in stem)
    name = re.sub(r'[<>:"/\\|?*]', "_", shown).encode()[:NAME_BYTES].decode(errors="ignore")
    return name.lstrip(" .-").rstrip(" .") or "photo"


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

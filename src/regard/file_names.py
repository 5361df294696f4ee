"""Names of files and folders that any file system and shell takes."""

import re
import unicodedata

NAME_BYTES = 100
"""Longest name; file systems take 255, and endings follow."""


def safe_name(text: str, *, otherwise: str) -> str:
    """A text as a name: letters of every script stay.

    What has a meaning to a shell or a file system becomes "_"; ``otherwise`` is for a text of which
    nothing stays.
    """
    composed = unicodedata.normalize("NFC", text)
    shown = "".join(c if c.isprintable() else "_" for c in composed)
    name = re.sub(r'[<>:"/\\|?*]', "_", shown).encode()[:NAME_BYTES].decode(errors="ignore")
    return name.lstrip(" .-").rstrip(" .") or otherwise


def distinct(names: list[str]) -> list[str]:
    """The same names, a number behind those that some file system takes for one before."""
    taken: set[str] = set()
    result = []
    for first in names:
        name, number = first, 1
        while name.casefold() in taken:
            number += 1
            name = f"{first}-{number}"
        taken.add(name.casefold())
        result.append(name)
    return result

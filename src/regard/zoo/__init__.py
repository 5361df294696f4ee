"""A zoo of small models with random weights: what recording does, one by one.

One room is one module with `ENTRIES`, one line a model. `examine` runs an entry: every softmax
that torch runs is accounted for, every recorded weight is checked against the model's own output,
outputs keep every bit, and nothing is left behind.
"""

from fnmatch import fnmatchcase
from importlib import import_module
from typing import TYPE_CHECKING

from regard.errors import SelectionError

if TYPE_CHECKING:
    from regard.zoo.entry import Entry

ROOMS = {
    "image_encoders": "Image encoders",
    "video_encoders": "Video encoders",
    "dense": "Depth, matting, pose, matching",
    "detection": "Detection",
    "segmentation": "Segmentation",
    "image_text": "Image-text encoders",
    "captioning": "Captioning and reading",
    "vision_language": "Vision-language models",
    "diffusion": "Diffusion (diffusers)",
    "vision_libraries": "timm and torchvision",
    "handwritten": "torch and written by hand",
}
"""Modules of the zoo, with their titles."""


def room(name: str) -> "tuple[Entry, ...]":
    """The entries of one room."""
    entries: tuple[Entry, ...] = import_module(f"regard.zoo.{name}").ENTRIES
    return entries


def find(pattern: str = "*") -> "dict[str, list[Entry]]":
    """Entries whose name matches a glob, or that hold the pattern as a word, by their room.

    Raises:
        SelectionError: There is none.
    """
    found = {name: [e for e in room(name) if _matches(e.name, pattern)] for name in ROOMS}
    if not any(found.values()):
        raise SelectionError(
            f"no architecture of the zoo matches {pattern!r}; a glob such as 'swin*' does, and "
            "`regard zoo --list` prints all names"
        )
    return {name: entries for name, entries in found.items() if entries}


def named(name: str) -> "Entry":
    """The entry of this name.

    Raises:
        SelectionError: There is none.
    """
    for found in (e for name_of_room in ROOMS for e in room(name_of_room)):
        if found.name == name:
            return found
    raise SelectionError(f"no architecture of the zoo is called {name!r}")


def _matches(name: str, pattern: str) -> bool:
    return fnmatchcase(name, pattern) or pattern in name.split()

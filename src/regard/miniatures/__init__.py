"""Small trained models of every family, shipped with the package.

Each is a folder of this package: ``config.json``, ``model.safetensors`` in float16, and a model
card ``README.md``; a system of several networks has a subfolder for each. They are trained on
generated scenes (`regard.datasets.shapes`, `regard.datasets.solids`) by the scripts in
``training/``, so that every system shows something true on a machine without a hub.
"""

from pathlib import Path

from regard.errors import ModelNotFound

WEIGHTS_SHA256: dict[str, str] = {
    "mini-aoanet": "c3290a245f63ef8498729d1812b063c7e78ebed4a7af10aaaa29e245a749efba",
    "mini-detr": "8afb43f1d8305c8ad0fbf4303e36b38ffb282857eb54d876a3b366ba1b5a2daa",
    "mini-dvis-daq": "164800f778018517dd7d8a47490606b5dc9219743be43023c8b4c4c80e11cce8",
    "mini-mask2former": "d963247a1ac5454cb109311a5ee1f9c645746418c446a22f793a1b407d6e0b50",
    "mini-partcrafter": "ea6e186597af0d7d3e5d67e39cf65dad5f3d83f14c6896d1b0544f140d51bad4",
}
"""Miniatures by name, and the hash of their weights: of all files, in the order of their paths."""

LICENCE = "Apache-2.0"
"""Of all miniatures: they are this project's own."""


def miniature_folder(name: str) -> Path:
    """Folder of a miniature, such as ``mini-detr``.

    Raises:
        ModelNotFound: There is none of that name.
    """
    if name not in WEIGHTS_SHA256:
        raise ModelNotFound(
            f"there is no miniature {name!r}; there are: {', '.join(WEIGHTS_SHA256) or 'none'}"
        )
    return Path(__file__).parent / name

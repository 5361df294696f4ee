"""Small trained models of every family, shipped with the package.

Each is a folder of this package: ``config.json``, ``model.safetensors`` in float16, and a model
card ``README.md``; a system of several networks has a subfolder for each. They are trained on
generated scenes (`regard.datasets.shapes`, `regard.datasets.solids`) by the scripts in
``training/``, so that every system shows something true on a machine without a hub.
"""

from pathlib import Path

from regard.errors import ModelNotFound

WEIGHTS_SHA256: dict[str, str] = {
    "mini-aoanet": "c145def38312eeb3cf01d4add147e54133b1ad43e5503e80c26737e664df04b7",
    "mini-detr": "60e9de52d483198c097ed5c1c20360f1c3fe5cc0fbcf47d89b891038b1147409",
    "mini-dvis-daq": "774c2d595f8971e76df1de1a0ee1a4ed83239243cb80359b4aa66d653d708d2b",
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

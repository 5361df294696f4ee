"""Golden pictures: what was looked at and found good, compared pixel by pixel."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from regard.render import Picture

UPDATE = os.environ.get("REGARD_UPDATE_GOLDEN") == "1"

# Processors and Pillow builds may round a resized or mixed value differently; type comes from the
# FreeType inside matplotlib. Nothing that a person could see hides in one step of 255.
TOLERANCE = 1


def compare_golden(
    picture: Picture | Image.Image, path: Path, scratch: Path, tolerance: int = TOLERANCE
) -> None:
    """Compare a picture with a file; REGARD_UPDATE_GOLDEN=1 writes it anew.

    Args:
        picture: What was drawn.
        path: The golden picture.
        scratch: Folder for the picture and what differs.
        tolerance: Largest difference of a pixel, in steps of 255.
    """
    image = picture.image if isinstance(picture, Picture) else picture
    if UPDATE:
        path.parent.mkdir(exist_ok=True)
        image.save(path, optimize=True)
    if not path.exists():
        pytest.fail(f"no {path}; look at the picture and set REGARD_UPDATE_GOLDEN=1")
    expected = np.asarray(Image.open(path).convert("RGB")).astype(np.int16)
    found = np.asarray(image).astype(np.int16)
    image.save(scratch / "actual.png")
    assert found.shape == expected.shape, f"another size; see {scratch}/actual.png"
    difference = np.abs(found - expected)
    shown = np.minimum(difference * 8, 255).astype(np.uint8)
    Image.fromarray(shown).save(scratch / "difference.png")
    off = int((difference > tolerance).any(axis=2).sum())
    assert off == 0, f"{off} pixels differ; see actual.png and difference.png in {scratch}"

"""Golden pictures, and what they are drawn of."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from golden_pictures import compare_golden
from regard.render import Picture

GOLDEN = Path(__file__).parent / "golden"

Golden = Callable[[Picture, str], None]


@pytest.fixture
def golden(tmp_path: Path) -> Golden:
    """Compare a picture with ``golden/NAME.png``."""

    def compare(picture: Picture, name: str) -> None:
        compare_golden(picture, GOLDEN / f"{name}.png", tmp_path)

    return compare


@pytest.fixture
def photo() -> Image.Image:
    """Four flat colours and a dark disc: small as PNG, and mutes visibly."""
    pixels = np.empty((60, 80, 3), np.uint8)
    pixels[:30, :40], pixels[:30, 40:] = (70, 130, 180), (230, 225, 210)
    pixels[30:, :40], pixels[30:, 40:] = (60, 120, 60), (190, 90, 60)
    rows, columns = np.ogrid[:60, :80]
    pixels[(rows - 30) ** 2 + (columns - 40) ** 2 < 150] = (30, 30, 30)
    return Image.fromarray(pixels)


@pytest.fixture
def heat() -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Attention of 6 x 8 cells on 60 x 80 pixels, of mass 0.88."""
    cells = np.zeros((6, 8), np.float32)
    cells[2:4, 3:6] = [[1, 2, 3], [4, 6, 12]]
    cells[5, 0] = 3
    density = np.kron(cells, np.ones((10, 10), np.float32))
    return np.asarray(density * np.float32(0.88) / density.sum())

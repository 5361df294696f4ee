"""Tiny checkpoints with changed settings, a photo, and the folder of real data."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from checkpoints import write_checkpoint

MakeCheckpoint = Callable[..., Path]


@pytest.fixture(scope="session")
def make_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> MakeCheckpoint:
    """Writes a tiny random checkpoint of a model type into a fresh folder."""

    def make(model_type: str, **changes: Any) -> Path:
        return write_checkpoint(tmp_path_factory.mktemp(model_type), model_type, **changes)

    return make


@pytest.fixture
def photo() -> Image.Image:
    """A noisy grey photo, wider than high: 150 x 100 pixels."""
    noise = np.random.default_rng(0).integers(90, 130, (100, 150, 3), dtype=np.uint8)
    return Image.fromarray(noise)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real weights and photos, where there is one."""
    default = Path(__file__).parents[3] / "shared"
    folder = Path(os.environ.get("REGARD_SHARED", default)) / "data"
    if not folder.is_dir():
        pytest.skip(f"no real weights and photos: {folder} is not there (set REGARD_SHARED)")
    return folder

"""A model with the frozen run's weights, and a clip of three grey frames and more."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from safetensors.torch import save_file

from dvis_reference import SMALL, Reference
from regard.clips.clip import ClipAttention, video
from videos import write_video


@pytest.fixture(scope="session")
def reference(shared: Path) -> Reference:
    folder = shared / "parity" / "dvis_daq"
    if not folder.is_dir():
        pytest.skip(f"no weights of a small DVIS-DAQ: {folder} is not there")
    return Reference(folder)


@pytest.fixture(scope="session")
def weights(reference: Reference, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "daq.safetensors"
    save_file(reference.state(), path)
    return path


@pytest.fixture(scope="session")
def clip_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("clip") / "grey.mp4", frames=5, size_hw=(50, 70))


@pytest.fixture(scope="session")
def found(weights: Path, clip_file: Path) -> Iterator[ClipAttention]:
    with video(clip_file, model=weights, settings=SMALL, frames="1::2") as clip:
        yield clip

"""A dataset of two short videos, and a run over it."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dvis_reference import SMALL, Reference
from regard.models.dvis_daq.model import DvisDaq
from regard.runs import Run
from regard.runs.dataset import dataset_run
from regard.runs.job import Job
from regard.runs.run_videos import Outcome, run_videos

FRAMES = 3
SIZE_HW = (50, 70)  # 64 x 90 for the model, in an input of 64 x 96: a part of it is padding
CATEGORIES = {3: "cat", 5: "dog", 8: "fish", 13: "bird", 21: "worm"}

RunDataset = Callable[..., Outcome]


@pytest.fixture(scope="session")
def network(shared: Path) -> DvisDaq:
    folder = shared / "parity" / "dvis_daq"
    if not folder.is_dir():
        pytest.skip(f"no weights of a small DVIS-DAQ: {folder} is not there")
    return Reference(folder).model()


def write_dataset(folder: Path, videos: int = 2, frames: int = FRAMES) -> Path:
    """A YTVIS file with its images: a bright square that moves over noise."""
    random = np.random.default_rng(0)
    entries: list[dict[str, Any]] = []
    for number in range(1, videos + 1):
        names = [f"v{number}/{frame:05d}.png" for frame in range(frames)]
        for frame, name in enumerate(names):
            pixels = random.integers(0, 90, (*SIZE_HW, 3), dtype=np.uint8)
            left = 5 + 8 * frame + 5 * number
            pixels[15:35, left : left + 20] = (250, 180, 20 * number)
            path = folder / "JPEGImages" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)
        size = {"height": SIZE_HW[0], "width": SIZE_HW[1]}
        entries.append({"id": number, "file_names": names, "length": frames} | size)
    categories = [{"id": number, "name": name} for number, name in CATEGORIES.items()]
    path = folder / "val.json"
    path.write_text(json.dumps({"videos": entries, "categories": categories}))
    return path


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("dataset"))


def run_over(network: DvisDaq, dataset: Path, out: Path, **options: Any) -> Outcome:
    """A run over a dataset; options are those of `Job` and of `run_videos`."""
    of_run = {name: options.pop(name) for name in ("engine", "progress") if name in options}
    job = Job(network=network, **({"settings": SMALL} | options))
    about, sources = dataset_run(dataset, None, job, "tiny", out)
    return run_videos(out, about, job, sources, **of_run)


@pytest.fixture(scope="session")
def run_dataset(network: DvisDaq) -> RunDataset:
    """Runs the model over a dataset; see `run_over`."""
    return partial(run_over, network)


@pytest.fixture(scope="session")
def made(dataset: Path, run_dataset: RunDataset, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run over the dataset; not to be changed."""
    return run_dataset(dataset, tmp_path_factory.mktemp("made") / "run").run


@pytest.fixture(scope="session")
def everything(
    dataset: Path, run_dataset: RunDataset, tmp_path_factory: pytest.TempPathFactory
) -> Run:
    """The same with every call kept; not to be changed."""
    return run_dataset(dataset, tmp_path_factory.mktemp("all") / "run", keep="all").run


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}

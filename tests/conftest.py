"""Shared settings: one thread, fixed seeds, and the folder of real data."""

import os
from pathlib import Path

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

import hypothesis
import pytest
import torch

torch.set_num_threads(1)
hypothesis.settings.register_profile("regard", deadline=None)  # machines may be busy
hypothesis.settings.load_profile("regard")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="also run tests marked slow")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    slow = pytest.mark.skip(reason="slow: give --slow to run it")
    gpu = pytest.mark.skip(reason="needs a CUDA device")
    for item in items:
        if "slow" in item.keywords and not config.getoption("--slow"):
            item.add_marker(slow)
        if "gpu" in item.keywords and not torch.cuda.is_available():
            item.add_marker(gpu)


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real weights and images, which is no part of the repository."""
    default = Path(__file__).parents[2] / "shared"
    folder = Path(os.environ.get("REGARD_SHARED", default))
    if not (folder / "data").is_dir():
        pytest.skip(f"real data not found: {folder} (set REGARD_SHARED to the folder)")
    return folder

"""The frozen run of the official code, and its tiny checkpoint as a folder."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file
from torch import Tensor

from regard.models.partcrafter.checkpoint import PartCrafter, load


@pytest.fixture(scope="session")
def parity(shared: Path) -> Path:
    return shared / "parity" / "partcrafter"


@pytest.fixture(scope="session")
def config(parity: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((parity / "config.json").read_text())
    return loaded


@pytest.fixture(scope="session")
def official(parity: Path) -> dict[str, Tensor]:
    loaded: dict[str, Tensor] = load_file(parity / "io.safetensors")
    return loaded


@pytest.fixture(scope="session")
def folder(parity: Path, config: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint as diffusers writes it."""
    root = tmp_path_factory.mktemp("partcrafter")
    settings = config["config"]
    stem = "diffusion_pytorch_model.safetensors"
    for name, content, weights in (
        ("transformer", settings["dit"], stem),
        ("vae", settings["vae"], stem),
        (
            "image_encoder_dinov2",
            {**settings["dino"], "model_type": "dinov2"},
            "model.safetensors",
        ),
    ):
        (root / name).mkdir()
        (root / name / "config.json").write_text(json.dumps(content))
        shutil.copy(parity / f"{name}.safetensors", root / name / weights)
    (root / "feature_extractor_dinov2").mkdir()
    processor = root / "feature_extractor_dinov2" / "preprocessor_config.json"
    processor.write_text(json.dumps(settings["preprocess"]))
    (root / "scheduler").mkdir()
    schedule = {"num_train_timesteps": 1000, "shift": 1.0, "use_dynamic_shifting": False}
    (root / "scheduler" / "scheduler_config.json").write_text(json.dumps(schedule))
    return root


@pytest.fixture(scope="session")
def model(folder: Path) -> PartCrafter:
    return load(folder)

"""Tiny checkpoints of every architecture, written as save_pretrained writes them."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from PIL import Image

_TOWER = {
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "image_size": 56,
    "patch_size": 14,
}
_TEXT = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "vocab_size": 9,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": 1,
}
_PAIR = {"vision_config": _TOWER, "text_config": _TEXT}
_CONFIGS: dict[str, tuple[str, dict[str, Any]]] = {
    "vit": ("ViTConfig", _TOWER),
    "deit": ("DeiTConfig", _TOWER),
    "dinov2": ("Dinov2Config", _TOWER),
    "dinov2_with_registers": (
        "Dinov2WithRegistersConfig",
        _TOWER | {"num_register_tokens": 2},
    ),
    "dinov3_vit": ("DINOv3ViTConfig", _TOWER | {"num_register_tokens": 2}),
    "clip": ("CLIPConfig", _PAIR),
    "siglip": ("SiglipConfig", _PAIR),
}

MakeCheckpoint = Callable[..., Path]


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests that download run with --slow only."""
    if config.getoption("--slow", default=False):
        return
    for item in items:
        if "slow" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="downloads 90 MB; run with --slow"))


@pytest.fixture(scope="session")
def make_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> MakeCheckpoint:
    """Writes a tiny random checkpoint of a model type into a fresh folder."""

    def make(model_type: str, **changes: Any) -> Path:
        config_class, settings = _CONFIGS[model_type]
        torch.manual_seed(0)
        config = getattr(transformers, config_class)(**settings | changes)
        folder = tmp_path_factory.mktemp(model_type)
        transformers.AutoModel.from_config(config).save_pretrained(folder)
        return folder

    return make


@pytest.fixture(scope="session")
def checkpoint(make_checkpoint: MakeCheckpoint) -> Callable[[str], Path]:
    """The tiny checkpoint of a model type; made once, not to be changed."""
    made: dict[str, Path] = {}

    def get(model_type: str) -> Path:
        if model_type not in made:
            made[model_type] = make_checkpoint(model_type)
        return made[model_type]

    return get


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

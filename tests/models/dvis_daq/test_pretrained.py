"""Models with all that they need: by folder, by file, online and offline."""

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from dvis_reference import Reference
from regard.errors import CheckpointError, ModelNotFound
from regard.models.dvis_daq.pretrained import pretrained
from regard.models.dvis_daq.settings import Settings

NAMES = [f"class {index}" for index in range(5)]


def write_folder(folder: Path, reference: Reference, **config: Any) -> Path:
    folder.mkdir(exist_ok=True)
    save_file(reference.state(), folder / "model.safetensors")
    content = {"model_type": "dvis_daq", "class_names": NAMES} | config
    (folder / "config.json").write_text(json.dumps(content))
    return folder


def test_a_folder_brings_settings_and_names(reference: Reference, tmp_path: Path) -> None:
    stored = {"short_side_px": 64, "pixel_mean": [1.0, 2.0, 3.0]}
    found = pretrained(write_folder(tmp_path, reference, settings=stored))
    assert found.class_names == tuple(NAMES)
    assert found.settings == Settings(short_side_px=64, pixel_mean=(1.0, 2.0, 3.0))
    assert found.network.refiner is not None


def test_online_leaves_the_refiner_out(reference: Reference, tmp_path: Path) -> None:
    folder = write_folder(tmp_path, reference)
    assert pretrained(folder, online=True).network.refiner is None
    assert pretrained(folder, online=False).network.refiner is not None


def test_offline_needs_a_refiner(reference: Reference, tmp_path: Path) -> None:
    save_file(reference.state(offline=False), tmp_path / "online.safetensors")
    with pytest.raises(CheckpointError, match="has no refiner, so it cannot run offline"):
        pretrained(tmp_path / "online.safetensors", online=False)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"model_type": "detr"}, "of type 'detr', expected 'dvis_daq'"),
        ({"class_names": ["one"]}, "no list of 5 names"),
        ({"settings": {"speed": 1}}, "settings are no object of"),
        ({"settings": {"window": 0}}, "window is 0"),
    ],
)
def test_a_config_that_does_not_fit_is_said(
    reference: Reference, tmp_path: Path, config: dict[str, Any], message: str
) -> None:
    with pytest.raises(CheckpointError, match=message):
        pretrained(write_folder(tmp_path, reference, **config))


def test_an_official_file_brings_no_names(reference: Reference, tmp_path: Path) -> None:
    save_file(reference.state(), tmp_path / "model.safetensors")
    found = pretrained(tmp_path / "model.safetensors")
    assert (found.class_names, found.settings) == ((), Settings())


def test_detectron2_pickles_load_without_their_code(reference: Reference, tmp_path: Path) -> None:
    """Arrays in a pickle, as detectron2 publishes its converted models."""
    state = reference.state()
    content = {"model": {k: v.numpy() for k, v in state.items()}, "__author__": "third_party"}
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(content))
    found = pretrained(tmp_path / "model.pkl").network.state_dict()
    assert all(torch.equal(tensor, state[name].float()) for name, tensor in found.items())


def test_a_name_that_is_nowhere_is_said() -> None:
    with pytest.raises(ModelNotFound, match="there is no file mini-cat"):
        pretrained("mini-cat")

"""A captioner in a folder with its own CNN."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

import aoanet
import regard
from regard.errors import CheckpointError, GeometryError, ModelNotFound
from regard.models import registry
from regard.models.aoanet import Decoding


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return aoanet.write_folder(tmp_path / "own")


def change(folder: Path, **changes: Any) -> Path:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return folder


def test_it_captions_a_photo_and_needs_nothing_else(folder: Path) -> None:
    model = regard.load_captioner(folder)
    (found,) = regard.caption(aoanet.photo(), model=model, decoding=Decoding(beam=1))
    assert found.model == "own"
    assert set(found.words) <= {*aoanet.WORDS, "<end>"}
    assert found.weights().shape == (len(found.words), 12)
    assert found.layout.box_xyxy(11) == (60, 40, 80, 60)
    assert found.weights().sum(1).allclose(torch.ones(len(found.words)))


def test_other_features_may_be_given(folder: Path) -> None:
    model = regard.load_captioner(folder)
    width = model.infos.options.att_feat_size
    (found,) = regard.caption(aoanet.photo(), model=model, features=aoanet.region_features(width))
    assert found.layout.count == 7


def test_a_checkpoint_without_its_infos(tmp_path: Path) -> None:
    model, _ = aoanet.write_files(tmp_path)
    with pytest.raises(ModelNotFound, match=r"also give the infos_ID.pkl"):
        regard.load_captioner(model)


def test_a_model_without_a_cnn_wants_features() -> None:
    with pytest.raises(GeometryError, match="takes features, not pixels"):
        regard.caption(aoanet.photo(), model=aoanet.captioner())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model_type": "vit"}, "no captioner"),
        ({"opt": None}, "no opt and words"),
        ({"words": "a"}, "no opt and words"),
        ({"words": ["a", "b"]}, "the vocabulary has 2 words"),
        ({"cnn": None}, "holds no CNN"),
        ({"cnn": {"input_hw": [0, 8], "grid_hw": [3, 4]}}, "holds no CNN.*input_hw"),
        ({"opt": {**aoanet.OPTIONS, "rnn_size": 32}}, "is not the model that"),
    ],
)
def test_a_folder_that_is_wrong(folder: Path, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(CheckpointError, match=words):
        regard.load_captioner(change(folder, **changes))


def test_weights_of_another_cnn(folder: Path) -> None:
    weights = aoanet.tensors(folder / "model.safetensors")
    del weights["cnn.stem.2.0.weight"]
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"holds no CNN.*stem.2.0"):
        regard.load_captioner(folder)


def test_models_of_photos_say_how_captioners_load(folder: Path) -> None:
    with pytest.raises(CheckpointError, match=r"regard.load_captioner"):
        registry.load(folder)

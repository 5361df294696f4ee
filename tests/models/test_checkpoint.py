import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from regard.errors import CheckpointError, ModelNotFound, UnsafeCheckpoint
from regard.models.checkpoint import read_config, read_weights

TENSORS = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(2, dtype=torch.float16)}


def same(found: dict[str, torch.Tensor]) -> bool:
    return found.keys() == TENSORS.keys() and all(
        torch.equal(found[name], tensor) and found[name].dtype == tensor.dtype
        for name, tensor in TENSORS.items()
    )


class MakesFolder:
    """A pickle that makes a folder when it is read."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.mkdir, (self.canary,)


def dump(content: object, path: Path) -> None:
    path.write_bytes(pickle.dumps(content))


def test_safetensors(tmp_path: Path) -> None:
    save_file(TENSORS, tmp_path / "model.safetensors")
    assert same(read_weights(tmp_path))


def test_shards(tmp_path: Path) -> None:
    places = {name: f"model-{name}.safetensors" for name in TENSORS}
    for name, place in places.items():
        save_file({name: TENSORS[name]}, tmp_path / place)
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": places}))
    assert same(read_weights(tmp_path))

    (tmp_path / "model-b.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"lacks the shard model-b\.safetensors"):
        read_weights(tmp_path)


@pytest.mark.parametrize("place", ["../out.safetensors", "/etc/passwd", "evil.bin"])
def test_a_shard_elsewhere_is_refused(place: str, tmp_path: Path) -> None:
    save_file(TENSORS, tmp_path / "out.safetensors")
    folder = tmp_path / "model"
    folder.mkdir()
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": place}}))
    with pytest.raises(UnsafeCheckpoint, match="names the shard"):
        read_weights(folder)


def test_a_pickle_of_plain_tensors(tmp_path: Path) -> None:
    torch.save(TENSORS, tmp_path / "pytorch_model.bin")
    assert same(read_weights(tmp_path))


@pytest.mark.parametrize("write", [torch.save, dump], ids=["zipped", "raw"])
def test_a_pickle_with_code_is_refused_and_does_not_run(
    write: Callable[[object, Path], None], tmp_path: Path
) -> None:
    canary, path = tmp_path / "canary", tmp_path / "pytorch_model.bin"
    write({"a": MakesFolder(canary)}, path)
    with pytest.raises(UnsafeCheckpoint, match="was not read") as told:
        read_weights(tmp_path)
    assert "weights_only" not in str(told.value), "no advice to read it with code execution"
    assert not canary.exists()


def test_the_canary_sings_when_such_a_pickle_is_trusted(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(MakesFolder(tmp_path / "canary")))
    assert (tmp_path / "canary").is_dir()


@pytest.mark.parametrize("name", ["model.pth", "model.pkl", "tf_model.h5", "last.ckpt"])
def test_other_kinds_of_file_are_refused_unread(name: str, tmp_path: Path) -> None:
    dump(MakesFolder(tmp_path / "canary"), tmp_path / name)
    with pytest.raises(UnsafeCheckpoint, match=name):
        read_weights(tmp_path)
    assert not (tmp_path / "canary").exists()


def test_a_tensor_that_claims_more_than_the_file_holds_is_refused(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(1).expand(10**6, 10**6)}, tmp_path / "pytorch_model.bin")
    with pytest.raises(UnsafeCheckpoint, match="claims more values"):
        read_weights(tmp_path)


@pytest.mark.parametrize("content", [{"a": "text"}, {1: torch.ones(1)}, [torch.ones(1)]])
def test_a_pickle_of_other_things_is_an_error(content: object, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="expected named tensors"):
        read_weights(tmp_path)


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_every_truncation_is_an_error_that_names_the_file(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    (save_file if name.endswith("tensors") else torch.save)(TENSORS, path)
    whole = path.read_bytes()
    for length in range(0, len(whole), 61):
        path.write_bytes(whole[:length])
        with pytest.raises(CheckpointError, match=name):
            read_weights(tmp_path)


def test_a_folder_without_weights(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no weights; expected model\.safetensors"):
        read_weights(tmp_path)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="gone is not a folder"):
        read_config(tmp_path / "gone")


def test_a_folder_without_configuration(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match=r"no config\.json"):
        read_config(tmp_path)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"model_type": 3}', "[" * 10**5, "\xff"], ids=repr
)
def test_a_configuration_that_says_nothing(text: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(CheckpointError, match=r"config\.json"):
        read_config(tmp_path)


def test_what_is_read_is_what_transformers_wrote(
    checkpoint: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(checkpoint("vit"), folder)
    expected = load_file(folder / "model.safetensors")
    assert read_config(folder)["model_type"] == "vit"
    assert all(torch.equal(read_weights(folder)[key], value) for key, value in expected.items())

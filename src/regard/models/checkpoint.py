"""Reading a checkpoint folder, or file, without running anything that came with it."""

import argparse
import json
import pickle
import re
import warnings
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from regard.errors import CheckpointError, ModelNotFound, UnsafeCheckpoint

_SAFE = "model.safetensors"
_PICKLE = "pytorch_model.bin"
_CODE_BEARING = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".h5", ".msgpack", ".npy")
_CONFIG_LIMIT_BYTES = 64 * 2**20


def read_config(folder: Path) -> dict[str, Any]:
    """Content of the folder's ``config.json``.

    Raises:
        ModelNotFound: The folder or the file is not there.
        CheckpointError: The file is no JSON object, or names no model type.
    """
    if not folder.is_dir():
        raise ModelNotFound(
            f"{folder} is not a folder; expected one that holds config.json and {_SAFE}"
        )
    path = folder / "config.json"
    if not path.is_file():
        raise ModelNotFound(
            f"{folder} holds no config.json, so its architecture is not known; "
            "pass a folder as save_pretrained writes it"
        )
    config = read_json(path)
    if not isinstance(config.get("model_type"), str):
        raise CheckpointError(
            f"{path} names no model_type (got {config.get('model_type')!r}); "
            "expected a transformers configuration"
        )
    return config


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a small file; raises ``CheckpointError`` where there is none."""
    try:
        if path.stat().st_size > _CONFIG_LIMIT_BYTES:
            raise ValueError(f"{path.stat().st_size:,} bytes, over {_CONFIG_LIMIT_BYTES:,}")
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{path} cannot be read as JSON: {error}; download it again"
        ) from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} holds a JSON {type(content).__name__}; expected an object")
    return content


def read_weights(folder: Path, *, stem: str = "model") -> dict[str, torch.Tensor]:
    """All tensors of a checkpoint folder, on the CPU, in the dtype they are stored in.

    Reads ``model.safetensors``, its shards, or ``pytorch_model.bin`` as plain tensors
    (``weights_only``); the first of these that is there.

    Args:
        folder: Where the files are.
        stem: What they are called instead of "model": diffusers' "diffusion_pytorch_model".

    Raises:
        CheckpointError: No weights, or damaged ones.
        UnsafeCheckpoint: Weights that would have to run code to be read.
    """
    safe, index = f"{stem}.safetensors", f"{stem}.safetensors.index.json"
    if (folder / safe).is_file():
        return _read_safetensors(folder / safe)
    if (folder / index).is_file():
        return _read_shards(folder / index)
    if (folder / _PICKLE).is_file():
        return _read_pickle(folder / _PICKLE)
    refused = sorted(path.name for path in folder.iterdir() if path.suffix in _CODE_BEARING)
    if refused:
        raise UnsafeCheckpoint(
            f"{folder} holds its weights only as {', '.join(refused)}, a kind of file that can "
            f"run code when it is read; expected {safe}; convert it with safetensors where you "
            "trust it"
        )
    raise CheckpointError(f"{folder} holds no weights; expected {safe} or its shards")


def read_weights_file(path: Path) -> dict[str, torch.Tensor]:
    """All tensors of an official checkpoint in one file: safetensors, ``.pth`` or ``.pkl``.

    A training checkpoint's ``model`` or ``state_dict`` entry counts; its optimizer does not.

    Raises:
        ModelNotFound: There is no such file.
        CheckpointError: It is damaged, or holds no named tensors.
        UnsafeCheckpoint: It would have to run code to be read.
    """
    if not path.is_file():
        raise ModelNotFound(f"there is no file {path}; expected the weights of a model")
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    if path.suffix == ".pkl":
        from regard.models.detectron_pickle import read_detectron_pickle

        return read_detectron_pickle(path)
    return _read_pickle(path)


def _read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    try:
        tensors: dict[str, torch.Tensor] = load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(
            f"{path} ({path.stat().st_size:,} bytes) is damaged: {error}; download it again"
        ) from error
    return tensors


def shard_names(index: Path) -> list[str]:
    """Names of the files that ``model.safetensors.index.json`` spreads the tensors over.

    Raises:
        CheckpointError: The index is damaged.
        UnsafeCheckpoint: A name leads out of the folder, or to another kind of file.
    """
    places = read_json(index).get("weight_map")
    if not isinstance(places, dict) or not places:
        raise CheckpointError(f"{index} has no weight_map; download it again")
    names = sorted({str(place) for place in places.values()})
    for name in names:
        if Path(name).name != name or not name.endswith(".safetensors"):
            raise UnsafeCheckpoint(f"{index} names the shard {name!r}; expected a file beside it")
    return names


def _read_shards(index: Path) -> dict[str, torch.Tensor]:
    tensors: dict[str, torch.Tensor] = {}
    for name in shard_names(index):
        if not (index.parent / name).is_file():
            raise CheckpointError(f"{index.parent} lacks the shard {name}; download it again")
        tensors |= _read_safetensors(index.parent / name)
    return tensors


def _read_pickle(path: Path) -> dict[str, torch.Tensor]:
    try:
        with warnings.catch_warnings():
            # said of protocols that the safe reader may not know; it then refuses, by an error
            warnings.filterwarnings("ignore", "Detected pickle protocol", UserWarning)
            # plain settings of a training script; they are read and thrown away
            with torch.serialization.safe_globals([argparse.Namespace]):
                state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UnsafeCheckpoint(
            f"{path} is not plain tensors, and reading on could run code of its own, so it was "
            f"not read; expected {_SAFE}{_culprit(error)}"
        ) from error
    except Exception as error:  # the one border to torch.load, which raises many kinds
        raise CheckpointError(
            f"{path} is damaged: {type(error).__name__}: {error}; download it again"
        ) from error
    for entry in ("model", "state_dict"):
        if isinstance(state, dict) and isinstance(state.get(entry), dict):
            state = state[entry]
    if not isinstance(state, dict):
        raise CheckpointError(f"{path} holds a {type(state).__name__}; expected named tensors")
    for name, tensor in state.items():
        _require_plain(path, name, tensor)
    return state


def _culprit(error: pickle.UnpicklingError) -> str:
    """What the file would have called; never torch's advice to read it with code execution."""
    found = re.search(r"GLOBAL:? (\w[\w.]+)", str(error))
    return f" (it names {found[1]})" if found else ""


def _require_plain(path: Path, name: object, tensor: object) -> None:
    if not isinstance(name, str) or not isinstance(tensor, torch.Tensor):
        raise CheckpointError(
            f"{path} holds {name!r} of type {type(tensor).__name__}; expected named tensors only"
        )
    # a stride of 0 lets a few bytes claim any shape, and take its memory once copied
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        raise UnsafeCheckpoint(
            f"{path}: {name} of shape {tuple(tensor.shape)} claims more values than the file holds"
        )

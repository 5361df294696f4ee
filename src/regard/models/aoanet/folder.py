"""A captioner in one folder, with the CNN that makes its features: the form of the miniature.

``config.json`` holds ``opt`` as an infos file does, ``words`` in the order of their tokens, and
of the ``cnn`` the size of its input and its grid. ``model.safetensors`` holds the weights of both,
those of the CNN under ``cnn.``.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from regard.errors import CheckpointError, ModelNotFound
from regard.geometry import checked_size_hw
from regard.miniatures import WEIGHTS_SHA256, miniature_folder
from regard.models.aoanet.cnn import GridCnn
from regard.models.aoanet.infos import Infos
from regard.models.aoanet.small_cnn import SmallCnn
from regard.models.checkpoint import read_config, read_weights_file

MODEL_TYPE = "aoanet"
_CNN = "cnn."


@dataclass(frozen=True)
class StoredCaptioner:
    """What a folder holds."""

    folder: Path
    infos: Infos
    weights: dict[str, Tensor]
    """Of the AoANet, float32."""
    cnn: GridCnn


def captioner_folder(model: str | os.PathLike[str]) -> Path:
    """Folder of a miniature, or the folder itself.

    Raises:
        ModelNotFound: It is neither.
    """
    name = os.fspath(model)
    if name in WEIGHTS_SHA256:
        return miniature_folder(name)
    if Path(name).is_dir():
        return Path(name)
    raise ModelNotFound(
        f"{name!r} is no miniature and no folder with a captioner; for the checkpoint of a "
        "training run also give the infos_ID.pkl from beside it; mini-aoanet needs nothing else"
    )


def read_folder(folder: Path) -> StoredCaptioner:
    """The captioner in a folder.

    Raises:
        ModelNotFound: A file is missing.
        CheckpointError: A file is damaged, or of another kind of model.
    """
    config = read_config(folder)
    if config["model_type"] != MODEL_TYPE:
        raise CheckpointError(
            f"{folder} holds a model of type {config['model_type']!r}, no captioner; expected "
            f"{MODEL_TYPE!r}"
        )
    weights = {
        name: tensor.float()
        for name, tensor in read_weights_file(folder / "model.safetensors").items()
    }
    own = {name: tensor for name, tensor in weights.items() if not name.startswith(_CNN)}
    seeing = {
        name.removeprefix(_CNN): tensor for name, tensor in weights.items() if name.startswith(_CNN)
    }
    return StoredCaptioner(folder, _infos(config, folder), own, _cnn(config, seeing, folder))


def _infos(config: Mapping[str, Any], folder: Path) -> Infos:
    opt, words = config.get("opt"), config.get("words")
    if not isinstance(opt, dict) or not isinstance(words, list):
        raise CheckpointError(f"{folder / 'config.json'} states no opt and words of a captioner")
    return Infos.of(opt, dict(enumerate(words, 1)), folder / "config.json")


def _cnn(config: Mapping[str, Any], weights: dict[str, Tensor], folder: Path) -> GridCnn:
    try:
        stated = config["cnn"]
        input_hw = checked_size_hw(stated["input_hw"], what="input_hw")
        grid_hw = checked_size_hw(stated["grid_hw"], what="grid_hw")
        network = SmallCnn((_width(weights, 0), _width(weights, 1), _width(weights, 3)))
        network.load_state_dict(weights)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(
            f"{folder} holds no CNN that its config.json describes: "
            f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        ) from error
    return GridCnn(network.requires_grad_(False), grid_hw, input_hw)


def _width(weights: Mapping[str, Tensor], layer: int) -> int:
    return weights[f"stem.{layer}.0.weight"].shape[0]

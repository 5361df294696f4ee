"""A model with all that it needs to be run: network, settings, names of classes."""

import dataclasses
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from regard.errors import CheckpointError
from regard.miniatures import WEIGHTS_SHA256, miniature_folder
from regard.models.checkpoint import read_config, read_weights
from regard.models.dvis_daq.checkpoint import from_state, load
from regard.models.dvis_daq.model import DvisDaq
from regard.models.dvis_daq.settings import Settings

MODEL_TYPE = "dvis_daq"
"""What ``config.json`` of a folder with such a model says."""


@dataclass(frozen=True, kw_only=True)
class Pretrained:
    """A network, how it is run, and what its classes are called."""

    network: DvisDaq = field(repr=False)
    """Float32, evaluation mode, on the CPU."""
    settings: Settings = field(default_factory=Settings)
    """How it was meant to be run."""
    class_names: tuple[str, ...] = ()
    """Of its classes, in their order; none where they are not known."""


def pretrained(model: str | os.PathLike[str], *, online: bool | None = None) -> Pretrained:
    """A model by name, folder or file.

    Args:
        model: A miniature's name, ``mini-dvis-daq``; a folder with ``config.json`` and
            ``model.safetensors``, as ``training/mini_dvis_daq.py`` writes it; or an official
            checkpoint file, which brings no settings and no names.
        online: True leaves out the refiner, so that each frame is decided without those after it;
            False demands one. By default the model is run as it comes.

    Raises:
        ModelNotFound: There is no such file or folder.
        CheckpointError: It is damaged, or not of a DVIS-DAQ model, or has no refiner.
        UnsafeCheckpoint: It would have to run code to be read.
    """
    name = os.fspath(model)
    folder = miniature_folder(name) if name in WEIGHTS_SHA256 else Path(name)
    found = _from_folder(folder) if folder.is_dir() else Pretrained(network=load(folder))
    if online:
        found.network.refiner = None
    elif online is False and found.network.refiner is None:
        raise CheckpointError(
            f"{name} has no refiner, so it cannot run offline; leave the choice out, or take the "
            "offline model's checkpoint"
        )
    return found


def _from_folder(folder: Path) -> Pretrained:
    config = read_config(folder)
    path = folder / "config.json"
    if config["model_type"] != MODEL_TYPE:
        raise CheckpointError(
            f"{path} is of a model of type {config['model_type']!r}, expected {MODEL_TYPE!r}"
        )
    network = from_state(read_weights(folder), name=os.fspath(folder))
    names = config.get("class_names", [])
    classes = network.sem_seg_head.predictor.class_embed.out_features - 1
    if not isinstance(names, list) or len(names) not in (0, classes):
        raise CheckpointError(f"{path}: class_names is no list of {classes} names, one a class")
    return Pretrained(
        network=network,
        settings=_settings(path, config.get("settings", {})),
        class_names=tuple(str(name) for name in names),
    )


def _settings(path: Path, stored: Any) -> Settings:
    known = {field.name for field in dataclasses.fields(Settings)}
    if not isinstance(stored, dict) or stored.keys() - known:
        raise CheckpointError(f"{path}: settings are no object of {', '.join(sorted(known))}")
    lists = {name: tuple(value) for name, value in stored.items() if isinstance(value, list)}
    return Settings(**(stored | lists))

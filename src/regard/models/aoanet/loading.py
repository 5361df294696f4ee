"""From files to a model that is ready to caption."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from regard.errors import CheckpointError
from regard.models.aoanet.cnn import GridCnn
from regard.models.aoanet.decoding import BAD_ENDINGS
from regard.models.aoanet.folder import captioner_folder, read_folder
from regard.models.aoanet.infos import Infos, read_infos
from regard.models.aoanet.network import AoANet
from regard.models.checkpoint import read_weights_file
from regard.models.registry import require_device


@dataclass(frozen=True)
class Captioner:
    """An AoANet with its words: float32, evaluation mode."""

    name: str
    network: AoANet = field(repr=False)
    infos: Infos = field(repr=False)
    cnn: GridCnn | None = field(default=None, repr=False)
    """What makes its features of a photo, where it came with the model."""

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return self.network.ctx2att.weight.device

    @property
    def bad_endings(self) -> list[int]:
        """Tokens of the words that no caption should end with."""
        return [token for token, word in self.infos.vocabulary.items() if word in BAD_ENDINGS]


def load_captioner(
    model: str | os.PathLike[str],
    infos: str | os.PathLike[str] | None = None,
    *,
    device: str | torch.device = "cpu",
) -> Captioner:
    """An AoANet from its official files, or a small one with its own CNN.

    Nothing that comes with the files is run.

    Args:
        model: ``model.pth`` of a training run, or its tensors as safetensors. Without ``infos``:
            the miniature ``mini-aoanet``, which is shipped with regard, or a folder of its form.
        infos: ``infos_ID.pkl`` from beside a checkpoint: the options and the vocabulary.
        device: Where it runs.

    Raises:
        ModelNotFound: One of the files is not there.
        CheckpointError: One is damaged, or they do not belong together.
        UnsafeCheckpoint: One would have to run code to be read.
        DeviceError: The device cannot be used on this machine.
    """
    require_device(device)
    if infos is None:
        stored = read_folder(captioner_folder(model))
        network = _network(stored.infos, stored.weights, stored.folder, stored.folder)
        stored.cnn.network.to(device)
        return Captioner(stored.folder.resolve().name, network.to(device), stored.infos, stored.cnn)
    path = Path(model)
    read = read_infos(Path(infos))
    weights = {name: tensor.float() for name, tensor in read_weights_file(path).items()}
    network = _network(read, weights, path, Path(infos))
    name = path.stem if path.stem != "model" else path.absolute().parent.name
    return Captioner(name, network.to(device), read)


def _network(infos: Infos, weights: Mapping[str, Tensor], model: Path, told: Path) -> AoANet:
    with torch.device("meta"):  # so that no option makes memory be taken before it is checked
        network = AoANet(infos.options)
    _require_fit(network, weights, model, told)
    network.load_state_dict(weights, assign=True)
    return network.requires_grad_(False).eval()


def _require_fit(network: AoANet, weights: Mapping[str, Tensor], model: Path, infos: Path) -> None:
    expected = network.state_dict()
    wrong = [f"{name} is missing" for name in expected if name not in weights]
    wrong += [f"{name} is not expected" for name in weights if name not in expected]
    wrong += [
        f"{name} has shape {tuple(weights[name].shape)}, expected {tuple(tensor.shape)}"
        for name, tensor in expected.items()
        if name in weights and weights[name].shape != tensor.shape
    ]
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise CheckpointError(
            f"{model} is not the model that {infos} describes: {'; '.join(wrong[:3])}{more}; "
            "pass the infos_ID.pkl that training wrote beside this checkpoint"
        )

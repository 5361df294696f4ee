"""From the two files of a training run to a model that is ready to caption."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from regard.errors import CheckpointError
from regard.models.aoanet.decoding import BAD_ENDINGS
from regard.models.aoanet.infos import Infos, read_infos
from regard.models.aoanet.network import AoANet
from regard.models.checkpoint import read_weight_file
from regard.models.registry import require_device


@dataclass(frozen=True)
class Captioner:
    """An AoANet with its words: float32, evaluation mode."""

    name: str
    network: AoANet = field(repr=False)
    infos: Infos = field(repr=False)

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
    infos: str | os.PathLike[str],
    *,
    device: str | torch.device = "cpu",
) -> Captioner:
    """An AoANet from its official files; nothing that comes with them is run.

    Args:
        model: ``model.pth`` of a training run, or its tensors as safetensors.
        infos: ``infos_ID.pkl`` from beside it: the options and the vocabulary.
        device: Where it runs.

    Raises:
        ModelNotFound: One of the files is not there.
        CheckpointError: One is damaged, or they do not belong together.
        UnsafeCheckpoint: One would have to run code to be read.
        DeviceError: The device cannot be used on this machine.
    """
    require_device(device)
    path = Path(model)
    read = read_infos(Path(infos))
    weights = {name: tensor.float() for name, tensor in read_weight_file(path).items()}
    with torch.device("meta"):  # so that no option makes memory be taken before it is checked
        network = AoANet(read.options)
    _require_fit(network, weights, path, Path(infos))
    network.load_state_dict(weights, assign=True)
    network.requires_grad_(False).eval().to(device)
    return Captioner(
        path.stem if path.stem != "model" else path.absolute().parent.name, network, read
    )


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

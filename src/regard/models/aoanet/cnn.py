"""Features of grid cells: a CNN over a photo, averaged into 14 x 14 cells.

As the official preparation does it: the photo at its own size, no crop, channels normalised by
ImageNet's mean and deviation; the cells span the whole photo, whatever its proportions.

Source: upstream `misc/resnet_utils.py` and `misc/resnet.py` (He et al. 2016 in the form that was
trained in Caffe: the stride is in a block's first convolution, the pooling rounds up).
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from regard.errors import CheckpointError
from regard.models.aoanet.features import Features, whole_photo_grid
from regard.models.checkpoint import read_weights_file

GRID_HW = (14, 14)
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class GridCnn:
    """Photo in, features of grid cells out; pass it wherever features are asked for.

    Args:
        network: (batch, 3, height, width) to (batch, channels, rows, columns).
        grid_hw: Rows and columns that its output is averaged to.
        input_hw: Size that photos are brought to first; None leaves them as they are.
    """

    def __init__(
        self,
        network: nn.Module,
        grid_hw: tuple[int, int] = GRID_HW,
        input_hw: tuple[int, int] | None = None,
    ) -> None:
        self.network = network.eval()
        self.grid_hw = grid_hw
        self.input_hw = input_hw

    @torch.inference_mode()
    def __call__(self, photo: Image.Image) -> Features:
        """Features of an upright RGB photo."""
        weight = next(self.network.parameters())
        seen = photo
        if self.input_hw is not None:
            seen = photo.resize(self.input_hw[::-1], Image.Resampling.BILINEAR)
        pixels = torch.from_numpy(np.asarray(seen).copy()).to(weight).permute(2, 0, 1) / 255
        mean, deviation = (pixels.new_tensor(x)[:, None, None] for x in (MEAN, DEVIATION))
        found: Tensor = self.network(((pixels - mean) / deviation)[None])[0]
        cells = F.adaptive_avg_pool2d(found, self.grid_hw).flatten(1).T
        layout = whole_photo_grid(self.grid_hw, (photo.height, photo.width))
        return Features(cells.cpu(), layout, found.mean((1, 2)).cpu())


def load_cnn(path: str | os.PathLike[str], *, device: str | torch.device = "cpu") -> GridCnn:
    """A CNN from its weights in a local file.

    The names of the tensors say what it is: a ResNet of bottlenecks (``layer1.0.conv1.weight``),
    in the Caffe form; or plain convolutions ``conv1``, ``conv2``... of stride 2, each with a ReLU.

    Raises:
        ModelNotFound: There is no such file.
        CheckpointError: It is damaged, or another kind of network.
        UnsafeCheckpoint: It would have to run code to be read.
    """
    weights = {name: tensor.float() for name, tensor in read_weights_file(Path(path)).items()}
    network: nn.Module
    if "layer1.0.conv3.weight" in weights:
        network = ResNet(_depths(weights))
        weights = {n: w for n, w in weights.items() if not n.startswith("fc.")}
    elif "conv1.weight" in weights and "conv1.bias" in weights:
        network = PlainCnn(weights)
    else:
        raise CheckpointError(
            f"{os.fspath(path)} holds neither a ResNet of bottlenecks nor plain convolutions "
            "conv1, conv2...; for any other network pass a function from photo to features"
        )
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        lines = " ".join(str(error).split())
        raise CheckpointError(f"{os.fspath(path)} does not fit: {lines[:300]}") from error
    return GridCnn(network.requires_grad_(False).to(device))


class PlainCnn(nn.Sequential):
    """Convolutions of stride 2 with a ReLU after each, named conv1, conv2..."""

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        super().__init__()
        for name in sorted(n.removesuffix(".weight") for n in weights if n.endswith(".weight")):
            out, into, height, _ = weights[f"{name}.weight"].shape
            self.add_module(name, nn.Conv2d(into, out, height, stride=2, padding=height // 2))

    def forward(self, x: Tensor) -> Tensor:
        """(batch, 3, height, width) to (batch, channels, height / 2ⁿ, width / 2ⁿ)."""
        for layer in self:
            x = F.relu(layer(x))
        return x


class Bottleneck(nn.Module):
    """Three convolutions beside a shortcut; the first one has the stride."""

    def __init__(self, into: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(into, width, 1, stride, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.downsample: nn.Module | None = None
        if stride != 1 or into != 4 * width:
            self.downsample = nn.Sequential(
                nn.Conv2d(into, 4 * width, 1, stride, bias=False), nn.BatchNorm2d(4 * width)
            )

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, height, width)."""
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        shortcut = x if self.downsample is None else self.downsample(x)
        return F.relu(self.bn3(self.conv3(y)) + shortcut)


class ResNet(nn.Module):
    """ResNet without its classifier, stride 32."""

    def __init__(self, depths: tuple[int, ...]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        into = 64
        for stage, depth in enumerate(depths):
            blocks, width = [], 64 * 2**stage
            for number in range(depth):
                blocks.append(Bottleneck(into, width, 2 if stage and not number else 1))
                into = 4 * width
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))

    def forward(self, x: Tensor) -> Tensor:
        """(batch, 3, height, width) to (batch, 2048, height / 32, width / 32)."""
        x = F.relu(self.bn1(self.conv1(x)))
        x = F.max_pool2d(x, 3, stride=2, ceil_mode=True)
        for stage in range(1, 5):
            x = cast(nn.Module, getattr(self, f"layer{stage}"))(x)
        return x


def _depths(weights: Mapping[str, Tensor]) -> tuple[int, ...]:
    """Blocks of each stage: (3, 4, 23, 3) for ResNet-101."""
    found = {tuple(map(int, m.groups())) for n in weights if (m := _BLOCK.match(n))}
    return tuple(
        1 + max(b for s, b in found if s == stage) for stage in sorted({s for s, _ in found})
    )


_BLOCK = re.compile(r"layer([1-4])\.(\d+)\.")

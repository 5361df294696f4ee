"""ResNet backbones under other names: torchvision's, timm's and detectron2's.

They become transformers' own ResNet, so that neither timm nor torchvision is needed.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor, nn

from regard.errors import CheckpointError

_STEM = "embedder.embedder."
_BLOCK = re.compile(r"layer([1-4])\.(\d+)\.(conv|bn)([123])\.(\w+)")
_SHORTCUT = re.compile(r"layer([1-4])\.(\d+)\.downsample\.([01])\.(\w+)")
_DETECTRON = re.compile(r"res([2-5])\.(\d+)\.(conv[123]|shortcut)\.(norm\.)?(\w+)")
_PARTS = {"conv": "convolution", "bn": "normalization", "0": "convolution", "1": "normalization"}


def torchvision_name(name: str) -> str | None:
    """Name in transformers' ResNet of a weight in torchvision's or timm's; None if it has none.

    >>> torchvision_name("layer2.0.bn3.weight")
    'encoder.stages.1.layers.0.layer.2.normalization.weight'
    """
    if name.startswith(("conv1.", "bn1.")):
        part, _, rest = name.partition(".")
        return f"{_STEM}{_PARTS[part[:-1]]}.{rest}"
    if found := _BLOCK.fullmatch(name):
        stage, block, part, number, rest = found.groups()
        place = f"encoder.stages.{int(stage) - 1}.layers.{block}.layer.{int(number) - 1}"
        return f"{place}.{_PARTS[part]}.{rest}"
    if found := _SHORTCUT.fullmatch(name):
        stage, block, part, rest = found.groups()
        return f"encoder.stages.{int(stage) - 1}.layers.{block}.shortcut.{_PARTS[part]}.{rest}"
    return None


def detectron_name(name: str) -> str | None:
    """Name in transformers' ResNet of a weight in detectron2's; None if it has none.

    >>> detectron_name("res3.0.shortcut.norm.weight")
    'encoder.stages.1.layers.0.shortcut.normalization.weight'
    """
    if name.startswith("stem.conv1."):
        rest = name.removeprefix("stem.conv1.")
        if rest.startswith("norm."):
            return f"{_STEM}normalization.{rest.removeprefix('norm.')}"
        return f"{_STEM}convolution.{rest}"
    found = _DETECTRON.fullmatch(name)
    if found is None:
        return None
    stage, block, part, norm, rest = found.groups()
    where = "shortcut" if part == "shortcut" else f"layer.{int(part[-1]) - 1}"
    kind = "normalization" if norm else "convolution"
    return f"encoder.stages.{int(stage) - 2}.layers.{block}.{where}.{kind}.{rest}"


def resnet_config(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    """Settings of transformers' ResNet for weights that have its names.

    Raises:
        CheckpointError: No ResNet, or one of another build (wide, grouped).
    """
    stem = weights.get(f"{_STEM}convolution.weight")
    depths = [_count(weights, rf"encoder\.stages\.{stage}\.layers\.(\d+)\.") for stage in range(4)]
    if stem is None or not all(depths):
        raise CheckpointError("the backbone's weights are not those of a ResNet")
    last = 2 if "encoder.stages.0.layers.0.layer.2.convolution.weight" in weights else 1
    sizes = [
        len(weights[f"encoder.stages.{stage}.layers.0.layer.{last}.convolution.weight"])
        for stage in range(4)
    ]
    return {
        "model_type": "resnet",
        "embedding_size": len(stem),
        "hidden_sizes": sizes,
        "depths": depths,
        "layer_type": "bottleneck" if last == 2 else "basic",
        "out_features": ["stage1", "stage2", "stage3", "stage4"],
    }


def dilate(backbone: nn.Module) -> None:
    """Let the last stage of transformers' ResNet run at the stride of the one before (DC5).

    The stride of its first block becomes dilation 2 of the blocks after it: the weights are the
    same. Source: ``replace_stride_with_dilation`` of torchvision's ResNet.

    Args:
        backbone: A ResNet of transformers, or a module that holds one.
    """
    stages: Any = next(m.stages for m in backbone.modules() if hasattr(m, "stages"))
    for number, block in enumerate(stages[-1].layers):
        for conv in (m for m in block.modules() if isinstance(m, nn.Conv2d)):
            conv.stride = (1, 1)
            if number and conv.kernel_size == (3, 3):
                conv.dilation = conv.padding = (2, 2)


def _count(names: Iterable[str], pattern: str) -> int:
    found = (re.match(pattern, name) for name in names)
    return 1 + max((int(match[1]) for match in found if match), default=-1)

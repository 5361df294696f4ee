"""ResNet as detectron2 names and builds it: frozen norms, stride in the 3x3 convolution.

Source: He et al. 2016, "Deep Residual Learning for Image Recognition".
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_EPS = 1e-5


class FrozenBatchNorm(nn.Module):
    """Batch norm that always uses its stored statistics."""

    weight: Tensor
    bias: Tensor
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.ones(channels))
        self.register_buffer("bias", torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, features: Tensor) -> Tensor:
        """(batch, channels, height, width), normalised per channel."""
        return F.batch_norm(
            features, self.running_mean, self.running_var, self.weight, self.bias, eps=_EPS
        )


class ConvNorm(nn.Conv2d):
    """Convolution without bias, and its norm inside of it, as the checkpoints name it."""

    def __init__(self, before: int, after: int, kernel: int, *, stride: int = 1) -> None:
        super().__init__(before, after, kernel, stride=stride, padding=kernel // 2, bias=False)
        self.norm = FrozenBatchNorm(after)

    def forward(self, features: Tensor) -> Tensor:
        """Convolved and normalised."""
        return self.norm(super().forward(features))


class Stem(nn.Module):
    """7x7 convolution and max-pool: stride 4."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = ConvNorm(3, channels, 7, stride=2)

    def forward(self, pixels: Tensor) -> Tensor:
        """(batch, 3, height, width) -> (batch, channels, height / 4, width / 4)."""
        return F.max_pool2d(F.relu(self.conv1(pixels)), kernel_size=3, stride=2, padding=1)


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolution beside a shortcut."""

    def __init__(self, before: int, inner: int, after: int, *, stride: int, project: bool) -> None:
        super().__init__()
        self.conv1 = ConvNorm(before, inner, 1)
        self.conv2 = ConvNorm(inner, inner, 3, stride=stride)
        self.conv3 = ConvNorm(inner, after, 1)
        self.shortcut = ConvNorm(before, after, 1, stride=stride) if project else nn.Identity()

    def forward(self, features: Tensor) -> Tensor:
        """Features at ``stride`` times the stride that they come in at."""
        inner = F.relu(self.conv2(F.relu(self.conv1(features))))
        return F.relu(self.conv3(inner) + self.shortcut(features))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut, as in ResNet-18 and 34."""

    def __init__(self, before: int, after: int, *, stride: int, project: bool) -> None:
        super().__init__()
        self.conv1 = ConvNorm(before, after, 3, stride=stride)
        self.conv2 = ConvNorm(after, after, 3)
        self.shortcut = ConvNorm(before, after, 1, stride=stride) if project else nn.Identity()

    def forward(self, features: Tensor) -> Tensor:
        """Features at ``stride`` times the stride that they come in at."""
        return F.relu(self.conv2(F.relu(self.conv1(features))) + self.shortcut(features))


class ResNet(nn.Module):
    """ResNet with the outputs ``res2`` to ``res5`` (strides 4, 8, 16, 32).

    Args:
        stem_channels: Channels after the stem.
        blocks: Blocks of each stage, e.g. (3, 4, 6, 3) for ResNet-50.
        inner_channels: Channels inside the bottlenecks of each stage; ``None`` for basic blocks,
            as in ResNet-18 and 34.
        channels: Channels of each output.
    """

    def __init__(
        self,
        *,
        stem_channels: int = 64,
        blocks: Sequence[int] = (3, 4, 6, 3),
        inner_channels: Sequence[int] | None = (64, 128, 256, 512),
        channels: Sequence[int] = (256, 512, 1024, 2048),
    ) -> None:
        super().__init__()
        self.channels = tuple(channels)
        self.stem = Stem(stem_channels)
        before = [stem_channels, *channels]
        inner: Sequence[int | None] = inner_channels or [None] * len(channels)
        sizes = zip(before[:-1], inner, channels, blocks, (1, 2, 2, 2), strict=True)
        self.res2, self.res3, self.res4, self.res5 = (
            _stage(narrow, middle, wide, count, stride=stride)
            for narrow, middle, wide, count, stride in sizes
        )

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """Features at strides 4, 8, 16 and 32 of (batch, 3, height, width) pixels."""
        features, outputs = self.stem(pixels), []
        for stage in (self.res2, self.res3, self.res4, self.res5):
            features = stage(features)
            outputs.append(features)
        return outputs


def _stage(
    before: int, inner: int | None, after: int, blocks: int, *, stride: int
) -> nn.Sequential:
    first = _block(before, inner, after, stride=stride)
    return nn.Sequential(first, *(_block(after, inner, after) for _ in range(blocks - 1)))


def _block(before: int, inner: int | None, after: int, *, stride: int = 1) -> nn.Module:
    project = stride > 1 or before != after
    if inner is None:
        return BasicBlock(before, after, stride=stride, project=project)
    return Bottleneck(before, inner, after, stride=stride, project=project)

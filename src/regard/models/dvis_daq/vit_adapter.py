"""ViT-Adapter: a plain ViT becomes a backbone with features of four strides.

DVIS-DAQ's form writes nothing back into the ViT: its tokens are those of plain DINOv2, and
features of strides 8, 16 and 32 read them by deformable attention.

Source: Chen et al. 2023, "Vision Transformer Adapter for Dense Predictions", section 3.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from regard.models.dvis_daq.deformable import DeformableAttention, cell_centres
from regard.models.dvis_daq.dinov2 import PATCH_PX, VisionTransformer

_EPS = 1e-6
_STAGES = 4

Sizes = Sequence[tuple[int, int]]


class DepthwiseConv(nn.Module):
    """One 3x3 convolution, over the cells of each stride by themselves."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)

    def forward(self, tokens: Tensor, sizes_hw: Sizes) -> Tensor:
        """(batch, tokens of all strides, channels)."""
        return torch.cat(
            [self.dwconv(level).flatten(2).transpose(1, 2) for level in as_maps(tokens, sizes_hw)],
            dim=1,
        )


class ConvFeedForward(nn.Module):
    """Two linear maps with a convolution and a GELU between them."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(channels, width)
        self.dwconv = DepthwiseConv(width)
        self.fc2 = nn.Linear(width, channels)

    def forward(self, tokens: Tensor, sizes_hw: Sizes) -> Tensor:
        """(batch, tokens of all strides, channels)."""
        return self.fc2(F.gelu(self.dwconv(self.fc1(tokens), sizes_hw)))


class Extractor(nn.Module):
    """The features of three strides read the ViT's patches."""

    def __init__(self, channels: int, heads: int, width: int) -> None:
        super().__init__()
        self.query_norm = nn.LayerNorm(channels, eps=_EPS)
        self.feat_norm = nn.LayerNorm(channels, eps=_EPS)
        self.attn = DeformableAttention(channels, heads, levels=1)
        self.ffn = ConvFeedForward(channels, width)
        self.ffn_norm = nn.LayerNorm(channels, eps=_EPS)

    def forward(self, tokens: Tensor, patches: Tensor, sizes_hw: Sizes) -> Tensor:
        """(batch, tokens of all strides, channels); ``patches`` lie at the middle stride."""
        centres = cell_centres(sizes_hw, tokens.device)
        read = self.attn(self.query_norm(tokens), centres, self.feat_norm(patches), sizes_hw[1:2])
        tokens = tokens + read
        return tokens + self.ffn(self.ffn_norm(tokens), sizes_hw)


class Interaction(nn.Module):
    """Reading the ViT after some of its blocks."""

    def __init__(self, channels: int, heads: int, width: int, *, extra: int) -> None:
        super().__init__()
        self.extractor = Extractor(channels, heads, width)
        self.extra_extractors = nn.ModuleList(
            Extractor(channels, heads, width) for _ in range(extra)
        )

    def forward(self, tokens: Tensor, patches: Tensor, sizes_hw: Sizes) -> Tensor:
        """(batch, tokens of all strides, channels)."""
        for extractor in (self.extractor, *self.extra_extractors):
            tokens = extractor(tokens, patches, sizes_hw)
        return tokens


class SpatialPrior(nn.Module):
    """A small convolutional network: what the features are before they read the ViT."""

    def __init__(self, inner: int, channels: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            *_conv_norm(3, inner, stride=2),
            *_conv_norm(inner, inner),
            *_conv_norm(inner, inner),
            nn.MaxPool2d(kernel_size=3, stride=2, padding=1),
        )
        self.conv2 = nn.Sequential(*_conv_norm(inner, 2 * inner, stride=2))
        self.conv3 = nn.Sequential(*_conv_norm(2 * inner, 4 * inner, stride=2))
        self.conv4 = nn.Sequential(*_conv_norm(4 * inner, 4 * inner, stride=2))
        self.fc1, self.fc2, self.fc3, self.fc4 = (
            nn.Conv2d(factor * inner, channels, 1) for factor in (1, 2, 4, 4)
        )

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """Features at strides 4, 8, 16 and 32."""
        finest = self.stem(pixels)
        second = self.conv2(finest)
        third = self.conv3(second)
        fourth = self.conv4(third)
        return [self.fc1(finest), self.fc2(second), self.fc3(third), self.fc4(fourth)]


class VitAdapter(nn.Module):
    """DINOv2 with an adapter around it.

    Args:
        vit: The transformer; its blocks are run in four parts of equal length.
        channels: Width of a token and of each output.
        heads: Heads of the deformable attention.
        inner_channels: Channels of the convolutional stem.
        width: Inner width of the feed-forward parts of the extractors.
        extra_extractors: Readings after the last one.
    """

    def __init__(
        self,
        vit: VisionTransformer,
        *,
        channels: int,
        heads: int,
        inner_channels: int,
        width: int,
        extra_extractors: int = 2,
    ) -> None:
        super().__init__()
        self.channels = (channels,) * _STAGES
        self.level_embed = nn.Parameter(torch.zeros(3, channels))
        self.spm = SpatialPrior(inner_channels, channels)
        self.interactions = nn.ModuleList(
            Interaction(
                channels, heads, width, extra=extra_extractors if stage == _STAGES - 1 else 0
            )
            for stage in range(_STAGES)
        )
        self.up = nn.ConvTranspose2d(channels, channels, 2, stride=2)
        self.norm1, self.norm2, self.norm3, self.norm4 = map(nn.BatchNorm2d, self.channels)
        self.vit_module = vit

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """Features at strides 4, 8, 16 and 32 of (batch, 3, height, width) pixels.

        Height and width must be multiples of 32.
        """
        finest, *coarser = self.spm(pixels)
        sizes = [(level.shape[2], level.shape[3]) for level in coarser]
        tokens = torch.cat(
            [
                level.flatten(2).transpose(1, 2) + embed
                for level, embed in zip(coarser, self.level_embed, strict=True)
            ],
            dim=1,
        )
        grid_hw = (pixels.shape[2] // PATCH_PX, pixels.shape[3] // PATCH_PX)
        seen, vit = [], self.vit_module.tokens(pixels)
        part = len(self.vit_module.blocks) // _STAGES
        for stage, interaction in enumerate(self.interactions):
            for block in self.vit_module.blocks[stage * part : (stage + 1) * part]:
                vit = block(vit)
            patches = vit[:, 1:]
            tokens = interaction(tokens, patches, sizes)
            seen.append(patches.transpose(1, 2).unflatten(2, grid_hw))
        second, third, fourth = as_maps(tokens, sizes)
        maps = [self.up(second) + finest, second, third, fourth]
        norms = (self.norm1, self.norm2, self.norm3, self.norm4)
        return [
            norm(level + _scaled(of_vit, factor))
            for norm, level, of_vit, factor in zip(norms, maps, seen, (4, 2, 1, 0.5), strict=True)
        ]


def as_maps(tokens: Tensor, sizes_hw: Sizes) -> list[Tensor]:
    """Tokens of several levels as maps, (batch, channels, height, width) each."""
    parts = tokens.split([height * width for height, width in sizes_hw], dim=1)
    return [
        part.transpose(1, 2).unflatten(2, size) for part, size in zip(parts, sizes_hw, strict=True)
    ]


def _scaled(features: Tensor, factor: float) -> Tensor:
    if factor == 1:
        return features
    return F.interpolate(features, scale_factor=factor, mode="bilinear", align_corners=False)


def _conv_norm(before: int, after: int, *, stride: int = 1) -> list[nn.Module]:
    return [
        nn.Conv2d(before, after, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(),
    ]

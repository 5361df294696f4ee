"""Pixel decoder: features of three strides look at each other, then grow to stride 4.

Source: Cheng et al. 2022, "Masked-attention Mask Transformer", section 3.2.2.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from regard.models.dvis_daq.deformable import DeformableAttention, cell_centres
from regard.models.dvis_daq.position import sine_position

LEVEL_STRIDES_PX = (32, 16, 8)
"""Strides of the levels that the predictor looks at, in its order."""

_GROUPS = 32


class EncoderLayer(nn.Module):
    """Deformable self-attention over all levels, then two linear maps; post-norm."""

    def __init__(self, channels: int, heads: int, width: int) -> None:
        super().__init__()
        self.self_attn = DeformableAttention(channels, heads, levels=len(LEVEL_STRIDES_PX))
        self.norm1 = nn.LayerNorm(channels)
        self.linear1 = nn.Linear(channels, width)
        self.linear2 = nn.Linear(width, channels)
        self.norm2 = nn.LayerNorm(channels)

    def forward(
        self,
        tokens: Tensor,
        position: Tensor,
        reference_points: Tensor,
        sizes_hw: Sequence[tuple[int, int]],
    ) -> Tensor:
        """(batch, tokens of all levels, channels)."""
        read = self.self_attn(tokens + position, reference_points, tokens, sizes_hw)
        tokens = self.norm1(tokens + read)
        return self.norm2(tokens + self.linear2(F.relu(self.linear1(tokens))))


class Encoder(nn.Module):
    """The encoder layers, one after the other."""

    def __init__(self, layers: int, channels: int, heads: int, width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(EncoderLayer(channels, heads, width) for _ in range(layers))


class EncoderTransformer(nn.Module):
    """Joins the levels to one row of tokens, runs the encoder, parts them again."""

    def __init__(self, layers: int, channels: int, heads: int, width: int) -> None:
        super().__init__()
        self.level_embed = nn.Parameter(torch.zeros(len(LEVEL_STRIDES_PX), channels))
        self.encoder = Encoder(layers, channels, heads, width)

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        """Each level (batch, channels, height, width), after it looked at all of them."""
        sizes = [(level.shape[2], level.shape[3]) for level in levels]
        tokens = torch.cat([level.flatten(2).transpose(1, 2) for level in levels], dim=1)
        channels, device = tokens.shape[2], tokens.device
        position = torch.cat(
            [
                sine_position(size, channels, device).to(tokens.dtype) + embed
                for size, embed in zip(sizes, self.level_embed, strict=True)
            ]
        )
        centres = cell_centres(sizes, device)
        for layer in self.encoder.layers:
            tokens = layer(tokens, position, centres, sizes)
        parts = tokens.split([height * width for height, width in sizes], dim=1)
        return [
            part.transpose(1, 2).unflatten(2, size) for part, size in zip(parts, sizes, strict=True)
        ]


class ConvGroupNorm(nn.Conv2d):
    """Convolution without bias, and its group norm inside of it, as the checkpoints name it."""

    def __init__(self, before: int, after: int, kernel: int) -> None:
        super().__init__(before, after, kernel, padding=kernel // 2, bias=False)
        self.norm = nn.GroupNorm(_GROUPS, after)

    def forward(self, features: Tensor) -> Tensor:
        """Convolved and normalised."""
        return self.norm(super().forward(features))


class PixelDecoder(nn.Module):
    """Backbone features to mask features and the levels of the predictor.

    Args:
        backbone_channels: Channels at strides 4, 8, 16 and 32.
        channels: Channels of all that comes out, but for the mask features.
        mask_channels: Channels of the mask features.
        heads: Heads of the deformable attention.
        layers: Encoder layers.
        width: Inner width of the encoder layers.
    """

    def __init__(
        self,
        backbone_channels: Sequence[int],
        *,
        channels: int,
        mask_channels: int,
        heads: int,
        layers: int = 6,
        width: int = 1024,
    ) -> None:
        super().__init__()
        finest, *attended = backbone_channels
        self.input_proj = nn.ModuleList(
            nn.Sequential(nn.Conv2d(before, channels, 1), nn.GroupNorm(_GROUPS, channels))
            for before in reversed(attended)
        )
        self.transformer = EncoderTransformer(layers, channels, heads, width)
        self.adapter_1 = ConvGroupNorm(finest, channels, 1)
        self.layer_1 = ConvGroupNorm(channels, channels, 3)
        self.mask_features = nn.Conv2d(channels, mask_channels, 1)

    def forward(self, features: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Mask features at stride 4, and the levels at strides 32, 16 and 8.

        Args:
            features: Of the backbone, at strides 4, 8, 16 and 32.
        """
        finest, *attended = features
        levels = self.transformer(
            [project(level) for project, level in zip(self.input_proj, attended[::-1], strict=True)]
        )
        grown = F.interpolate(
            levels[-1], size=finest.shape[-2:], mode="bilinear", align_corners=False
        )
        joined = F.relu(self.layer_1(self.adapter_1(finest) + grown))
        return self.mask_features(joined), levels

"""DINOv2's vision transformer with patches of 16 pixels, as the ViT-Adapter carries it.

Source: Oquab et al. 2023, "DINOv2: Learning Robust Visual Features without Supervision".
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PATCH_PX = 16
_EPS = 1e-6


class Attention(nn.Module):
    """Self-attention of all tokens."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)

    def forward(self, tokens: Tensor) -> Tensor:
        """(batch, tokens, channels)."""
        q, k, v = self.qkv(tokens).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(q, k, v)
        return self.proj(attended.transpose(1, 2).flatten(2))


class LayerScale(nn.Module):
    """One learned factor a channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(channels))

    def forward(self, tokens: Tensor) -> Tensor:
        """(batch, tokens, channels)."""
        return tokens * self.gamma


class FeedForward(nn.Module):
    """Two linear maps with a GELU between them."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(channels, width)
        self.fc2 = nn.Linear(width, channels)

    def forward(self, tokens: Tensor) -> Tensor:
        """(batch, tokens, channels)."""
        return self.fc2(F.gelu(self.fc1(tokens)))


class Block(nn.Module):
    """Attention and feed-forward; pre-norm, scaled by channel."""

    def __init__(self, channels: int, heads: int, width: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels, eps=_EPS)
        self.attn = Attention(channels, heads)
        self.ls1 = LayerScale(channels)
        self.norm2 = nn.LayerNorm(channels, eps=_EPS)
        self.mlp = FeedForward(channels, width)
        self.ls2 = LayerScale(channels)

    def forward(self, tokens: Tensor) -> Tensor:
        """(batch, tokens, channels)."""
        tokens = tokens + self.ls1(self.attn(self.norm1(tokens)))
        return tokens + self.ls2(self.mlp(self.norm2(tokens)))


class PatchEmbed(nn.Module):
    """One token for each patch."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, channels, PATCH_PX, stride=PATCH_PX)

    def forward(self, pixels: Tensor) -> Tensor:
        """(batch, 3, height, width) -> (batch, patches, channels)."""
        return self.proj(pixels).flatten(2).transpose(1, 2)


class VisionTransformer(nn.Module):
    """Tokens and blocks; the adapter runs the blocks, some at a time.

    Args:
        channels: Width of a token.
        heads: Attention heads.
        blocks: Number of blocks.
        width: Inner width of the feed-forward parts.
        positions: Tokens that the position embedding was trained for, the class token included.
    """

    def __init__(
        self, *, channels: int, heads: int, blocks: int, width: int, positions: int
    ) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, channels))
        self.pos_embed = nn.Parameter(torch.zeros(1, positions, channels))
        self.patch_embed = PatchEmbed(channels)
        self.blocks = nn.ModuleList(Block(channels, heads, width) for _ in range(blocks))

    def tokens(self, pixels: Tensor) -> Tensor:
        """Class token, then patches row by row: (batch, 1 + patches, channels)."""
        patches = self.patch_embed(pixels)
        tokens = torch.cat([self.cls_token.expand(len(pixels), -1, -1), patches], dim=1)
        height, width = pixels.shape[-2] // PATCH_PX, pixels.shape[-1] // PATCH_PX
        return tokens + self._positions(height, width).to(tokens.dtype)

    def _positions(self, height: int, width: int) -> Tensor:
        """Position embedding of a grid, (1, 1 + height · width, channels).

        The scale factor is a little too large, as in DINOv2's own code; it shifts the grid.
        """
        side = math.isqrt(self.pos_embed.shape[1] - 1)
        if height == width == side:
            return self.pos_embed
        first, grid = self.pos_embed[:, :1], self.pos_embed[:, 1:]
        resized = F.interpolate(
            grid.transpose(1, 2).unflatten(2, (side, side)).float(),
            scale_factor=((height + 0.1) / side, (width + 0.1) / side),
            mode="bicubic",
        )
        return torch.cat([first, resized.flatten(2).transpose(1, 2).to(first.dtype)], dim=1)

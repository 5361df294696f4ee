"""Swin transformer as a backbone with features of four strides.

Source: Liu et al. 2021, "Swin Transformer: Hierarchical Vision Transformer using Shifted Windows".
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_PATCH_PX = 4
_APART = -100.0
"""Added to the scores of two tokens that only the shift brought into one window."""


class WindowAttention(nn.Module):
    """Self-attention inside of windows, with a learned bias for each relative position."""

    relative_position_index: Tensor

    def __init__(self, channels: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads = heads
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * window - 1) ** 2, heads))
        self.register_buffer("relative_position_index", _relative_index(window))
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)

    def forward(self, windows: Tensor, apart: Tensor | None) -> Tensor:
        """(batch, windows, tokens, channels).

        Args:
            windows: (batch, windows, tokens, channels).
            apart: Added to the scores, (windows, tokens, tokens).
        """
        batch = windows.shape[0]
        tokens = windows.flatten(0, 1)
        q, k, v = self.qkv(tokens).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        bias = self.relative_position_bias_table[self.relative_position_index].permute(2, 0, 1)
        if apart is not None:
            bias = (bias + apart[:, None]).repeat(batch, 1, 1, 1)
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        out = self.proj(attended.transpose(1, 2).flatten(2))
        return out.unflatten(0, (batch, -1))


class FeedForward(nn.Module):
    """Two linear maps with a GELU between them."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(channels, width)
        self.fc2 = nn.Linear(width, channels)

    def forward(self, tokens: Tensor) -> Tensor:
        """(..., channels)."""
        return self.fc2(F.gelu(self.fc1(tokens)))


class Block(nn.Module):
    """Window attention, every other time with shifted windows, and feed-forward; pre-norm."""

    def __init__(self, channels: int, heads: int, window: int, *, shifted: bool) -> None:
        super().__init__()
        self.window, self.shift = window, window // 2 if shifted else 0
        self.norm1 = nn.LayerNorm(channels)
        self.attn = WindowAttention(channels, heads, window)
        self.norm2 = nn.LayerNorm(channels)
        self.mlp = FeedForward(channels, 4 * channels)

    def forward(self, cells: Tensor) -> Tensor:
        """(batch, height, width, channels)."""
        cells = cells + self._attend(self.norm1(cells))
        return cells + self.mlp(self.norm2(cells))

    def _attend(self, cells: Tensor) -> Tensor:
        height, width = cells.shape[1:3]
        padded = F.pad(cells, (0, 0, 0, -width % self.window, 0, -height % self.window))
        apart = None
        if self.shift:
            padded = padded.roll((-self.shift, -self.shift), dims=(1, 2))
            apart = _apart(padded.shape[1], padded.shape[2], self.window, self.shift, cells)
        size = (padded.shape[1], padded.shape[2])
        attended = _joined(self.attn(_windows(padded, self.window), apart), size, self.window)
        if self.shift:
            attended = attended.roll((self.shift, self.shift), dims=(1, 2))
        return attended[:, :height, :width]


class PatchMerging(nn.Module):
    """Four neighbouring cells become one."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.reduction = nn.Linear(4 * channels, 2 * channels, bias=False)
        self.norm = nn.LayerNorm(4 * channels)

    def forward(self, cells: Tensor) -> Tensor:
        """(batch, height, width, channels) -> (batch, height / 2, width / 2, 2 · channels)."""
        height, width = cells.shape[1:3]
        cells = F.pad(cells, (0, 0, 0, width % 2, 0, height % 2))
        corners = [cells[:, y::2, x::2] for x in (0, 1) for y in (0, 1)]
        return self.reduction(self.norm(torch.cat(corners, dim=-1)))


class Stage(nn.Module):
    """Blocks at one stride, and the way to the next."""

    def __init__(
        self, channels: int, heads: int, window: int, blocks: int, *, is_last: bool
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            Block(channels, heads, window, shifted=bool(index % 2)) for index in range(blocks)
        )
        self.downsample = nn.Identity() if is_last else PatchMerging(channels)

    def forward(self, cells: Tensor) -> tuple[Tensor, Tensor]:
        """Cells (batch, height, width, channels) after the blocks; and as the next stage's."""
        for block in self.blocks:
            cells = block(cells)
        return cells, self.downsample(cells)


class PatchEmbed(nn.Module):
    """One token for each 4x4 patch."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, channels, _PATCH_PX, stride=_PATCH_PX)
        self.norm = nn.LayerNorm(channels)

    def forward(self, pixels: Tensor) -> Tensor:
        """(batch, 3, height, width) -> (batch, height / 4, width / 4, channels)."""
        return self.norm(self.proj(pixels).permute(0, 2, 3, 1))


class Swin(nn.Module):
    """Swin transformer with the outputs of all stages (strides 4, 8, 16, 32).

    Args:
        channels: Width of a token in the first stage; it doubles with each stage.
        blocks: Blocks of each stage.
        heads: Attention heads of each stage.
        window: Height and width of a window, in tokens.
    """

    def __init__(
        self, *, channels: int, blocks: Sequence[int], heads: Sequence[int], window: int
    ) -> None:
        super().__init__()
        self.channels = tuple(channels * 2**stage for stage in range(len(blocks)))
        self.patch_embed = PatchEmbed(channels)
        self.layers = nn.ModuleList(
            Stage(width, of_stage, window, count, is_last=stage == len(blocks) - 1)
            for stage, (width, of_stage, count) in enumerate(
                zip(self.channels, heads, blocks, strict=True)
            )
        )
        self.norm0, self.norm1, self.norm2, self.norm3 = map(nn.LayerNorm, self.channels)

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """Features at strides 4, 8, 16 and 32 of (batch, 3, height, width) pixels."""
        cells, outputs = self.patch_embed(pixels), []
        norms = (self.norm0, self.norm1, self.norm2, self.norm3)
        for stage, norm in zip(self.layers, norms, strict=True):
            seen, cells = stage(cells)
            outputs.append(norm(seen).permute(0, 3, 1, 2).contiguous())
        return outputs


def _relative_index(window: int) -> Tensor:
    """Row of the bias table for each pair of tokens of a window, (tokens, tokens)."""
    y, x = torch.meshgrid(torch.arange(window), torch.arange(window), indexing="ij")
    places = torch.stack([y.flatten(), x.flatten()])
    apart = places[:, :, None] - places[:, None] + window - 1
    return apart[0] * (2 * window - 1) + apart[1]


def _windows(cells: Tensor, window: int) -> Tensor:
    """(batch, height, width, channels) -> (batch, windows, tokens, channels)."""
    parted = cells.unflatten(2, (-1, window)).unflatten(1, (-1, window))
    return parted.transpose(2, 3).flatten(3, 4).flatten(1, 2)


def _joined(windows: Tensor, size_hw: tuple[int, int], window: int) -> Tensor:
    """(batch, windows, tokens, channels) -> (batch, height, width, channels)."""
    parted = windows.unflatten(2, (window, window)).unflatten(1, (-1, size_hw[1] // window))
    return parted.transpose(2, 3).flatten(3, 4).flatten(1, 2)


def _apart(height: int, width: int, window: int, shift: int, like: Tensor) -> Tensor:
    """What keeps apart tokens that the shift brought together, (windows, tokens, tokens)."""

    def region(length: int) -> Tensor:
        """0 before the last window, 1 in it, 2 where the shift wrapped around."""
        place = torch.arange(length, device=like.device)
        return (place >= length - window).long() + (place >= length - shift).long()

    regions = 3 * region(height)[:, None] + region(width)
    of_window = _windows(regions[None, :, :, None], window)[0, :, :, 0]
    differ = of_window[:, :, None] != of_window[:, None]
    return differ.to(like.dtype) * _APART

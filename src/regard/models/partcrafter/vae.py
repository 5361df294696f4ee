"""The decoder that turns a part's latent tokens into a field in space, above zero inside the part.

The encoder is only used to train and is not built; its weights in a checkpoint are left out.

Source: TripoSG (arXiv:2502.06608), whose autoencoder PartCrafter keeps; the released weights.
"""

from dataclasses import dataclass, fields
from typing import Any, Self

import torch
from torch import Tensor, nn

from regard.models.partcrafter.attention import FeedForward, InterleavedAttention

UNUSED = ("encoder.", "quant.")
"""Prefixes of tensors that only training needs."""


@dataclass(frozen=True, kw_only=True)
class FieldDecoderConfig:
    """`vae/config.json`; the values of the released model are the defaults."""

    latent_channels: int = 64
    num_attention_heads: int = 8
    width_decoder: int = 1024
    num_layers_decoder: int = 16
    embed_frequency: int = 8
    embed_include_pi: bool = False

    @classmethod
    def from_json(cls, config: dict[str, Any]) -> Self:
        """The keys that concern the decoder."""
        known = {field.name for field in fields(cls)}
        return cls(**{key: value for key, value in config.items() if key in known})


class SelfBlock(nn.Module):
    """Self-attention over a part's tokens, and feed-forward."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.norm3 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn1 = InterleavedAttention(width, heads)
        self.ff = FeedForward(width)

    def forward(self, x: Tensor) -> Tensor:
        """(parts, tokens, width) to the same."""
        x = x + self.attn1(self.norm1(x))
        result: Tensor = x + self.ff(self.norm3(x))
        return result


class PointBlock(nn.Module):
    """Points in space read the part's tokens."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm2, self.norm3 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn2 = InterleavedAttention(width, heads, normalizes_context=True)
        self.ff = FeedForward(width)

    def forward(self, points: Tensor, tokens: Tensor) -> Tensor:
        """(parts, points, width) to the same."""
        points = points + self.attn2(self.norm2(points), tokens)
        result: Tensor = points + self.ff(self.norm3(points))
        return result


class _Decoder(nn.Module):
    def __init__(self, config: FieldDecoderConfig) -> None:
        super().__init__()
        width, heads = config.width_decoder, config.num_attention_heads
        blocks: list[nn.Module] = [
            SelfBlock(width, heads) for _ in range(config.num_layers_decoder)
        ]
        self.blocks = nn.ModuleList([*blocks, PointBlock(width, heads)])
        self.proj_query = nn.Linear(3 + 6 * config.embed_frequency, width)
        self.norm_out = nn.LayerNorm(width)
        self.proj_out = nn.Linear(width, 1)


class FieldDecoder(nn.Module):
    """Latents of parts to values at points."""

    def __init__(self, config: FieldDecoderConfig) -> None:
        super().__init__()
        self.config = config
        self.post_quant = nn.Linear(config.latent_channels, config.width_decoder)
        self.decoder = _Decoder(config)

    def tokens(self, latents: Tensor) -> Tensor:
        """What points read: (parts, tokens, latent channels) to (parts, tokens, width)."""
        x: Tensor = self.post_quant(latents)
        for block in self.decoder.blocks[:-1]:
            x = block(x)
        return x

    def values(self, tokens: Tensor, points: Tensor) -> Tensor:
        """The field at points.

        Args:
            tokens: (parts, tokens, width), of `tokens`.
            points: (parts or 1, points, 3), x y z.

        Returns:
            (parts, points, 1), above zero inside.
        """
        query = self.decoder.proj_query(self._waves(points).to(tokens.dtype))
        query = query.expand(len(tokens), -1, -1)
        query = self.decoder.blocks[-1](query, tokens)
        result: Tensor = -self.decoder.proj_out(self.decoder.norm_out(query))
        return result

    def forward(self, latents: Tensor, points: Tensor) -> Tensor:
        """Values at points, (parts, points, 1), from latents."""
        return self.values(self.tokens(latents), points)

    def _waves(self, points: Tensor) -> Tensor:
        powers = torch.arange(self.config.embed_frequency, device=points.device)
        frequencies = 2.0**powers * (torch.pi if self.config.embed_include_pi else 1)
        angles = (points[..., None] * frequencies).flatten(-2)
        return torch.cat([points, angles.sin(), angles.cos()], -1)

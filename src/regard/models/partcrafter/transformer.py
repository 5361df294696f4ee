"""The denoising transformer: latent tokens of all parts, a time token each, and the image.

Source: arXiv:2506.05573; the released configuration and weights, whose names it keeps.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from regard.errors import InputError
from regard.models.partcrafter.attention import FeedForward, InterleavedAttention


@dataclass(frozen=True, kw_only=True)
class TransformerConfig:
    """`transformer/config.json`; the values of the released object model are the defaults."""

    num_attention_heads: int = 16
    width: int = 2048
    in_channels: int = 64
    num_layers: int = 21
    cross_attention_dim: int = 1024
    max_num_parts: int = 32
    enable_part_embedding: bool = True
    enable_local_cross_attn: bool = True
    enable_global_cross_attn: bool = True
    global_attn_block_ids: tuple[int, ...] | None = None
    global_attn_block_id_range: tuple[int, int] | None = None

    @classmethod
    def from_json(cls, config: dict[str, Any]) -> Self:
        """The known keys of a configuration file; the rest says nothing about the network."""
        known = {field.name for field in fields(cls)}
        values = {key: value for key, value in config.items() if key in known}
        for key in ("global_attn_block_ids", "global_attn_block_id_range"):
            if values.get(key) is not None:
                values[key] = tuple(values[key])
        return cls(**values)

    @property
    def global_blocks(self) -> frozenset[int]:
        """Blocks in which the parts of an object attend together."""
        if self.global_attn_block_ids is not None:
            return frozenset(self.global_attn_block_ids)
        if self.global_attn_block_id_range is not None:
            first, last = self.global_attn_block_id_range
            return frozenset(range(first, last + 1))
        return frozenset()

    def sees_image(self, block: int) -> bool:
        """Whether a block reads the image, or zeros in its place."""
        if block in self.global_blocks:
            return self.enable_global_cross_attn
        return self.enable_local_cross_attn


class TimeProjection(nn.Module):
    """A time in 0..1000 as one token."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.linear_1 = nn.Linear(width, 4 * width)
        self.linear_2 = nn.Linear(4 * width, width)

    def forward(self, timestep: Tensor) -> Tensor:
        """(rows,) to (rows, width)."""
        half = self.width // 2
        exponents = torch.arange(half, dtype=torch.float32, device=timestep.device) / half
        angles = timestep.float()[:, None] * torch.exp(-math.log(10_000) * exponents)
        waves = torch.cat([angles.sin(), angles.cos()], -1).to(self.linear_1.weight.dtype)
        result: Tensor = self.linear_2(F.gelu(self.linear_1(waves)))
        return result


class Block(nn.Module):
    """Self-attention, attention to the image, feed-forward; late blocks take a skip."""

    def __init__(self, config: TransformerConfig, index: int) -> None:
        super().__init__()
        width, heads = config.width, config.num_attention_heads
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(width) for _ in range(3))
        self.attn1 = InterleavedAttention(width, heads, normalizes_heads=True)
        self.attn2 = InterleavedAttention(
            width, heads, config.cross_attention_dim, normalizes_heads=True
        )
        self.ff = FeedForward(width)
        self.takes_skip = index > config.num_layers // 2
        if self.takes_skip:
            self.skip_linear = nn.Linear(2 * width, width)
            self.skip_norm = nn.LayerNorm(width)

    def forward(
        self, x: Tensor, image: Tensor, parts: Sequence[int] | None, skip: Tensor | None
    ) -> Tensor:
        """(rows, 1 + tokens, width) to the same; `parts` is None in a local block."""
        if skip is not None:
            x = self.skip_norm(self.skip_linear(torch.cat([skip, x], -1)))
        x = x + self.attn1(self.norm1(x), parts=parts)
        x = x + self.attn2(self.norm2(x), image, parts)
        result: Tensor = x + self.ff(self.norm3(x))
        return result


class PartTransformer(nn.Module):
    """Predicts, from noisy latents, the direction to the clean ones (data minus noise)."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        self.time_proj = TimeProjection(config.width)
        if config.enable_part_embedding:
            self.part_embedding = nn.Embedding(config.max_num_parts, config.width)
        self.proj_in = nn.Linear(config.in_channels, config.width)
        self.blocks = nn.ModuleList(Block(config, i) for i in range(config.num_layers))
        self.norm_out = nn.LayerNorm(config.width)
        self.proj_out = nn.Linear(config.width, config.in_channels)

    def forward(
        self,
        latents: Tensor,
        timestep: Tensor,
        image: Tensor,
        parts: Sequence[int],
        part_ids: Tensor | None = None,
    ) -> Tensor:
        """One evaluation.

        Args:
            latents: (rows, tokens, in_channels), a row for each part of each object.
            timestep: (rows,), 0 to 1000.
            image: (rows, image tokens, cross_attention_dim); or (objects, ...), where all
                objects have equally many parts.
            parts: Number of parts of each object; their sum is the number of rows.
            part_ids: (rows,) which part embedding each row takes; by default 0, 1, 2, ... over
                all rows, as upstream counts when it generates.

        Returns:
            (rows, tokens, in_channels).

        Raises:
            InputError: Rows that do not add up, or more parts than there are embeddings.
        """
        if sum(parts) != len(latents):
            raise InputError(f"parts {list(parts)} need {sum(parts)} rows, got {len(latents)}")
        if part_ids is None:
            part_ids = torch.arange(len(latents), device=latents.device)
        x = torch.cat([self.time_proj(timestep)[:, None], self.proj_in(latents)], 1)
        if self.config.enable_part_embedding:
            x = x + self._embedding(part_ids)[:, None]
        skips: list[Tensor] = []
        middle = len(self.blocks) // 2
        for index, block in enumerate(self.blocks):
            seen = image if self.config.sees_image(index) else torch.zeros_like(image)
            together = parts if index in self.config.global_blocks else None
            x = block(x, seen, together, skips.pop() if block.takes_skip else None)
            if index < middle:
                skips.append(x)
        result: Tensor = self.proj_out(self.norm_out(x)[:, 1:])
        return result

    def _embedding(self, part_ids: Tensor) -> Tensor:
        most = self.config.max_num_parts
        if int(part_ids.max()) >= most:
            raise InputError(
                f"part id {int(part_ids.max())}, but this model has {most} part embeddings: "
                f"at most {most} parts without guidance, {most // 2} with it"
            )
        result: Tensor = self.part_embedding(part_ids)
        return result

"""The layers that every transformer in DVIS-DAQ is built of.

Post-norm, no dropout, batch first: tokens are (batch, tokens, channels).
"""

import itertools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class MultiheadAttention(nn.Module):
    """Attention with the parameters of `nn.MultiheadAttention`, always on the fused path.

    One mask serves all heads, so it is handed over once instead of once per head.

    Args:
        channels: Width of the tokens.
        heads: Number of heads; divides ``channels``.
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * channels, channels))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * channels))
        self.out_proj = nn.Linear(channels, channels)
        nn.init.xavier_uniform_(self.in_proj_weight)

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, blocked: Tensor | None = None
    ) -> Tensor:
        """Attended values, (batch, queries, channels).

        Args:
            query: (batch, queries, channels).
            key: (batch, keys, channels).
            value: (batch, keys, channels).
            blocked: bool (batch, queries, keys), True where a query may not attend.
        """
        weights, biases = self.in_proj_weight.chunk(3), self.in_proj_bias.chunk(3)
        q, k, v = (
            self._split(F.linear(tokens, weight, bias))
            for tokens, weight, bias in zip((query, key, value), weights, biases, strict=True)
        )
        allowed = None if blocked is None else ~blocked[:, None]
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=allowed)
        return self.out_proj(attended.transpose(1, 2).flatten(2))

    def _split(self, tokens: Tensor) -> Tensor:
        """(batch, tokens, channels) -> (batch, heads, tokens, channels of a head)."""
        return tokens.unflatten(2, (self.heads, -1)).transpose(1, 2)


class CrossAttentionLayer(nn.Module):
    """Tokens look at others: attention, sum, norm."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.multihead_attn = MultiheadAttention(channels, heads)
        self.norm = nn.LayerNorm(channels)

    def forward(
        self,
        tokens: Tensor,
        memory: Tensor,
        *,
        position: Tensor | float = 0.0,
        memory_position: Tensor | float = 0.0,
        blocked: Tensor | None = None,
    ) -> Tensor:
        """Tokens after they looked at ``memory``; positions are added to queries and keys only."""
        attended = self.multihead_attn(
            tokens + position, memory + memory_position, memory, blocked=blocked
        )
        return self.norm(tokens + attended)


class SelfAttentionLayer(nn.Module):
    """Tokens look at each other: attention, sum, norm."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.self_attn = MultiheadAttention(channels, heads)
        self.norm = nn.LayerNorm(channels)

    def forward(self, tokens: Tensor, *, position: Tensor | float = 0.0) -> Tensor:
        """Tokens after they looked at each other; positions are not added to the values."""
        placed = tokens + position
        return self.norm(tokens + self.self_attn(placed, placed, tokens))


class FeedForwardLayer(nn.Module):
    """Two linear maps with a ReLU between them, sum, norm."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.linear1 = nn.Linear(channels, width)
        self.linear2 = nn.Linear(width, channels)
        self.norm = nn.LayerNorm(channels)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens, each changed by itself."""
        return self.norm(tokens + self.linear2(F.relu(self.linear1(tokens))))


class MLP(nn.Module):
    """Linear maps with a ReLU between them.

    Args:
        widths: Channels that go in, those between, and those that come out.
    """

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Linear(before, after) for before, after in itertools.pairwise(widths)
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """(..., first width) -> (..., last width)."""
        for layer in self.layers[:-1]:
            tokens = F.relu(layer(tokens))
        return self.layers[-1](tokens)

"""The attentions of AoANet, and its own kind of layer normalisation."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BLOCKED = -1e9
"""Score of a key that is padding."""


class Norm(nn.Module):
    """Layer normalisation of the official code: unbiased deviation, epsilon added to it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.a_2 = nn.Parameter(torch.ones(width))
        self.b_2 = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        """Normalised along the last axis."""
        mean, deviation = x.mean(-1, keepdim=True), x.std(-1, keepdim=True)
        return self.a_2 * (x - mean) / (deviation + 1e-6) + self.b_2


class DotAttention(nn.Module):
    """Attention with heads; "on attention" where a gate decides what of it gets through."""

    def __init__(
        self, width: int, inner_width: int, heads: int, *, projects_all: bool, gated: bool = False
    ) -> None:
        super().__init__()
        self.heads = heads
        self.linears = nn.ModuleList(
            nn.Linear(width, inner_width) for _ in range(3 if projects_all else 1)
        )
        self.norm: nn.Module = nn.Identity() if projects_all else Norm(width)
        self.output_layer: nn.Module = nn.Identity()
        self.aoa_layer: nn.Module | None = None
        if gated:
            self.aoa_layer = nn.Sequential(nn.Linear(inner_width + width, 2 * width), nn.GLU())
        elif projects_all:
            self.output_layer = nn.Linear(inner_width, width)

    def forward(self, query: Tensor, value: Tensor, key: Tensor, seen: Tensor | None) -> Tensor:
        """Attended values, (batch, queries, width).

        Args:
            query: (batch, queries, width).
            value: (batch, regions, width).
            key: Likewise.
            seen: (batch, regions) bool; False where a row is padding. None if none is.
        """
        query = self.norm(query)
        inputs = (query, key, value)
        projected = [linear(x) for linear, x in zip(self.linears, inputs, strict=False)]
        q, k, v = (self._split(x) for x in (*projected, *inputs[len(projected) :]))
        scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
        if seen is not None:
            scores = scores.masked_fill(~seen[:, None, None], BLOCKED)
        attended = (F.softmax(scores, -1) @ v).transpose(1, 2).flatten(2)
        if self.aoa_layer is not None:
            gated: Tensor = self.aoa_layer(torch.cat([attended, query], -1))
            return gated
        out: Tensor = self.output_layer(attended)
        return out

    def _split(self, x: Tensor) -> Tensor:
        return x.view(*x.shape[:-1], self.heads, -1).transpose(1, 2)


class AdditiveAttention(nn.Module):
    """One weight a region, from a small network over query and region.

    Source: Bahdanau et al. 2015, "Neural machine translation by jointly learning to align".
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.h2att = nn.Linear(width, hidden)
        self.alpha_net = nn.Linear(hidden, 1)

    def forward(self, query: Tensor, value: Tensor, key: Tensor, seen: Tensor | None) -> Tensor:
        """As in `DotAttention`; ``key`` is (batch, regions, hidden), for one query a row."""
        scores = self.alpha_net(torch.tanh(key + self.h2att(query))).transpose(-2, -1)
        if seen is not None:
            scores = scores.masked_fill(~seen[:, None], BLOCKED)
        return F.softmax(scores, -1) @ value

"""Attention and feed-forward of PartCrafter's networks, with upstream's parameter names.

Two things differ from the usual layer. Heads are interleaved: the projections are joined, cut into
heads, and only then cut into q, k and v, so `to_q` alone is not the query. And a *global* layer
joins the tokens of all parts of an object before it attends.

Source: arXiv:2506.05573, section 3.2; the layout of the released weights.
"""

from collections.abc import Sequence
from itertools import accumulate

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class InterleavedAttention(nn.Module):
    """Multi-head attention whose heads are cut before q, k and v are.

    Args:
        width: Channels of the tokens that ask.
        heads: Number of heads.
        context_width: Channels of the tokens that are read; `width` for self-attention.
        normalizes_heads: Whether q and k are RMS-normalized, head by head.
        normalizes_context: Whether the tokens that are read go through a LayerNorm first.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        context_width: int | None = None,
        *,
        normalizes_heads: bool = False,
        normalizes_context: bool = False,
    ) -> None:
        super().__init__()
        self.num_heads = heads
        self.to_q = nn.Linear(width, width, bias=False)
        self.to_k = nn.Linear(context_width or width, width, bias=False)
        self.to_v = nn.Linear(context_width or width, width, bias=False)
        self.to_out = nn.ModuleList([nn.Linear(width, width)])
        head = width // heads
        self.norm_q = nn.RMSNorm(head, eps=1e-6) if normalizes_heads else nn.Identity()
        self.norm_k = nn.RMSNorm(head, eps=1e-6) if normalizes_heads else nn.Identity()
        self.norm_cross = nn.LayerNorm(context_width or width) if normalizes_context else None

    def forward(
        self, x: Tensor, context: Tensor | None = None, parts: Sequence[int] | None = None
    ) -> Tensor:
        """Attend.

        Args:
            x: (rows, tokens, width), a row for each part.
            context: (rows, tokens read, context width), or an entry for each object, which serves
                all its rows; None for self-attention.
            parts: How many rows belong to each object: its parts attend together, and share the
                context of the first. None: each row by itself.

        Returns:
            (rows, tokens, width).
        """
        if context is not None and parts is not None and len(context) == len(x):
            context = context[_first_rows(parts)]
        q, k, v = self._self(x) if context is None else self._cross(x, context)
        q, k = self.norm_q(q), self.norm_k(k)
        attended = [
            F.scaled_dot_product_attention(*group)
            for group in _objects(q, k, v, parts, shares_context=context is not None)
        ]
        out = torch.cat([_apart(one, x.shape[1]) for one in attended])
        result: Tensor = self.to_out[0](out.transpose(1, 2).flatten(2))
        return result

    def _self(self, x: Tensor) -> tuple[Tensor, ...]:
        return self._heads(torch.cat([self.to_q(x), self.to_k(x), self.to_v(x)], -1), 3)

    def _cross(self, x: Tensor, context: Tensor) -> tuple[Tensor, ...]:
        if self.norm_cross is not None:
            context = self.norm_cross(context)
        joined = torch.cat([self.to_k(context), self.to_v(context)], -1)
        return (*self._heads(self.to_q(x), 1), *self._heads(joined, 2))

    def _heads(self, joined: Tensor, pieces: int) -> tuple[Tensor, ...]:
        rows, tokens, _ = joined.shape
        cut = joined.reshape(rows, tokens, self.num_heads, -1).transpose(1, 2)
        return cut.chunk(pieces, dim=-1)


def _objects(
    q: Tensor, k: Tensor, v: Tensor, parts: Sequence[int] | None, *, shares_context: bool
) -> list[tuple[Tensor, Tensor, Tensor]]:
    """(q, k, v) of each product: one for all objects where they have equally many parts."""
    if parts is None:
        rows_each = len(q) // len(k)
        shared = [k, v] if rows_each == 1 else [t.repeat_interleave(rows_each, 0) for t in (k, v)]
        return [(q, shared[0], shared[1])]
    groups = [tuple(parts)] if len(set(parts)) == 1 else [(count,) for count in parts]
    found, row, entry = [], 0, 0
    for group in groups:
        rows, entries = slice(row, row + sum(group)), slice(entry, entry + len(group))
        row, entry = rows.stop, entries.stop
        read = [t[entries] if shares_context else _together(t[rows], group[0]) for t in (k, v)]
        found.append((_together(q[rows], group[0]), read[0], read[1]))
    return found


def _first_rows(parts: Sequence[int]) -> list[int]:
    """Where the rows of each object begin."""
    return [0, *accumulate(parts)][:-1]


def _together(x: Tensor, parts: int) -> Tensor:
    """(objects · parts, heads, tokens, d) as (objects, heads, parts · tokens, d)."""
    rows, heads, tokens, d = x.shape
    return x.reshape(rows // parts, parts, heads, tokens, d).transpose(1, 2).flatten(2, 3)


def _apart(x: Tensor, tokens: int) -> Tensor:
    """The inverse of `_together`, whatever the number of parts."""
    objects, heads, _, d = x.shape
    return x.reshape(objects, heads, -1, tokens, d).transpose(1, 2).flatten(0, 1)


class FeedForward(nn.Module):
    """Two linear layers around an exact GELU, four times as wide inside."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.net = nn.ModuleList(
            [_Gelu(width, 4 * width), nn.Identity(), nn.Linear(4 * width, width)]
        )

    def forward(self, x: Tensor) -> Tensor:
        """(..., width) to (..., width)."""
        for layer in self.net:
            x = layer(x)
        return x


class _Gelu(nn.Module):
    def __init__(self, width: int, wide: int) -> None:
        super().__init__()
        self.proj = nn.Linear(width, wide)

    def forward(self, x: Tensor) -> Tensor:
        return F.gelu(self.proj(x))

"""Attention rollout: how much of each input token reaches a token of the last layer.

Each layer mixes tokens by the mean of its heads, and hands on what it got over the residual
connection: A = (1 - residual) · mean(W) + residual · I. The rollout is the product of these
matrices, last layer first. For a few tokens it is a chain of vector-matrix products: no matrix is
ever multiplied with a matrix, and no layer's weights are held beyond a tile.

Source: Abnar and Zuidema 2020, "Quantifying Attention Flow in Transformers", section 3.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from regard.attention import Attention, Selection, indices
from regard.errors import GeometryError, SelectionError


def rollout(
    calls: Sequence[Attention],
    queries: Selection = 0,
    *,
    heads: Selection = None,
    residual: float = 0.5,
    masked: bool = True,
) -> Tensor:
    """How much each input token reaches the given tokens after the last call.

    Args:
        calls: Self-attention calls of one forward pass, first layer first, as in a recording.
        queries: Tokens of the last layer to follow back; 0 is the CLS token where there is one.
        heads: Heads to average over, in every layer; None for all.
        residual: Share that a token keeps of itself in each layer.
        masked: As in `Attention.weights`.

    Returns:
        (batch, selected queries, tokens), float32; rows sum to 1.

    Raises:
        SelectionError: No calls, or a query that does not exist.
        GeometryError: A call is no self-attention over the same tokens as the others.
    """
    if not calls:
        raise SelectionError("rollout needs at least one recorded call")
    check_same_tokens(calls, "rollout")
    batch, _, tokens, _ = calls[-1].shape
    chosen = indices(queries, tokens, "rollout: query")
    every = torch.eye(tokens)
    rows = (every if chosen is None else every[chosen]).expand(batch, -1, -1)
    for call in reversed(calls):
        pulled = call.pull(rows, heads=heads, masked=masked)
        rows = (1 - residual) * pulled + residual * rows.to(pulled.device)
    return rows


def check_same_tokens(calls: Sequence[Attention], what: str) -> None:
    """Refuse calls that do not go through one set of tokens.

    Raises:
        GeometryError: A call is no self-attention over the same tokens as the others.
    """
    batch, _, tokens, _ = calls[-1].shape
    for call in calls:
        if (call.shape[0], *call.shape[2:]) != (batch, tokens, tokens):
            raise GeometryError(
                f"{what} goes through self-attention over one set of tokens, batch {batch} x "
                f"{tokens} x {tokens} in the last call, but layer {call.layer!r} has shape "
                f"{call.shape}; select the layers of one encoder, as in recording['encoder.*']"
            )

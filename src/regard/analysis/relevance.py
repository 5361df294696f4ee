"""Relevance: how much each input token speaks for a result, by attention and its gradient.

Attention alone tells where a layer looks, for whatever purpose. Weighted by the gradient of one
result (a class score, a word), and with what speaks against it cut off, it tells what the layer
looked at for that result: A = mean over heads of max(0, W * dL/dW). Each layer adds A to what a
token already holds, so the relevance is the product of the matrices I + A, last layer first.

Source: Chefer, Gur and Wolf 2021, "Generic Attention-model Explainability for Interpreting
Bi-Modal and Encoder-Decoder Transformers", equations 5 and 6 (self-attention).
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from regard.analysis.rollout import check_same_tokens
from regard.attention import CACHE_BYTES, Attention, Selection, indices, pulling
from regard.errors import SelectionError


def relevance(
    calls: Sequence[Attention], queries: Selection = 0, *, heads: Selection = None
) -> Tensor:
    """How much each input token speaks, through the given tokens, for what was differentiated.

    Args:
        calls: Self-attention calls of one forward pass, first layer first, recorded with
            `record(model, gradients=True)`; `backward` has been called on the result.
        queries: Tokens of the last layer that the result was read from; 0 is the CLS token where
            there is one.
        heads: Heads to average over, in every layer; None for all.

    Returns:
        (batch, selected queries, tokens), float32, never negative. A token's own share starts at
        1: leave the column of the query out to compare the others.

    Raises:
        SelectionError: No calls, or a query that does not exist.
        GeometryError: A call is no self-attention over the same tokens as the others.
        CaptureError: A call has no gradient.
    """
    if not calls:
        raise SelectionError("relevance needs at least one recorded call")
    check_same_tokens(calls, "relevance")
    batch, _, tokens, _ = calls[-1].shape
    chosen = indices(queries, tokens, "relevance: query")
    every = torch.eye(tokens)
    rows = (every if chosen is None else every[chosen]).expand(batch, -1, -1)
    for call in reversed(calls):
        pulled = _pulled(call, rows, heads)
        rows = rows.to(pulled.device) + pulled
    return rows


def _pulled(call: Attention, rows: Tensor, heads: Selection) -> Tensor:
    """The product rows · A, with A of a tile of queries at a time."""
    pulled = torch.zeros(())
    asked = pulling(rows)
    for block, weights in call.tiles(asked, heads, budget_bytes=CACHE_BYTES):
        speaks_for = (weights * call.gradient(block, heads)).clamp(min=0).float().mean(1)
        part = rows[..., block.to(rows.device)].to(weights.device)
        pulled = pulled.to(weights.device) + part @ speaks_for
    return pulled

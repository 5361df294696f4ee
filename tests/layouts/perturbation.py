"""Which tokens of a recorded call change when one place of the input is made bright."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

import regard
from regard import (
    Attention,
    DeformableAttention,
    DotProductAttention,
    ExplicitAttention,
    Recording,
)
from regard.sample import everything_is_sampled
from regard.scores import MOVING, Part, Scores, apply, product_shape
from regard.stitched import StitchedAttention

BRIGHT = 30.0


def run(model: nn.Module, inputs: Mapping[str, Any]) -> Recording:
    """The recording of one pass, with the same random numbers each time."""
    torch.manual_seed(0)
    with torch.no_grad(), everything_is_sampled(), regard.record(model, keep="qk") as recording:
        model(**inputs)
    return recording


def brightened(
    pixels: Tensor, square: tuple[int, int, int, int], picture: int, axis: int | None
) -> Tensor:
    """The pixels with a bright square, in one of several pictures along an axis."""
    bright = pixels.clone()
    target = bright if axis is None else bright.select(axis, picture)
    left, top, right, bottom = square
    target[..., top:bottom, left:right] += BRIGHT
    return bright


def change(before: Attention, after: Attention, axis: str) -> Tensor:
    """How much each query or key changed, (batch, tokens)."""
    if isinstance(before, StitchedAttention):
        assert isinstance(after, StitchedAttention)
        return _stitched_change(before, after, axis)
    if isinstance(before, DeformableAttention):
        assert isinstance(after, DeformableAttention)
        return _deformable_change(before, after, axis)
    if isinstance(before, ExplicitAttention):
        return _weights_change(before, after, axis)
    assert isinstance(before, DotProductAttention)
    assert isinstance(after, DotProductAttention)
    moved = _operand(after.scores, axis) - _operand(before.scores, axis)
    norm = moved.float().norm(dim=-1)
    # What the model's steps do to the axes of q·k, done to a product that says one axis only.
    scores = norm[..., :, None] if axis == "queries" else norm[..., None, :]
    batch, heads, queries, keys = before.shape
    scores = scores.expand(*scores.shape[:-2], queries, keys)
    for step in before.scores.steps:
        if step.op in MOVING:
            scores = apply(step, scores, Part())
    whole: Tensor = scores.reshape(batch, heads, queries, keys)
    return whole.mean(1).mean(1 if axis == "keys" else 2)


def _deformable_change(
    before: DeformableAttention, after: DeformableAttention, axis: str
) -> Tensor:
    """Queries say where to look and how much; of keys there are only the values."""
    if axis == "keys":
        assert before.sample is not None
        assert after.sample is not None
        values = after.sample.values.get() - before.sample.values.get()
        changed: Tensor = values.norm(dim=-1)
        return changed.mean(1)
    old, new = before.points(), after.points()
    moved: Tensor = (new.xy - old.xy).norm(dim=-1) + (new.weights - old.weights).abs()
    return moved.sum(-1).mean(1)


def _weights_change(before: Attention, after: Attention, axis: str) -> Tensor:
    """How much scores changed, read from the weights: their logarithms, up to one sum a row.

    Of hard weights, which are 0 where their query does not look, the change itself.
    """
    old, new = before.weights(), after.weights()
    if (old == 0).any():
        moved = (new - old).abs()
    else:
        moved = new.log() - old.log()
        moved = (moved - moved.median(-1, keepdim=True).values).abs()
    return moved.mean(1).mean(1 if axis == "keys" else 2)


def _stitched_change(before: StitchedAttention, after: StitchedAttention, axis: str) -> Tensor:
    """The same of a call in several pieces, each with all heads of some tokens."""
    batch, heads, queries, keys = before.shape
    whole = torch.zeros(batch, queries if axis == "queries" else keys)
    for old, new, place in zip(before.pieces, after.pieces, before.places, strict=True):
        assert place.lanes == (0, batch * heads)
        tokens = slice(*(place.queries if axis == "queries" else place.keys))
        whole[:, tokens] += change(old, new, axis)
    return whole


def _operand(scores: Scores, axis: str) -> Tensor:
    q, k = scores._operands(Part())
    leading = product_shape(q.shape, k.shape)[:-2]
    operand = q if axis == "queries" else k
    return operand.expand(*leading, *operand.shape[-2:])

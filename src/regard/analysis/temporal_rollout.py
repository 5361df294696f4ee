"""Rollout over time: how much of each frame reaches each frame through all layers of a refiner.

Each layer mixes frames by its attention A and hands on what a frame was over the residual
connection. With heads fused into one matrix, T = rownorm(A + I), which is (A + I) / 2 where rows
of A sum to 1. The rollout of layers 0 to L is the product T_L ... T_1 T_0: row t says what frame t
is made of after all layers. The mean of a column says how much of that frame reaches all others.

It follows attention over time alone. What a refiner does besides (attention among objects and to
the frame's queries, convolutions over time) is not in it, so it is an approximation; the weights
by which the class is read from the frames are not (`FrameImportance`).

Source: Abnar and Zuidema 2020, "Quantifying Attention Flow in Transformers", section 3, for the
product with half a residual; fusion by the largest or smallest head is common practice since.
"""

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor

from regard.errors import GeometryError, SelectionError

Fusion = Literal["mean", "max", "min"]
"""How the heads of a layer become one matrix: their mean, or the largest or smallest of them."""


def temporal_rollout(
    layers: Sequence[Tensor], *, residual: float = 0.5, fusion: Fusion = "mean"
) -> Tensor:
    """How much of each frame reaches each frame.

    Args:
        layers: Attention of each layer, first layer first, each (frames, frames) or
            (heads, frames, frames).
        residual: Share that a frame keeps of itself in each layer; 0.5 is A + I.
        fusion: What becomes of heads.

    Returns:
        (frames, frames) float64; rows sum to 1.

    Raises:
        SelectionError: No layers, an unknown fusion, or a residual outside of 0 to 1.
        GeometryError: Layers that are not square or not of one size.
    """
    if not layers:
        raise SelectionError("rollout over time needs the attention of at least one layer")
    if fusion not in get_args(Fusion):
        raise SelectionError(f"fusion is {fusion!r}, expected one of {get_args(Fusion)}")
    if not 0 <= residual < 1:
        raise SelectionError(f"residual is {residual}, expected 0 or more and less than 1")
    frames = layers[0].shape[-1]
    product = torch.eye(frames, dtype=torch.float64)
    for index, layer in enumerate(layers):
        if layer.ndim not in (2, 3) or layer.shape[-2:] != (frames, frames):
            raise GeometryError(
                f"layer {index} has shape {tuple(layer.shape)}, expected ({frames}, {frames}) or "
                f"(heads, {frames}, {frames})"
            )
        product = _step(_fused(layer.double().cpu(), fusion), residual) @ product
    return product


def column_mean(rollout: Tensor) -> Tensor:
    """How much of each frame reaches all frames, (frames,); 1 in sum where rows sum to 1."""
    return rollout.mean(0)


def stretched(values: Tensor) -> Tensor:
    """Values from 0 for the smallest to 1 for the largest; 1 everywhere if they are all equal."""
    low, high = values.min(), values.max()
    return (values - low) / (high - low) if high > low else torch.ones_like(values)


def _fused(layer: Tensor, fusion: Fusion) -> Tensor:
    if layer.ndim == 2:
        return layer
    if fusion == "mean":
        return layer.mean(0)
    return layer.amax(0) if fusion == "max" else layer.amin(0)


def _step(attention: Tensor, residual: float) -> Tensor:
    identity = torch.eye(len(attention), dtype=attention.dtype)
    mixed = (1 - residual) * attention + residual * identity
    total = mixed.sum(1, keepdim=True)
    return mixed / total.where(total > 0, 1)

"""How much of each object query of a frame reaches each query of the tracker, over all layers."""

from collections.abc import Sequence

import torch
from torch import Tensor


def tracker_rollout(
    cross: Sequence[Tensor], own: Sequence[Tensor], *, is_first_frame: bool
) -> Tensor:
    """Shares of the object queries in the tracker's queries, (..., queries, object queries).

    Attention and residual count half each, as in Abnar and Zuidema 2020, "Quantifying Attention
    Flow in Transformers"; what a track brings from the frames before is left out, and each row is
    divided by what is left, so that it sums to 1. An approximation, as every rollout is.

    Args:
        cross: Weights of the tracker's queries on object queries, layer by layer, mean of heads,
            (..., queries, object queries); the axes before them are frames, or none.
        own: Weights among the tracker's queries, likewise, (..., queries, queries).
        is_first_frame: There the tracker's queries are the object queries; later they bring
            nothing of the frame with them.
    """
    shares = torch.zeros_like(cross[0])
    if is_first_frame:
        shares.diagonal(dim1=-2, dim2=-1).fill_(1)
    for to_objects, to_queries in zip(cross, own, strict=True):
        shares = (shares + to_objects) / 2
        shares = (shares + to_queries @ shares) / 2
    return shares / shares.sum(-1, keepdim=True)

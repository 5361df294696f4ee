"""How much of each object query of a frame reaches each query of the tracker, over all layers."""

from collections.abc import Sequence

import torch
from torch import Tensor


def tracker_rollout(
    cross: Sequence[Tensor], own: Sequence[Tensor], *, is_first_frame: bool
) -> Tensor:
    """Shares of the object queries in the tracker's queries, (queries, object queries).

    Attention and residual count half each, as in Abnar and Zuidema 2020, "Quantifying Attention
    Flow in Transformers"; what a track brings from the frames before is left out, and each row is
    divided by what is left, so that it sums to 1. An approximation, as every rollout is.

    Args:
        cross: Weights of the tracker's queries on object queries, layer by layer,
            (1, heads, queries, object queries).
        own: Weights among the tracker's queries, layer by layer, (1, heads, queries, queries).
        is_first_frame: There the tracker's queries are the object queries; later they bring
            nothing of the frame with them.
    """
    shares = torch.zeros(cross[0].shape[2:], device=cross[0].device)
    if is_first_frame:
        shares.fill_diagonal_(1)
    for to_objects, to_queries in zip(cross, own, strict=True):
        shares = (shares + to_objects[0].float().mean(0)) / 2
        mixed = to_queries[0].float().mean(0)
        shares = torch.addmm(shares, mixed, shares, beta=0.5, alpha=0.5)
    return shares / shares.sum(1, keepdim=True)

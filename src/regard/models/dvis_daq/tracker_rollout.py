"""How much of each object query of a frame reaches each query of the tracker, over all layers."""

from collections.abc import Sequence

import torch
from torch import Tensor

from regard.attention import Attention


def tracker_rollout(
    cross: Sequence[Attention], own: Sequence[Attention], *, is_first_frame: bool
) -> Tensor:
    """Shares of the object queries in the tracker's queries, (queries, object queries).

    Attention and residual count half each, as in Abnar and Zuidema 2020, "Quantifying Attention
    Flow in Transformers"; what a track brings from the frames before is left out, and each row is
    divided by what is left, so that it sums to 1. An approximation, as every rollout is.

    Args:
        cross: Attention from tracker queries to object queries, layer by layer.
        own: Attention among tracker queries, layer by layer.
        is_first_frame: There the tracker's queries are the object queries; later they bring
            nothing of the frame with them.
    """
    count, object_queries = cross[0].shape[2:]
    shares = torch.eye(count) if is_first_frame else torch.zeros(count, object_queries)
    for looked, among in zip(cross, own, strict=True):
        shares = (shares + looked.weights()[0].float().mean(0).cpu()) / 2
        shares = (shares + among.weights()[0].float().mean(0).cpu() @ shares) / 2
    return shares / shares.sum(1, keepdim=True)

"""Semantic segmentation: one class for each pixel, objects not told apart."""

import torch
from torch import Tensor

from regard.segmentation.queries import QueryPredictions

_AT_ONCE = 8
"""Queries whose masks are held at once: a hundred masks of a large photo take gigabytes."""


def semantic(predictions: QueryPredictions) -> Tensor:
    """Class of each pixel of the photo, (height, width) int64.

    Each query votes for its classes with its mask's probability.
    Source: ``semantic_inference`` in facebookresearch/Mask2Former.
    """
    votes = predictions.probabilities[:, :-1].float()
    total = torch.zeros(votes.shape[1], *predictions.view.original_hw)
    for queries in torch.split(torch.arange(len(predictions)), _AT_ONCE):
        masks = predictions.photo_mask_logits(queries).sigmoid()
        total += torch.einsum("qc,qhw->chw", votes[queries], masks).cpu()
    return total.argmax(0)

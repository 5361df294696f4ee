"""Panoptic segments as MaskFormer and Mask2Former make them.

Each pixel goes to the query with the highest product of class score and mask probability, and
only where that query's own mask covers it; a query of whose mask others took too much is dropped.
Source: Cheng et al. 2021, "Per-Pixel Classification is Not All You Need for Semantic
Segmentation", section 3.4, and ``panoptic_inference`` in facebookresearch/Mask2Former.
"""

import torch
from torch import Tensor

from regard.segmentation.queries import QueryPredictions
from regard.segmentation.segments import Segmentation, numbered, winners

THRESHOLD = 0.8
OVERLAP = 0.8


def panoptic_mask2former(
    predictions: QueryPredictions, *, threshold: float = THRESHOLD, overlap: float = OVERLAP
) -> Segmentation:
    """The photo cut into segments.

    Args:
        predictions: What the queries predict.
        threshold: Queries with a class score above it take part.
        overlap: A query is dropped if it wins less than this share of its own mask's area.
    """
    kept = predictions.found(threshold)
    labels, scores = predictions.labels, predictions.scores
    masks = predictions.photo_mask_logits(kept).sigmoid()
    owners = torch.full(predictions.view.original_hw, -1, dtype=torch.int64)
    groups: list[list[int]] = []
    stuff: dict[int, list[int]] = {}
    if len(kept):
        best = winners(masks * scores[kept].to(masks)[:, None, None])
        for place, query in enumerate(kept.tolist()):
            where = _won(best == place, masks[place] >= 0.5, overlap)
            if where is None:
                continue
            owners[where.cpu()] = query
            label = int(labels[query])
            if not predictions.categories.is_thing[label]:
                if label in stuff:
                    stuff[label].append(query)
                    continue
                stuff[label] = [query]
            groups.append(stuff.get(label, [query]))
    return numbered(owners, groups, labels, scores, predictions.categories)


def _won(best: Tensor, own: Tensor, overlap: float) -> Tensor | None:
    """Where a query is the segment; None where it is dropped."""
    where = best & own
    if not where.any() or int(best.sum()) / int(own.sum()) < overlap:
        return None
    return where

"""Panoptic segments as DETR makes them.

Each pixel goes to the query with the highest mask logit; stuff of one class becomes one segment;
segments of a few pixels are dropped, and their pixels are given away again, until none is left.
Source: Carion et al. 2020, "End-to-End Object Detection with Transformers", section 4.4, and
``PostProcessPanoptic`` in facebookresearch/detr.
"""

import torch
from torch import Tensor

from regard.segmentation.queries import QueryPredictions
from regard.segmentation.segments import Segmentation, numbered, owned_areas, winners

THRESHOLD = 0.85
LARGEST_DROPPED_PX = 4
"""Segments of so many pixels or fewer are dropped."""


def panoptic_detr(
    predictions: QueryPredictions,
    *,
    threshold: float = THRESHOLD,
    lose_merged_stuff: bool = False,
) -> Segmentation:
    """The photo cut into segments.

    Args:
        predictions: What the queries predict.
        threshold: Queries with a class score above it take part.
        lose_merged_stuff: Do as the original code does, down to its slip: once a small segment
            is dropped, stuff is no longer merged, and a query that had been merged into another
            one counts as small itself, so its pixels go to whoever comes next.
    """
    kept = predictions.found(threshold)
    labels, scores = predictions.labels, predictions.scores
    masks = predictions.seen_mask_logits(kept)
    predictions.require_whole_photo()
    size_hw = predictions.view.original_hw
    merging = True
    while True:
        owners = _owners(masks, kept, size_hw)
        groups = _groups(kept, labels, predictions, merge=merging)
        small = _small(owners, groups, kept, alone=lose_merged_stuff)
        if not small.any():
            return numbered(owners, groups, labels, scores, predictions.categories)
        kept, masks = kept[~small], masks[~small.to(masks.device)]
        merging = not lose_merged_stuff


def _owners(masks: Tensor, kept: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """Query of each pixel of the photo, its nearest pixel of the input deciding."""
    if not len(kept):
        return torch.full(size_hw, -1, dtype=torch.int64)
    best = winners(masks).cpu()
    rows, columns = (
        ((torch.arange(whole, dtype=torch.float64) + 0.5) * part / whole).long().clamp(max=part - 1)
        for whole, part in zip(size_hw, best.shape, strict=True)
    )
    return kept.cpu()[best[rows[:, None], columns]]


def _groups(
    kept: Tensor, labels: Tensor, predictions: QueryPredictions, *, merge: bool
) -> list[list[int]]:
    """Queries that make one segment: things alone, stuff by class."""
    groups: list[list[int]] = []
    stuff: dict[int, list[int]] = {}
    for query in kept.tolist():
        label = int(labels[query])
        if merge and not predictions.categories.is_thing[label]:
            if label in stuff:
                stuff[label].append(query)
                continue
            stuff[label] = [query]
            groups.append(stuff[label])
        else:
            groups.append([query])
    return groups


def _small(owners: Tensor, groups: list[list[int]], kept: Tensor, *, alone: bool) -> Tensor:
    """Which of the kept queries are dropped: bool (kept,)."""
    areas = owned_areas(owners, int(kept.max()) + 1 if len(kept) else 0)
    dropped: set[int] = set()
    for group in groups:
        area = int(areas[group].sum())
        if area <= LARGEST_DROPPED_PX:
            dropped.update(group)
        elif alone:  # pixels count for the first of a group only
            dropped.update(group[1:])
    return torch.tensor([query in dropped for query in kept.tolist()], dtype=torch.bool)

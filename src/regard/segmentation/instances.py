"""Instances: objects that may overlap, each with its own mask, class and score."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from regard.segmentation.queries import QueryPredictions


@dataclass(frozen=True, eq=False, kw_only=True)
class Instances:
    """Objects of one photo, best score first."""

    labels: Tensor
    """(n,) int64 class index."""
    scores: Tensor
    """(n,) float32."""
    queries: Tensor
    """(n,) int64: the object query of each."""
    masks: Tensor | None = field(repr=False)
    """(n, height, width) bool, pixels of the photo; None where the model predicts no masks."""
    boxes_xyxy: Tensor
    """(n, 4) pixels of the photo: predicted ones, or else those around the masks."""

    def __len__(self) -> int:
        return len(self.labels)


def instances(predictions: QueryPredictions, *, most: int = 100) -> Instances:
    """The objects that DETR finds: one for each query, of the best class that is an object.

    Args:
        predictions: What the queries predict.
        most: How many at most, best first.

    Source: ``PostProcess`` and ``PostProcessSegm`` in facebookresearch/detr (mask above 0.5).
    """
    scores, order = predictions.object_scores.sort(descending=True, stable=True)
    order = order[:most]
    return _made(predictions, order, predictions.object_labels[order], scores[:most])


def instances_of_pairs(predictions: QueryPredictions, *, most: int = 100) -> Instances:
    """The objects that Mask2Former finds: the best pairs of a query and a class.

    A score is the class probability times the mean mask probability inside the mask. A model
    with stuff gives its things only.

    Args:
        predictions: What the queries predict.
        most: How many pairs, best class probability first, before stuff is left out.

    Source: ``instance_inference`` in facebookresearch/Mask2Former.
    """
    table = predictions.probabilities[:, :-1]
    scores, flat = table.flatten().topk(min(most, table.numel()))
    queries, labels = flat // table.shape[1], flat % table.shape[1]
    things = torch.tensor(predictions.categories.is_thing, device=labels.device)[labels]
    scores, queries, labels = scores[things], queries[things], labels[things]
    scores = scores * _mask_quality(predictions, queries).to(scores)
    scores, order = scores.sort(descending=True, stable=True)
    return _made(predictions, queries[order], labels[order], scores)


def _mask_quality(predictions: QueryPredictions, queries: Tensor) -> Tensor:
    """Mean probability inside each query's mask, (n,); 0 for an empty one."""
    unique, place = torch.unique(queries, return_inverse=True)
    quality = []
    for query in unique:
        logits = predictions.photo_mask_logits(query[None])[0]
        inside = logits > 0
        # the 1e-6 is the original's
        quality.append((logits.sigmoid() * inside).sum() / (inside.sum() + 1e-6))
    return torch.stack(quality)[place] if quality else torch.zeros(0)


def _made(
    predictions: QueryPredictions, queries: Tensor, labels: Tensor, scores: Tensor
) -> Instances:
    masks = None
    if predictions.mask_logits is not None:
        height, width = predictions.view.original_hw
        masks = torch.zeros(len(queries), height, width, dtype=torch.bool)
        for place, query in enumerate(queries):  # one by one: all logits at once take gigabytes
            masks[place] = (predictions.photo_mask_logits(query[None])[0] > 0).cpu()
    if predictions.boxes_xyxy is not None:
        boxes = predictions.boxes_xyxy[queries].cpu()
    elif masks is not None:
        boxes = boxes_around(masks)
    else:
        boxes = torch.zeros(len(queries), 4)
    return Instances(
        labels=labels.cpu(),
        scores=scores.float().cpu(),
        queries=queries.cpu(),
        masks=masks,
        boxes_xyxy=boxes,
    )


def boxes_around(masks: Tensor) -> Tensor:
    """Smallest boxes around masks, (n, 4) float32 as x0, y0, x1, y1; zeros for an empty mask.

    Args:
        masks: (n, height, width) bool.
    """
    boxes = torch.zeros(len(masks), 4)
    for box, mask in zip(boxes, masks, strict=True):
        rows, columns = mask.any(1).nonzero()[:, 0], mask.any(0).nonzero()[:, 0]
        if len(rows):
            edges = [int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1]
            box.copy_(torch.tensor(edges))
    return boxes

"""Losses on features, by one linear layer each: what is at each place, and of what kind things are.

They teach features far faster than queries do, of which each photo trains a handful. For training
alone; nothing of it is shipped.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from regard.datasets.shapes import KINDS
from training.scenes import NAMES, Batch

PLACES = (
    "places: class and box at each place of the {map}, by one linear layer: cross-entropy and L1"
)
KINDS_LOSS = (
    "kinds: cross-entropy of each object's kind from the mean of the features over its true mask,\n"
    "  by one linear layer for each map: of the {maps}"
)

_BOX = 2.0


class Places(nn.Module):
    """Class and box of each place of a feature map."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, len(NAMES) + 4)

    def loss(self, features: Tensor, batch: Batch) -> Tensor:
        """Cross-entropy of classes, and L1 distance of boxes.

        Args:
            features: (batch, width, rows, columns).
            batch: The photos.
        """
        found = self.linear(features.flatten(2).transpose(1, 2)).flatten(0, 1)
        labels, boxes = _truth(batch, features.shape[-2:])
        by_class = F.cross_entropy(found[:, :-4], labels)
        return by_class + _BOX * F.l1_loss(found[:, -4:].sigmoid(), boxes)


class Kinds(nn.Module):
    """Kind of each object from the mean of the features on it, for several feature maps."""

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.linears = nn.ModuleList(nn.Linear(width, len(KINDS)) for width in widths)

    def loss(self, maps: Sequence[Tensor], batch: Batch) -> Tensor:
        """Cross-entropy, mean of the maps.

        Args:
            maps: (batch, width, rows, columns) each.
            batch: The photos.
        """
        things = [labels < len(KINDS) for labels in batch.labels]
        photo = torch.arange(len(things)).repeat_interleave(torch.stack([t.sum() for t in things]))
        masks = torch.cat([m[t] for m, t in zip(batch.masks, things, strict=True)])
        labels = torch.cat([own[t] for own, t in zip(batch.labels, things, strict=True)])
        losses = []
        for linear, features in zip(self.linears, maps, strict=True):
            share = F.interpolate(masks[None], size=features.shape[-2:], mode="area")[0]
            share = share / share.sum((1, 2), keepdim=True).clamp(min=1e-3)
            pooled = torch.einsum("nchw,nhw->nc", features[photo], share)
            losses.append(F.cross_entropy(linear(pooled), labels))
        return torch.stack(losses).mean()


def _truth(batch: Batch, size_hw: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Class and box of the segment that covers most of each place, all photos in one."""
    labels, boxes = [], []
    for own, box, masks in zip(batch.labels, batch.boxes, batch.masks, strict=True):
        most = F.interpolate(masks[None], size=tuple(size_hw), mode="area")[0].argmax(0).flatten()
        labels.append(own[most])
        boxes.append(box[most])
    return torch.cat(labels), torch.cat(boxes)

"""A loss at every place: the class and the box of the segment there, by one linear layer.

It teaches features far faster than queries do, of which each photo trains a handful. For training
alone; nothing of it is shipped.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.scenes import NAMES, Batch

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


def _truth(batch: Batch, size_hw: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Class and box of the segment that covers most of each place, all photos in one."""
    labels, boxes = [], []
    for own, box, masks in zip(batch.labels, batch.boxes, batch.masks, strict=True):
        most = F.interpolate(masks[None], size=size_hw, mode="area")[0].argmax(0).flatten()
        labels.append(own[most])
        boxes.append(box[most])
    return torch.cat(labels), torch.cat(boxes)

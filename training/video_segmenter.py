"""Stage one: the segmenter learns on frames, each by itself.

The loss of Mask2Former, on the predictions before the first layer and after every one. Besides, a
linear map says what each cell shows, as the auxiliary heads of semantic segmentation do: kinds of
shapes are learned from every cell sooner than from a few queries. It is not part of the model.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from regard.models.dvis_daq.model import DvisDaq
from training.video_losses import Objects, loss, match
from training.video_network import CHANNELS

_LEVELS = 3
_BACKGROUND = 0.1
_CELLS = 2.0


class CellClassifier(nn.Module):
    """What the cells of the pixel decoder's levels show; for training only."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.heads = nn.ModuleList(nn.Conv2d(CHANNELS, classes + 1, 1) for _ in range(_LEVELS))

    def forward(self, levels: Sequence[Tensor], objects: Objects) -> Tensor:
        """Cross-entropy with the shares of each cell, mean of levels.

        Background counts little, as there is so much of it.
        """
        losses = []
        for head, level in zip(self.heads, levels, strict=True):
            logits = head(level)
            wanted = _shares_of_classes(objects, logits.shape[1] - 1, level.shape[-2:])
            weight = (1 - wanted[:, -1]) + _BACKGROUND * wanted[:, -1]
            entropy = -(wanted * logits.log_softmax(1)).sum(1)
            losses.append((weight * entropy).sum() / weight.sum())
        return torch.stack(losses).mean()


def _shares_of_classes(objects: Objects, classes: int, size_hw: Sequence[int]) -> Tensor:
    """Share of each class in each cell, background last: (batch, classes + 1, height, width)."""
    is_class = F.one_hot(objects.labels.clamp(min=0), classes) * objects.there[..., None]
    of_classes = torch.einsum("bkhw,bkc->bchw", objects.shares, is_class.float())
    coarse = F.adaptive_avg_pool2d(of_classes, (size_hw[0], size_hw[1]))
    return torch.cat([coarse, 1 - coarse.sum(1, keepdim=True)], dim=1).clamp(min=0)


def segmenter_loss(
    network: DvisDaq, cells: CellClassifier, pixels: Tensor, objects: Objects
) -> Tensor:
    """Loss of a batch of frames.

    Args:
        network: Its backbone and head are used.
        cells: Learns besides.
        pixels: (frames, 3, height, width), normalised.
        objects: What is in the frames, at stride 4.
    """
    head = network.sem_seg_head
    mask_features, levels = head.pixel_decoder(network.backbone(pixels))
    losses = [
        loss(
            predicted.logits,
            predicted.masks,
            objects,
            match(predicted.logits, predicted.masks, objects),
        )
        for predicted in head.predictor.layer_by_layer(levels, mask_features)
    ]
    of_cells: Tensor = cells(levels, objects)
    return torch.stack(losses).mean() + _CELLS * of_cells

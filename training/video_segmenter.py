"""Stage one: the segmenter learns on frames, each by itself.

The loss of Mask2Former, on the predictions before the first layer and after every one.
"""

import torch
from torch import Tensor

from regard.models.dvis_daq.model import DvisDaq
from training.video_losses import Objects, loss, match


def segmenter_loss(network: DvisDaq, pixels: Tensor, objects: Objects) -> Tensor:
    """Loss of a batch of frames.

    Args:
        network: Its backbone and head are used.
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
    return torch.stack(losses).mean()

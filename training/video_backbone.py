"""Before the stages: the backbone learns to tell kinds of shapes, one object a picture.

It stands for the pre-training on ImageNet that upstream's backbones bring along. Small crops around
single objects show a backbone many more objects in the same time than whole frames do.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from regard.models.dvis_daq.resnet import ResNet

_STAGES = slice(1, None)  # strides 8, 16 and 32


class KindClassifier(nn.Module):
    """Kind of an object from the features on its cells, for each stage of a ResNet."""

    def __init__(self, backbone: ResNet, classes: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.heads = nn.ModuleList(
            nn.Linear(channels, classes) for channels in backbone.channels[_STAGES]
        )

    def forward(self, pixels: Tensor, shares: Tensor) -> list[Tensor]:
        """Logits of each stage, (objects, classes).

        Args:
            pixels: Crops, (objects, 3, height, width), normalised.
            shares: Share of each cell of stride 4 that the object covers, (objects, h, w).
        """
        logits = []
        for head, features in zip(self.heads, self.backbone(pixels)[_STAGES], strict=True):
            on_object = F.adaptive_avg_pool2d(shares[:, None], features.shape[-2:])
            total = on_object.sum((2, 3)).clamp(min=1e-6)
            logits.append(head((features * on_object).sum((2, 3)) / total))
        return logits


def kind_loss(classifier: KindClassifier, pixels: Tensor, shares: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy, mean of the stages."""
    logits = classifier(pixels, shares)
    return torch.stack([F.cross_entropy(each, labels) for each in logits]).mean()

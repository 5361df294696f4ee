"""The small DVIS-DAQ that is trained: our own classes, from scratch."""

import math

import torch
from torch import Tensor, nn

from regard.models.dvis_daq.deformable import DeformableAttention
from regard.models.dvis_daq.model import DvisDaq, SegmentationHead
from regard.models.dvis_daq.pixel_decoder import PixelDecoder
from regard.models.dvis_daq.predictor import Predictor
from regard.models.dvis_daq.refiner import Refiner
from regard.models.dvis_daq.resnet import FrozenBatchNorm, ResNet
from regard.models.dvis_daq.tracker import Tracker

CHANNELS = 64
HEADS = 4
QUERIES = 16
WIDTH = 128
"""Inner width of the feed-forward layers."""


def build(classes: int) -> DvisDaq:
    """The network with random values; its backbone has batch norms that learn.

    Args:
        classes: Classes without "no object".
    """
    backbone = ResNet(
        stem_channels=32,
        blocks=(2, 2, 2, 1),
        inner_channels=(16, 32, 64, 64),
        channels=(64, 128, 192, 256),
    )
    shared = {
        "classes": classes,
        "channels": CHANNELS,
        "mask_channels": CHANNELS,
        "heads": HEADS,
        "width": WIDTH,
    }
    pixel_decoder = PixelDecoder(
        backbone.channels,
        channels=CHANNELS,
        mask_channels=CHANNELS,
        heads=HEADS,
        layers=1,
        width=WIDTH,
    )
    network = DvisDaq(
        backbone,
        SegmentationHead(pixel_decoder, Predictor(**shared, queries=QUERIES, layers=6)),
        Tracker(**shared, layers=3),
        Refiner(**shared, layers=3, local_conv=True),
    )
    learn_norms(backbone)
    _initialise(network)
    return network.to(memory_format=torch.channels_last)  # convolutions are faster so


def learn_norms(module: nn.Module) -> None:
    """Put norms that learn in the place of frozen ones; names of tensors stay the same."""
    for name, child in module.named_children():
        if isinstance(child, FrozenBatchNorm):
            setattr(module, name, nn.BatchNorm2d(len(child.weight)))
        else:
            learn_norms(child)


def weights(network: DvisDaq) -> dict[str, Tensor]:
    """The tensors of a checkpoint in float16, under upstream's names."""
    return {
        key: tensor.half().contiguous()
        for key, tensor in network.state_dict().items()
        if not key.endswith("num_batches_tracked")
    }


def _initialise(network: DvisDaq) -> None:
    """As upstream begins: Xavier for what attends, He for what convolves."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            nn.init.zeros_(module.bias) if module.bias is not None else None
    for module in network.modules():
        if isinstance(module, DeformableAttention):
            _look_around(module)
    nn.init.normal_(network.sem_seg_head.pixel_decoder.transformer.level_embed)


@torch.no_grad()
def _look_around(attention: DeformableAttention) -> None:
    """Each head begins by reading in a direction of its own, its points one cell further each.

    Source: Zhu et al. 2021, "Deformable DETR", appendix A.4.
    """
    angles = torch.arange(attention.heads) * (2 * math.pi / attention.heads)
    ways = torch.stack([angles.cos(), angles.sin()], dim=-1)
    ways = ways / ways.abs().amax(-1, keepdim=True)
    steps = torch.arange(1, attention.points + 1)
    offsets = ways[:, None, None] * steps[:, None]
    offsets = offsets.expand(-1, attention.levels, -1, -1)
    nn.init.zeros_(attention.sampling_offsets.weight)
    attention.sampling_offsets.bias.copy_(offsets.flatten())
    nn.init.zeros_(attention.attention_weights.weight)
    nn.init.zeros_(attention.attention_weights.bias)

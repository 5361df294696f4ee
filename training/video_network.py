"""The small DVIS-DAQ that is trained: our own classes, from scratch."""

import math
from typing import Any

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
_SMALL = 0.1
"""Of weights that should change little at first."""


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
    # convolutions are faster so
    made: DvisDaq = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return made


@torch.no_grad()
def begin_tracker(network: DvisDaq) -> None:
    """Let the tracker begin as one that repeats what the segmenter says.

    Its heads are those of the segmenter. Its queries find frame queries of their own place, for
    queries and keys begin alike, and take over what these hold; all else begins small.
    """
    tracker: Any = network.tracker
    _take_heads(tracker, network.sem_seg_head.predictor)
    nn.init.dirac_(tracker.mask_feature_proj.weight)
    nn.init.zeros_(tracker.mask_feature_proj.bias)
    for layer in tracker.transformer_cross_attention_layers:
        query, key, value = layer.multihead_attn.in_proj_weight.chunk(3)
        key.copy_(query)
        nn.init.eye_(value)
        nn.init.eye_(layer.multihead_attn.out_proj.weight)
    for layer in tracker.transformer_self_attention_layers:
        layer.self_attn.out_proj.weight.mul_(_SMALL)
    for layer in (*tracker.transformer_ffn_layers, *tracker.slot_ffn_layers):
        layer.linear2.weight.mul_(_SMALL)


@torch.no_grad()
def begin_refiner(network: DvisDaq) -> None:
    """Let the refiner begin as one that repeats what the tracker says."""
    refiner: Any = network.refiner
    assert refiner is not None
    _take_heads(refiner, network.sem_seg_head.predictor)
    refiner.class_embed.load_state_dict(network.tracker.class_embed.state_dict())
    for layer in refiner.transformer_time_self_attention_layers:
        layer.self_attn.out_proj.weight.mul_(_SMALL)
    for layer in refiner.transformer_obj_self_attention_layers:
        layer.self_attn.out_proj.weight.mul_(_SMALL)
    for layer in refiner.transformer_cross_attention_layers:
        layer.multihead_attn.out_proj.weight.mul_(_SMALL)
    for layer in refiner.transformer_ffn_layers:
        layer.linear2.weight.mul_(_SMALL)
    for layer in refiner.conv_short_aggregate_layers:
        layer[-1].weight.mul_(_SMALL)


def _take_heads(part: Tracker | Refiner, predictor: Predictor) -> None:
    for name in ("decoder_norm", "class_embed", "mask_embed"):
        getattr(part, name).load_state_dict(getattr(predictor, name).state_dict())


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
            if isinstance(module.bias, Tensor):
                nn.init.zeros_(module.bias)
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

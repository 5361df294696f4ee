"""The small DVIS-DAQ that is trained: our own classes, and how its parts begin."""

from typing import Any

import torch
from torch import Tensor, nn

from regard.models.dvis_daq.model import DvisDaq, SegmentationHead
from regard.models.dvis_daq.pixel_decoder import PixelDecoder
from regard.models.dvis_daq.predictor import Predictor
from regard.models.dvis_daq.refiner import Refiner
from regard.models.dvis_daq.resnet import ResNet
from regard.models.dvis_daq.tracker import Tracker

CHANNELS = 64
HEADS = 4
QUERIES = 20
WIDTH = 128
"""Inner width of the feed-forward layers of tracker, refiner and pixel decoder."""
_SMALL = 0.1
"""Of weights that should change little at first."""


def build(classes: int) -> DvisDaq:
    """The network with random values; its segmenter is of the sizes of ``mini-mask2former``.

    Args:
        classes: Classes without "no object".
    """
    backbone = ResNet(
        stem_channels=32, blocks=(1, 1, 1, 1), inner_channels=None, channels=(32, 64, 96, 128)
    )
    shared = {
        "classes": classes,
        "channels": CHANNELS,
        "mask_channels": CHANNELS,
        "heads": HEADS,
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
        SegmentationHead(pixel_decoder, Predictor(**shared, queries=QUERIES, layers=6, width=192)),
        Tracker(**shared, layers=2, width=WIDTH),
        Refiner(**shared, layers=2, width=WIDTH, local_conv=True),
    )
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
    """Let the refiner begin as one that repeats what the tracker says.

    Its heads are those of the tracker. As it looks at mask features that are not projected, the
    projection becomes part of what it looks for.
    """
    tracker: Any = network.tracker
    refiner: Any = network.refiner
    assert refiner is not None
    _take_heads(refiner, tracker)
    projection, last = tracker.mask_feature_proj.weight[..., 0, 0], refiner.mask_embed.layers[-1]
    last.weight.copy_(projection.T @ last.weight)
    last.bias.copy_(projection.T @ last.bias)
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


def _take_heads(part: Tracker | Refiner, source: Predictor | Tracker) -> None:
    for name in ("decoder_norm", "class_embed", "mask_embed"):
        getattr(part, name).load_state_dict(getattr(source, name).state_dict())


def weights(network: DvisDaq) -> dict[str, Tensor]:
    """The tensors of a checkpoint in float16, under upstream's names."""
    return {key: tensor.half().contiguous() for key, tensor in network.state_dict().items()}


def _initialise(network: DvisDaq) -> None:
    """As upstream begins: Xavier for what attends."""
    for module in network.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            if isinstance(module.bias, Tensor):
                nn.init.zeros_(module.bias)

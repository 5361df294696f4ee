"""The network that a checkpoint was saved from, read off the shapes of its tensors.

Only a few numbers are not in the shapes: points (4) and levels (3) of the deformable attention.
"""

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from regard.errors import CheckpointError
from regard.models.dvis_daq.dinov2 import VisionTransformer
from regard.models.dvis_daq.model import DvisDaq, SegmentationHead
from regard.models.dvis_daq.pixel_decoder import LEVEL_STRIDES_PX, PixelDecoder
from regard.models.dvis_daq.predictor import Predictor
from regard.models.dvis_daq.refiner import Refiner
from regard.models.dvis_daq.resnet import ResNet
from regard.models.dvis_daq.swin import Swin
from regard.models.dvis_daq.tracker import Tracker
from regard.models.dvis_daq.vit_adapter import VitAdapter

_POINTS = 4
_BACKBONE_STAGES = ("res2", "res3", "res4", "res5")

State = Mapping[str, Tensor]


def build(state: State) -> DvisDaq:
    """A network whose parameters have the names and shapes of ``state``; its values are random.

    Raises:
        CheckpointError: The tensors are not those of a DVIS-DAQ model.
    """
    try:
        return _build(state)
    except KeyError as error:
        raise CheckpointError(
            f"this is no DVIS-DAQ checkpoint: it has no tensor {error.args[0]!r}; expected "
            "backbone, sem_seg_head and tracker of an official .pth file"
        ) from error


def _build(state: State) -> DvisDaq:
    backbone = build_backbone(under(state, "backbone."))
    pixels = under(state, "sem_seg_head.pixel_decoder.")
    predictor = under(state, "sem_seg_head.predictor.")
    layer = "transformer.encoder.layers.0"
    offsets = pixels[f"{layer}.self_attn.sampling_offsets.weight"]
    heads = offsets.shape[0] // (len(LEVEL_STRIDES_PX) * _POINTS * 2)
    classes, channels = predictor["class_embed.weight"].shape
    widths: dict[str, Any] = {
        "classes": classes - 1,
        "channels": channels,
        "mask_channels": pixels["mask_features.weight"].shape[0],
        "heads": heads,
    }
    head = SegmentationHead(
        PixelDecoder(
            backbone.channels,
            channels=channels,
            mask_channels=widths["mask_channels"],
            heads=heads,
            layers=count(pixels, "transformer.encoder.layers"),
            width=pixels[f"{layer}.linear1.weight"].shape[0],
        ),
        Predictor(
            **widths,
            **_depth(predictor),
            queries=predictor["query_feat.weight"].shape[0],
            levels=predictor["level_embed.weight"].shape[0],
        ),
    )
    tracker = under(state, "tracker.")
    return DvisDaq(
        backbone,
        head,
        Tracker(**widths, **_depth(tracker), slots=tracker["bg_slots.weight"].shape[0]),
        _refiner(under(state, "refiner."), widths),
    )


def _refiner(state: State, widths: dict[str, Any]) -> Refiner | None:
    if not state:
        return None
    return Refiner(**widths, **_depth(state), local_conv="conv_norms.0.weight" in state)


def _depth(state: State) -> dict[str, int]:
    """Number of layers, and inner width of their feed-forward parts."""
    return {
        "layers": count(state, "transformer_ffn_layers"),
        "width": state["transformer_ffn_layers.0.linear1.weight"].shape[0],
    }


def build_backbone(state: State) -> Any:
    """The backbone of a checkpoint; names without their prefix."""
    for key, read in _BACKBONES.items():
        if key in state:
            return read(state)
    raise CheckpointError(
        "the backbone is none of those that DVIS-DAQ was published with (ResNet-50/101, Swin, "
        f"ViT-Adapter on DINOv2); its first tensors are {sorted(state)[:3]}"
    )


def _resnet(state: State) -> nn.Module:
    bottlenecks = "res2.0.conv3.weight" in state
    last = "conv3" if bottlenecks else "conv2"
    inner = [state[f"{stage}.0.conv1.weight"].shape[0] for stage in _BACKBONE_STAGES]
    return ResNet(
        stem_channels=state["stem.conv1.weight"].shape[0],
        blocks=[count(state, stage) for stage in _BACKBONE_STAGES],
        inner_channels=inner if bottlenecks else None,
        channels=[state[f"{stage}.0.{last}.weight"].shape[0] for stage in _BACKBONE_STAGES],
    )


def _swin(state: State) -> nn.Module:
    tables = [
        state[f"layers.{stage}.blocks.0.attn.relative_position_bias_table"]
        for stage in range(count(state, "layers"))
    ]
    return Swin(
        channels=state["patch_embed.proj.weight"].shape[0],
        blocks=[count(state, f"layers.{stage}.blocks") for stage in range(len(tables))],
        heads=[table.shape[1] for table in tables],
        window=(math.isqrt(tables[0].shape[0]) + 1) // 2,
    )


def _vit_adapter(state: State) -> nn.Module:
    extractor = "interactions.0.extractor"
    channels = state["level_embed"].shape[1]
    heads = state[f"{extractor}.attn.sampling_offsets.weight"].shape[0] // (_POINTS * 2)
    vit = VisionTransformer(
        channels=channels,
        heads=heads,
        blocks=count(state, "vit_module.blocks"),
        width=state["vit_module.blocks.0.mlp.fc1.weight"].shape[0],
        positions=state["vit_module.pos_embed"].shape[1],
    )
    return VitAdapter(
        vit,
        channels=channels,
        heads=heads,
        inner_channels=state["spm.stem.0.weight"].shape[0],
        width=state[f"{extractor}.ffn.fc1.weight"].shape[0],
        extra_extractors=count(state, "interactions.3.extra_extractors"),
    )


_BACKBONES: dict[str, Callable[[State], nn.Module]] = {
    "stem.conv1.weight": _resnet,
    "layers.0.blocks.0.attn.relative_position_bias_table": _swin,
    "vit_module.pos_embed": _vit_adapter,
}
"""A tensor that only this backbone has -> how it is read."""


def under(state: State, prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin with ``prefix``, without it."""
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in state.items()
        if name.startswith(prefix)
    }


def count(state: State, name: str) -> int:
    """Modules in the list called ``name``."""
    pattern = re.compile(rf"{re.escape(name)}\.(\d+)\.")
    found = {int(match[1]) for match in map(pattern.match, state) if match}
    if found != set(range(len(found))) or not found:
        raise KeyError(f"{name}.{len(found)}")
    return len(found)

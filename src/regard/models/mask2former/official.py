"""Checkpoints of facebookresearch/Mask2Former (detectron2) in transformers' names."""

import math
import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from regard.errors import CheckpointError
from regard.models.detr.official import split_projection
from regard.models.resnet import detectron_name, resnet_config

_BACKBONE = "model.pixel_level_module.encoder."
_PIXELS = "model.pixel_level_module.decoder."
_QUERIES = "model.transformer_module."
_POINTS, _LEVELS = 4, 3
"""Sampling points of a head and level, and levels: the same in every released model."""

_PREDICTOR = {
    "decoder_norm.": f"{_QUERIES}decoder.layernorm.",
    "query_feat.": f"{_QUERIES}queries_features.",
    "static_query.": f"{_QUERIES}queries_features.",
    "query_embed.": f"{_QUERIES}queries_embedder.",
    "level_embed.": f"{_QUERIES}level_embed.",
    "input_proj.": f"{_QUERIES}input_projections.",
    "class_embed.": "class_predictor.",
}
_PIXEL_DECODER = {
    "input_proj.": f"{_PIXELS}input_projections.",
    "transformer.level_embed": f"{_PIXELS}level_embed",
    "mask_features.": f"{_PIXELS}mask_projection.",
}
_BLOCK_PARTS = {
    "linear1": "fc1",
    "linear2": "fc2",
    "norm1": "self_attn_layer_norm",
    "norm2": "final_layer_norm",
    "self_attn": "self_attn",
}
_QUERY_LAYER = re.compile(r"transformer_(self_attention|cross_attention|ffn)_layers\.(\d+)\.(.+)")
_NORM = {
    "self_attention": "self_attn_layer_norm",
    "cross_attention": "cross_attn_layer_norm",
    "ffn": "final_layer_norm",
}
_FPN = re.compile(r"(adapter|layer)_(\d+)\.(norm\.)?(\w+)")
_SWIN_BLOCK = re.compile(r"layers\.(\d+)\.blocks\.(\d+)\.(.+)")
_SWIN_PARTS = {
    "norm1.": "layernorm_before.",
    "norm2.": "layernorm_after.",
    "attn.proj.": "attention.o_proj.",
    "attn.relative_position_bias_table": (
        "attention.relative_position_bias.relative_position_bias_table"
    ),
    "mlp.": "mlp.",
}


def is_official(names: Mapping[str, Any]) -> bool:
    """Whether these are the weights of facebookresearch/Mask2Former."""
    return "sem_seg_head.predictor.query_embed.weight" in names and any(
        name.startswith("sem_seg_head.predictor.transformer_cross_attention_layers.")
        for name in names
    )


def converted(weights: Mapping[str, Tensor]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Settings and weights for transformers' classes.

    Args:
        weights: The ``model`` entry of an official checkpoint: Swin or ResNet backbone, the
            multi-scale deformable pixel decoder.

    Raises:
        CheckpointError: A weight that no such model has.
    """
    result = {own: part for name, whole in weights.items() for own, part in _parts(name, whole)}
    return _config(result), result


def _parts(name: str, tensor: Tensor) -> list[tuple[str, Tensor]]:
    """Names and tensors that one official weight becomes; none where it is not needed."""
    if name.startswith("criterion.") or name in ("pixel_mean", "pixel_std"):
        return []
    if name.startswith("backbone."):
        return _backbone(name.removeprefix("backbone."), tensor)
    inner = name.removeprefix("sem_seg_head.")
    if inner.startswith("predictor."):
        return _predictor(inner.removeprefix("predictor."), tensor)
    return _pixel_decoder(inner.removeprefix("pixel_decoder."), tensor)


def _backbone(name: str, tensor: Tensor) -> list[tuple[str, Tensor]]:
    if name.endswith(("relative_position_index", "num_batches_tracked", "attn_mask")):
        return []
    if (own := detectron_name(name)) is not None:
        return [(_BACKBONE + own, tensor)]
    if found := _SWIN_BLOCK.fullmatch(name):
        stage, block, rest = found.groups()
        return _swin_block(f"{_BACKBONE}swin.encoder.layers.{stage}.blocks.{block}.", rest, tensor)
    if name.startswith("patch_embed."):
        own = name.replace("patch_embed.proj", "patch_embeddings.projection")
        own = own.replace("patch_embed.norm", "norm")
        return [(f"{_BACKBONE}swin.embeddings.{own}", tensor)]
    if ".downsample." in name:
        return [(f"{_BACKBONE}swin.encoder.{name}", tensor)]
    if found := re.fullmatch(r"norm(\d)\.(\w+)", name):
        return [(f"{_BACKBONE}hidden_states_norms.stage{int(found[1]) + 1}.{found[2]}", tensor)]
    raise CheckpointError(f"backbone.{name!r} is no weight of a Swin transformer or a ResNet")


def _swin_block(place: str, rest: str, tensor: Tensor) -> list[tuple[str, Tensor]]:
    if rest.startswith("attn.qkv."):
        kind = rest.removeprefix("attn.qkv.")
        parts = zip("qkv", tensor.chunk(3), strict=True)
        return [(f"{place}attention.{letter}_proj.{kind}", part) for letter, part in parts]
    return [(place + _renamed(_SWIN_PARTS, rest), tensor)]


def _pixel_decoder(name: str, tensor: Tensor) -> list[tuple[str, Tensor]]:
    if found := _FPN.fullmatch(name):
        kind, number, norm, rest = found.groups()
        return [(f"{_PIXELS}{kind}_{number}.{1 if norm else 0}.{rest}", tensor)]
    if name.startswith("transformer.encoder.layers."):
        number, part, rest = name.removeprefix("transformer.encoder.layers.").split(".", 2)
        if part not in _BLOCK_PARTS:
            raise CheckpointError(f"{name!r} is no weight of the pixel decoder")
        return [(f"{_PIXELS}encoder.layers.{number}.{_BLOCK_PARTS[part]}.{rest}", tensor)]
    return [(_renamed(_PIXEL_DECODER, name), tensor)]


def _predictor(name: str, tensor: Tensor) -> list[tuple[str, Tensor]]:
    if name.startswith("mask_embed.layers."):
        number, rest = name.removeprefix("mask_embed.layers.").split(".", 1)
        place = f"{_QUERIES}decoder.mask_predictor.mask_embedder.{number}.0"
        return [(f"{place}.{rest}", tensor)]
    found = _QUERY_LAYER.fullmatch(name)
    if found is None:
        return [(_renamed(_PREDICTOR, name), tensor)]
    kind, number, rest = found.groups()
    place = f"{_QUERIES}decoder.layers.{number}"
    part, _, inner = rest.partition(".")
    if part == "norm":
        return [(f"{place}.{_NORM[kind]}.{inner}", tensor)]
    if part == "self_attn":
        return split_projection(f"{place}.self_attn", inner, tensor, out="out_proj")
    if part == "multihead_attn":  # torch's own module in both
        return [(f"{place}.cross_attn.{inner}", tensor)]
    if part in ("linear1", "linear2"):
        return [(f"{place}.fc{part[-1]}.{inner}", tensor)]
    raise CheckpointError(f"{name!r} is no weight of Mask2Former's transformer decoder")


def _renamed(table: Mapping[str, str], name: str) -> str:
    for official, own in table.items():
        if name.startswith(official):
            return name.replace(official, own, 1)
    raise CheckpointError(f"{name!r} is no weight of Mask2Former with a deformable pixel decoder")


def _config(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    backbone = {n.removeprefix(_BACKBONE): t for n, t in weights.items() if n.startswith(_BACKBONE)}
    is_swin = any(name.startswith("swin.") for name in backbone)
    try:
        first = f"{_PIXELS}encoder.layers.0."
        queries, width = weights[f"{_QUERIES}queries_embedder.weight"].shape
        sampled = len(weights[f"{first}self_attn.attention_weights.weight"])
        return {
            "model_type": "mask2former",
            "backbone_config": _swin_config(backbone) if is_swin else resnet_config(backbone),
            "num_queries": queries,
            "hidden_dim": width,
            "feature_size": len(weights[f"{_PIXELS}mask_projection.weight"][0]),
            "mask_feature_size": len(weights[f"{_PIXELS}mask_projection.weight"]),
            "num_attention_heads": sampled // (_POINTS * _LEVELS),
            "encoder_layers": _count(weights, f"{_PIXELS}encoder.layers."),
            "encoder_feedforward_dim": len(weights[f"{first}fc1.weight"]),
            # one more than there are: transformers counts the prediction before the first layer
            "decoder_layers": _count(weights, f"{_QUERIES}decoder.layers.") + 1,
            "dim_feedforward": len(weights[f"{_QUERIES}decoder.layers.0.fc1.weight"]),
            "enforce_input_projection": f"{_QUERIES}input_projections.0.weight" in weights,
            "num_labels": len(weights["class_predictor.weight"]) - 1,
        }
    except KeyError as error:
        raise CheckpointError(f"the checkpoint lacks {error}, which Mask2Former has") from error


def _swin_config(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    tables = [
        weights[
            f"swin.encoder.layers.{stage}.blocks.0.attention.relative_position_bias"
            ".relative_position_bias_table"
        ]
        for stage in range(4)
    ]
    depths = [_count(weights, f"swin.encoder.layers.{stage}.blocks.") for stage in range(4)]
    return {
        "model_type": "swin",
        "embed_dim": len(weights["swin.embeddings.patch_embeddings.projection.weight"]),
        "depths": depths,
        "num_heads": [table.shape[1] for table in tables],
        "window_size": (math.isqrt(len(tables[0])) + 1) // 2,
        "out_features": ["stage1", "stage2", "stage3", "stage4"],
    }


def _count(weights: Mapping[str, Tensor], prefix: str) -> int:
    found = {name.removeprefix(prefix).split(".")[0] for name in weights if name.startswith(prefix)}
    return len(found)

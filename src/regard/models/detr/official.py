"""Checkpoints of facebookresearch/detr, and of transformers over timm, in transformers' names."""

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from regard.errors import CheckpointError
from regard.models.resnet import resnet_config, torchvision_name

_LAYER = re.compile(r"transformer\.(encoder|decoder)\.layers\.(\d+)\.(\w+)\.(.+)")
_NORMS = {
    "encoder": {"norm1": "self_attn_layer_norm", "norm2": "final_layer_norm"},
    "decoder": {
        "norm1": "self_attn_layer_norm",
        "norm2": "encoder_attn_layer_norm",
        "norm3": "final_layer_norm",
    },
}
_ATTENTION = {"self_attn": "self_attn", "multihead_attn": "encoder_attn"}
_DETECTOR = {
    "query_embed.": "model.query_position_embeddings.",
    "input_proj.": "model.input_projection.",
    "transformer.decoder.norm.": "model.decoder.layernorm.",
    "class_embed.": "class_labels_classifier.",
    "bbox_embed.": "bbox_predictor.",
}
_MASK_HEAD = {
    "lay1": "conv1.conv",
    "gn1": "conv1.norm",
    "lay2": "conv2.conv",
    "gn2": "conv2.norm",
    "out_lay": "output_conv",
    **{f"adapter{i}": f"fpn_stages.{i - 1}.fpn_adapter" for i in (1, 2, 3)},
    **{f"lay{i}": f"fpn_stages.{i - 3}.refine.conv" for i in (3, 4, 5)},
    **{f"gn{i}": f"fpn_stages.{i - 3}.refine.norm" for i in (3, 4, 5)},
}
_TIMM = re.compile(r"((?:detr\.)?model\.backbone\.)(?:conv_encoder\.)?model\.(.+)")
_HEADS = 8
"""Attention heads of every released DETR; the weights do not tell, but for the mask head's."""


def is_official(names: Mapping[str, Any]) -> bool:
    """Whether these are the weights of facebookresearch/detr."""
    plain = {name.removeprefix("detr.") for name in names}
    return {"query_embed.weight", "input_proj.weight", "class_embed.weight"} <= plain and any(
        name.startswith("transformer.decoder.layers.0.multihead_attn.") for name in plain
    )


def converted(weights: Mapping[str, Tensor]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Settings and weights for transformers' classes.

    The weights of a model with dilation (DC5) have the same names and shapes as those without.

    Args:
        weights: The ``model`` entry of an official checkpoint.

    Raises:
        CheckpointError: A weight that no DETR has.
    """
    has_masks = any(name.startswith("mask_head.") for name in weights)
    prefix = "detr." if has_masks else ""
    result: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        if name.endswith("num_batches_tracked"):
            continue
        if name.startswith("mask_head."):
            _, layer, rest = name.split(".", 2)
            result[f"mask_head.{_of(_MASK_HEAD, layer, name)}.{rest}"] = tensor
        elif name.startswith("bbox_attention."):
            result[re.sub(r"\.([qk])_linear\.", r".\1_proj.", name)] = tensor
        else:
            for own, part in _detector_part(name.removeprefix("detr."), tensor):
                result[prefix + own] = part
    return _config(result, prefix), result


def without_timm(weights: Mapping[str, Tensor]) -> tuple[dict[str, Any] | None, dict[str, Tensor]]:
    """Weights with a timm backbone under transformers' ResNet names, and its settings.

    Settings are None where the backbone is transformers' own already.
    """
    result: dict[str, Tensor] = {}
    backbone: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        found = _TIMM.fullmatch(name)
        own = torchvision_name(found[2]) if found else None
        if found is None or own is None:
            result[name] = tensor
        elif not name.endswith("num_batches_tracked"):
            result[f"{found[1]}model.{own}"] = backbone[own] = tensor
    return (resnet_config(backbone) if backbone else None), result


def _detector_part(name: str, tensor: Tensor) -> list[tuple[str, Tensor]]:
    """Names and tensors that one official weight becomes; q, k and v are stored in one."""
    if name.startswith("backbone.0.body."):
        own = _of_backbone(name)
        return [(f"model.backbone.model.{own}", tensor)]
    for official, own in _DETECTOR.items():
        if name.startswith(official):
            return [(name.replace(official, own, 1), tensor)]
    found = _LAYER.fullmatch(name)
    if found is None:
        raise CheckpointError(f"{name!r} is no weight of DETR (post-norm, ResNet backbone)")
    side, number, part, rest = found.groups()
    place = f"model.{side}.layers.{number}"
    if part in _ATTENTION:
        return split_projection(f"{place}.{_ATTENTION[part]}", rest, tensor, out="o_proj")
    if part.startswith("linear"):
        return [(f"{place}.mlp.fc{part[-1]}.{rest}", tensor)]
    return [(f"{place}.{_of(_NORMS[side], part, name)}.{rest}", tensor)]


def split_projection(
    place: str, rest: str, tensor: Tensor, *, out: str
) -> list[tuple[str, Tensor]]:
    """Torch's joint q, k, v projection as three, and its output projection under its own name."""
    if rest.startswith("in_proj_"):
        kind = rest.removeprefix("in_proj_")
        parts = zip("qkv", tensor.chunk(3), strict=True)
        return [(f"{place}.{letter}_proj.{kind}", part) for letter, part in parts]
    return [(f"{place}.{rest.replace('out_proj', out)}", tensor)]


def _of_backbone(name: str) -> str:
    own = torchvision_name(name.removeprefix("backbone.0.body."))
    if own is None:
        raise CheckpointError(f"{name!r} is no weight of a ResNet")
    return own


def _of(table: Mapping[str, str], key: str, name: str) -> str:
    if key not in table:
        raise CheckpointError(f"{name!r} is no weight of DETR")
    return table[key]


def _config(weights: Mapping[str, Tensor], prefix: str) -> dict[str, Any]:
    model = f"{prefix}model."
    backbone = {
        name.removeprefix(f"{model}backbone.model."): tensor
        for name, tensor in weights.items()
        if name.startswith(f"{model}backbone.model.")
    }
    queries, width = weights[f"{model}query_position_embeddings.weight"].shape
    heads = _HEADS
    if prefix:  # the mask head reads the image and one map for each head
        heads = weights["mask_head.conv1.conv.weight"].shape[1] - width
    return {
        "model_type": "detr",
        "backbone_config": resnet_config(backbone),
        "num_queries": queries,
        "d_model": width,
        "num_labels": len(weights[f"{prefix}class_labels_classifier.weight"]) - 1,
        **_side(weights, model, "encoder", heads),
        **_side(weights, model, "decoder", heads),
    }


def _side(weights: Mapping[str, Tensor], model: str, side: str, heads: int) -> dict[str, int]:
    pattern = re.compile(re.escape(f"{model}{side}.layers.") + r"(\d+)\.")
    found = (pattern.match(name) for name in weights)
    return {
        f"{side}_layers": 1 + max(int(match[1]) for match in found if match),
        f"{side}_ffn_dim": len(weights[f"{model}{side}.layers.0.mlp.fc1.weight"]),
        f"{side}_attention_heads": heads,
    }

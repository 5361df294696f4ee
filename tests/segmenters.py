"""Tiny random DETR and Mask2Former checkpoints, also under their official names."""

import re
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor

STAGES = ["stage1", "stage2", "stage3", "stage4"]
NAMES = ("cat", "dog", "sky", "car", "tree")


def resnet() -> transformers.ResNetConfig:
    return transformers.ResNetConfig(
        embedding_size=8,
        hidden_sizes=[16, 24, 32, 40],
        depths=[1, 2, 1, 1],
        layer_type="bottleneck",
        out_features=STAGES,
    )


def tiny_detr(*, masks: bool = True, labels: int = 5) -> Any:
    """A random DETR in transformers' classes, with norms that are not the identity."""
    torch.manual_seed(0)
    config = transformers.DetrConfig(
        backbone_config=resnet(),
        d_model=64,
        encoder_layers=2,
        decoder_layers=3,
        encoder_attention_heads=8,
        decoder_attention_heads=8,
        encoder_ffn_dim=32,
        decoder_ffn_dim=48,
        num_queries=7,
        num_labels=labels,
    )
    kind = transformers.DetrForSegmentation if masks else transformers.DetrForObjectDetection
    return _shaken(kind(config))


def tiny_mask2former(*, swin: bool = True, labels: int = 5, decoder_layers: int = 6) -> Any:
    """A random Mask2Former in our class, with norms that are not the identity."""
    from regard.models.mask2former.segmenter import Mask2FormerSegmenter

    torch.manual_seed(0)
    backbone = resnet()
    if swin:
        backbone = transformers.SwinConfig(
            embed_dim=8, depths=[1, 2, 1, 1], num_heads=[1, 2, 2, 2], window_size=4,
            image_size=64, out_features=STAGES,
        )  # fmt: skip
    config = transformers.Mask2FormerConfig(
        backbone_config=backbone,
        hidden_dim=32,
        feature_size=32,
        mask_feature_size=32,
        encoder_layers=1,
        decoder_layers=decoder_layers + 1,
        num_attention_heads=4,
        encoder_feedforward_dim=32,
        dim_feedforward=48,
        num_queries=7,
        num_labels=labels,
    )
    model = _shaken(Mask2FormerSegmenter(config))
    pixels = model.model.pixel_level_module.decoder.mask_projection
    with torch.no_grad():  # masks of both signs
        pixels.weight.normal_()
        pixels.bias.zero_()
        pixels.weight -= pixels.weight.mean(1, keepdim=True)
    return model


def _shaken(model: Any) -> Any:
    for name, tensor in model.state_dict().items():
        if tensor.dim() == 1 and tensor.is_floating_point():
            scale = name.endswith("weight") or "running_var" in name
            with torch.no_grad():
                tensor.uniform_(0.5, 1.5) if scale else tensor.normal_(0.0, 0.2)
    return model.eval()


def sure_of(model: Any, label: int) -> Any:
    """The model, whose queries now all find objects of one class."""
    head = getattr(model, "detr", model)
    head = getattr(head, "class_labels_classifier", None) or head.class_predictor
    with torch.no_grad():
        head.weight.mul_(0.1)
        head.bias.zero_()
        head.bias[label] = 12
    return model


def covering(model: Any) -> Any:
    """The Mask2Former, in which every pixel is in some query's mask."""
    embedder = model.model.transformer_module.decoder.mask_predictor.mask_embedder
    with torch.no_grad():
        model.model.pixel_level_module.decoder.mask_projection.bias.fill_(10)
        embedder.get_submodule("2.0").bias.fill_(1)
    return model


def save(model: Any, folder: Path) -> Path:
    model.save_pretrained(folder)
    return folder


def official_detr(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights of transformers' DETR under the names of facebookresearch/detr."""
    has_masks = any(name.startswith("mask_head.") for name in weights)
    rules = [
        (r"^model\.backbone\.model\.(.+)", r"backbone.0.body.\1"),
        (r"^model\.query_position_embeddings", "query_embed"),
        (r"^model\.input_projection", "input_proj"),
        (r"^class_labels_classifier", "class_embed"),
        (r"^bbox_predictor", "bbox_embed"),
        (r"^model\.decoder\.layernorm", "transformer.decoder.norm"),
        (r"^model\.(encoder|decoder)\.", r"transformer.\1."),
        (r"(decoder.+)\.final_layer_norm", r"\1.norm3"),
        (r"\.final_layer_norm", ".norm2"),
        (r"\.encoder_attn_layer_norm", ".norm2"),
        (r"\.self_attn_layer_norm", ".norm1"),
        (r"\.encoder_attn\.", ".multihead_attn."),
        (r"\.o_proj", ".out_proj"),
        (r"\.mlp\.fc(\d)", r".linear\1"),
    ]
    head = {
        "conv1.conv": "lay1", "conv1.norm": "gn1", "conv2.conv": "lay2", "conv2.norm": "gn2",
        "fpn_stages.0.fpn_adapter": "adapter1", "fpn_stages.1.fpn_adapter": "adapter2",
        "fpn_stages.2.fpn_adapter": "adapter3", "output_conv": "out_lay",
        "fpn_stages.0.refine.conv": "lay3", "fpn_stages.0.refine.norm": "gn3",
        "fpn_stages.1.refine.conv": "lay4", "fpn_stages.1.refine.norm": "gn4",
        "fpn_stages.2.refine.conv": "lay5", "fpn_stages.2.refine.norm": "gn5",
    }  # fmt: skip
    result = {}
    for name, tensor in _joined(weights).items():
        if name.startswith("mask_head."):
            layer, kind = name.removeprefix("mask_head.").rsplit(".", 1)
            result[f"mask_head.{head[layer]}.{kind}"] = tensor
        elif name.startswith("bbox_attention."):
            result[name.replace("_proj", "_linear")] = tensor
        else:
            own = torchvision_name(_renamed(name.removeprefix("detr."), rules))
            result[("detr." if has_masks else "") + own] = tensor
    return result


def official_mask2former(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights of transformers' Mask2Former under the names of the official code."""
    pixels, queries = "sem_seg_head.pixel_decoder.", "sem_seg_head.predictor."
    encoder = r"^model\.pixel_level_module\.encoder\."
    layers = r"^model\.transformer_module\.decoder\.layers\.(\d+)\."
    rules = [
        (encoder + r"swin\.layernorm.*", ""),
        (encoder + r"swin\.embeddings\.patch_embeddings\.projection",
         "backbone.patch_embed.proj"),
        (encoder + r"swin\.embeddings\.norm", "backbone.patch_embed.norm"),
        (encoder + r"swin\.encoder\.", "backbone."),
        (encoder + r"hidden_states_norms\.stage", "backbone.norm"),
        (encoder, "backbone."),
        (r"\.layernorm_before", ".norm1"), (r"\.layernorm_after", ".norm2"),
        (r"\.attention\.o_proj", ".attn.proj"), (r"\.attention\.in_proj_", ".attn.qkv."),
        (r"\.attention\.relative_position_bias\.", ".attn."),
        (r"^model\.pixel_level_module\.decoder\.(adapter|layer)_1\.0", pixels + r"\1_1"),
        (r"^model\.pixel_level_module\.decoder\.(adapter|layer)_1\.1", pixels + r"\1_1.norm"),
        (r"^model\.pixel_level_module\.decoder\.input_projections", pixels + "input_proj"),
        (r"^model\.pixel_level_module\.decoder\.level_embed", pixels + "transformer.level_embed"),
        (r"^model\.pixel_level_module\.decoder\.mask_projection", pixels + "mask_features"),
        (r"^model\.pixel_level_module\.decoder\.encoder\.(.+)\.self_attn_layer_norm",
         pixels + r"transformer.encoder.\1.norm1"),
        (r"^model\.pixel_level_module\.decoder\.encoder\.(.+)\.final_layer_norm",
         pixels + r"transformer.encoder.\1.norm2"),
        (r"^model\.pixel_level_module\.decoder\.encoder\.(.+)\.fc(\d)",
         pixels + r"transformer.encoder.\1.linear\2"),
        (r"^model\.pixel_level_module\.decoder\.encoder\.", pixels + "transformer.encoder."),
        (layers + r"self_attn_layer_norm", queries + r"transformer_self_attention_layers.\1.norm"),
        (layers + r"self_attn", queries + r"transformer_self_attention_layers.\1.self_attn"),
        (layers + r"cross_attn_layer_norm",
         queries + r"transformer_cross_attention_layers.\1.norm"),
        (layers + r"cross_attn", queries + r"transformer_cross_attention_layers.\1.multihead_attn"),
        (layers + r"final_layer_norm", queries + r"transformer_ffn_layers.\1.norm"),
        (layers + r"fc(\d)", queries + r"transformer_ffn_layers.\1.linear\2"),
        (r"^model\.transformer_module\.decoder\.layernorm", queries + "decoder_norm"),
        (r"^model\.transformer_module\.decoder\.mask_predictor\.mask_embedder\.(\d)\.0",
         queries + r"mask_embed.layers.\1"),
        (r"^model\.transformer_module\.queries_embedder", queries + "query_embed"),
        (r"^model\.transformer_module\.queries_features", queries + "query_feat"),
        (r"^model\.transformer_module\.level_embed", queries + "level_embed"),
        (r"^class_predictor", queries + "class_embed"),
    ]  # fmt: skip
    result = {}
    for name, tensor in _joined(weights).items():
        own = _renamed(name, rules)
        if found := re.fullmatch(r"backbone\.norm(\d)\.(\w+)", own):
            own = f"backbone.norm{int(found[1]) - 1}.{found[2]}"
        if (own.startswith("backbone.e") and "embedder" in own) or "stages" in own:
            own = "backbone." + detectron_name(own.removeprefix("backbone."))
        if own and not own.startswith("."):
            result[own] = tensor
    result["criterion.empty_weight"] = torch.ones(3)
    return result


def torchvision_name(name: str) -> str:
    """A ResNet weight's name in torchvision."""
    kinds = {"convolution": "conv", "normalization": "bn"}
    if found := re.fullmatch(r"(.*)embedder\.embedder\.(\w+)\.(\w+)", name):
        return f"{found[1]}{kinds[found[2]]}1.{found[3]}"
    if found := re.fullmatch(r"(.*)encoder\.stages\.(\d)\.layers\.(\d)\.(.+)", name):
        start, stage, block, rest = found.groups()
        place = f"{start}layer{int(stage) + 1}.{block}"
        if inner := re.fullmatch(r"layer\.(\d)\.(\w+)\.(\w+)", rest):
            return f"{place}.{kinds[inner[2]]}{int(inner[1]) + 1}.{inner[3]}"
        if inner := re.fullmatch(r"shortcut\.(\w+)\.(\w+)", rest):
            return f"{place}.downsample.{0 if inner[1] == 'convolution' else 1}.{inner[2]}"
    return name


def detectron_name(name: str) -> str:
    """A ResNet weight's name in detectron2."""
    own = torchvision_name(name)
    own = re.sub(r"^(conv1|bn1)\.", r"stem.\1.", own)
    own = re.sub(r"layer(\d)", lambda found: f"res{int(found[1]) + 1}", own)
    own = own.replace("downsample.0", "shortcut").replace("downsample.1", "shortcut.norm")
    return re.sub(r"bn(\d)", r"conv\1.norm", own)


def _joined(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """q, k and v of self-attention as torch's and Swin's modules store them, in one."""
    result = {}
    for name, tensor in weights.items():
        joins = re.search(r"(self_attn|encoder_attn|attention)\.[qkv]_proj\.", name)
        if not joins or name.startswith("bbox_attention."):
            result[name] = tensor
        elif ".q_proj." in name:
            parts = [weights[name.replace(".q_proj.", f".{x}_proj.")] for x in "qkv"]
            result[name.replace(".q_proj.", ".in_proj_")] = torch.cat(parts)
    return result


def _renamed(name: str, rules: list[tuple[str, str]]) -> str:
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name

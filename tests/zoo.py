"""Tiny models with random weights, one row each: how to build one, and what there is to record."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import transformers as hf
from torch import Tensor, nn

from zoo_modules import (
    CrossMatcher,
    GatedMixture,
    SinkAttention,
    TalkingHeads,
)

Built = tuple[nn.Module, dict[str, Any]]
SIDE = 64


@dataclass(frozen=True)
class Row:
    """One model.

    Attributes:
        name: How tests call it.
        build: Gives the model in evaluation mode and the keyword arguments of one forward pass.
        calls: Attention calls of one pass.
        explicit: How many of them have no program, so that weights are kept even with keep="qk".
        valueless: How many of them meet no values, so that nothing can verify them.
        unrecorded: What must be listed as unrecorded: (end of the path, part of the reason).
        attentions: Attributes of the output in which the model itself returns weights, to be
            compared with the records in the order given; only where it returns the right ones.
    """

    name: str
    build: Callable[[], Built]
    calls: int
    explicit: int = 0
    valueless: int = 0
    unrecorded: tuple[tuple[str, str], ...] = ()
    attentions: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.name


def tensors(output: Any) -> list[Tensor]:
    """Every tensor in a model's output."""
    if isinstance(output, Tensor):
        return [output]
    if isinstance(output, Mapping):
        output = list(output.values())
    if isinstance(output, (list, tuple)):
        return [tensor for item in output for tensor in tensors(item)]
    return []


def lively(model: nn.Module) -> nn.Module:
    """The model with weights so large that attention is far from uniform, in evaluation mode."""
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() >= 2:
                gain = 1.5 if parameter.dim() <= 3 else 2.5
                spread = gain / max(1, parameter[0].numel()) ** 0.5
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * spread)
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.reset_parameters()
    return model.eval()


def image(channels: int = 3, side: int = SIDE) -> Tensor:
    return torch.randn(1, channels, side, side, generator=torch.Generator().manual_seed(1))


def ids(count: int = 6) -> Tensor:
    return torch.arange(3, 3 + count)[None]


SMALL: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 32,
    "image_size": SIDE,
    "patch_size": 16,
}
TEXT: dict[str, Any] = {
    "vocab_size": 50,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 32,
    "max_position_embeddings": 16,
}
SPECIAL = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}


def vit_like(name: str, **more: Any) -> Callable[[], Built]:
    """A model of transformers that is configured like ViT."""

    def build() -> Built:
        config = getattr(hf, f"{name}Config")(**{**SMALL, **more})
        return getattr(hf, f"{name}Model")(config), {"pixel_values": image()}

    return build


def resnet() -> Any:
    return hf.ResNetConfig(
        embedding_size=8,
        hidden_sizes=[8, 16, 16, 32],
        depths=[1, 1, 1, 1],
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )


SWIN: dict[str, Any] = {
    "image_size": SIDE,
    "patch_size": 4,
    "embed_dim": 16,
    "depths": [2, 2],
    "num_heads": [2, 4],
    "window_size": 4,
}


def swin() -> Built:
    return hf.SwinModel(hf.SwinConfig(**SWIN)), {"pixel_values": image()}


def swinv2() -> Built:
    return hf.Swinv2Model(hf.Swinv2Config(**SWIN)), {"pixel_values": image()}


def clip() -> Built:
    config = hf.CLIPConfig(text_config=TEXT | SPECIAL, vision_config=SMALL, projection_dim=16)
    return hf.CLIPModel(config), {"pixel_values": image(), "input_ids": ids()}


def siglip() -> Built:
    config = hf.SiglipConfig(
        text_config=TEXT | SPECIAL | {"projection_size": 32}, vision_config=SMALL
    )
    return hf.SiglipModel(config), {"pixel_values": image(), "input_ids": ids()}


PYRAMID: dict[str, Any] = {
    "hidden_sizes": [16, 16, 32, 32],
    "depths": [1, 1, 1, 1],
    "num_attention_heads": [1, 2, 2, 4],
}


def segformer() -> Built:
    return hf.SegformerModel(hf.SegformerConfig(**PYRAMID)), {"pixel_values": image()}


def pvt() -> Built:
    return hf.PvtModel(hf.PvtConfig(image_size=SIDE, **PYRAMID)), {"pixel_values": image()}


def cvt() -> Built:
    config = hf.CvtConfig(embed_dim=[8, 16, 32], num_heads=[1, 2, 4], depth=[1, 2, 3])
    return hf.CvtModel(config), {"pixel_values": image()}


def levit() -> Built:
    config = hf.LevitConfig(
        image_size=SIDE,
        hidden_sizes=[16, 24, 32],
        num_attention_heads=[2, 3, 4],
        depths=[1, 1, 1],
        key_dim=[8, 8, 8],
    )
    return hf.LevitModel(config), {"pixel_values": image()}


def mobilevit() -> Built:
    config = hf.MobileViTConfig(
        image_size=SIDE,
        hidden_sizes=[16, 16, 24],
        neck_hidden_sizes=[8, 8, 16, 16, 24, 24, 32],
        num_attention_heads=4,
    )
    return hf.MobileViTModel(config), {"pixel_values": image()}


DETR: dict[str, Any] = {
    "use_timm_backbone": False,
    "use_pretrained_backbone": False,
    "d_model": 64,
    "encoder_layers": 1,
    "decoder_layers": 2,
    "encoder_attention_heads": 8,
    "decoder_attention_heads": 8,
    "encoder_ffn_dim": 32,
    "decoder_ffn_dim": 32,
    "num_queries": 5,
}


def detr(name: str) -> Callable[[], Built]:
    def build() -> Built:
        family = "ConditionalDetr" if "Conditional" in name else "Detr"
        config = getattr(hf, f"{family}Config")(backbone_config=resnet(), **DETR)
        return getattr(hf, name)(config), {"pixel_values": image()}

    return build


MASK2FORMER: dict[str, Any] = {
    "feature_size": 32,
    "mask_feature_size": 32,
    "hidden_dim": 32,
    "encoder_feedforward_dim": 32,
    "encoder_layers": 1,
    "decoder_layers": 3,
    "num_attention_heads": 4,
    "dim_feedforward": 32,
    "num_queries": 6,
}


def mask2former(backbone: str) -> Callable[[], Built]:
    def build() -> Built:
        inner = resnet() if backbone == "resnet" else swin_backbone()
        model = hf.Mask2FormerModel(hf.Mask2FormerConfig(backbone_config=inner, **MASK2FORMER))
        return model, {"pixel_values": image()}

    return build


def swin_backbone() -> Any:
    more = {"depths": [1, 1, 1, 1], "num_heads": [1, 2, 2, 4], "embed_dim": 8}
    stages = ["stage1", "stage2", "stage3", "stage4"]
    return hf.SwinConfig(**{**SWIN, **more}, out_features=stages)


def maskformer() -> Built:
    decoder = hf.DetrConfig(**{**DETR, "decoder_layers": 2}, backbone_config=resnet())
    config = hf.MaskFormerConfig(
        fpn_feature_size=32,
        mask_feature_size=32,
        backbone_config=swin_backbone(),
        decoder_config=decoder,
    )
    return hf.MaskFormerModel(config), {"pixel_values": image()}


def sam(implementation: str) -> Callable[[], Built]:
    def build() -> Built:
        vision = {
            **{k: v for k, v in SMALL.items() if k != "intermediate_size"},
            **{"patch_size": 8, "window_size": 3, "global_attn_indexes": [1]},
            **{"output_channels": 32, "mlp_dim": 32, "num_pos_feats": 16},
        }
        prompt = {"hidden_size": 32, "image_size": SIDE, "patch_size": 8}
        decoder = {
            **{"hidden_size": 32, "mlp_dim": 32, "num_attention_heads": 4},
            **{"num_hidden_layers": 2, "iou_head_hidden_dim": 16},
        }
        config = hf.SamConfig(
            vision_config=vision, prompt_encoder_config=prompt, mask_decoder_config=decoder
        )
        model = hf.SamModel(config)
        model.set_attn_implementation(implementation)
        points = torch.tensor([[[[10.0, 10.0]]]])
        return model, {"pixel_values": image(), "input_points": points}

    return build


def blip() -> Built:
    text = TEXT | SPECIAL | {"encoder_hidden_size": 32, "projection_dim": 16}
    config = hf.BlipConfig(
        text_config=text, vision_config=SMALL, projection_dim=16, image_text_hidden_size=32
    )
    model = hf.BlipForConditionalGeneration(config)
    return model, {"pixel_values": image(), "input_ids": ids()}


def vilt() -> Built:
    config = hf.ViltConfig(**SMALL, vocab_size=50, max_position_embeddings=16)
    return hf.ViltModel(config), {"pixel_values": image(), "input_ids": ids()}


def groupvit() -> Built:
    vision = {
        **SMALL,
        **{"depths": [1, 1, 1], "num_group_tokens": [4, 2, 0], "num_output_groups": [4, 2, 0]},
        **{"patch_size": 16, "assign_mlp_ratio": [0.5, 2]},
    }
    config = hf.GroupViTConfig(
        text_config=TEXT | SPECIAL,
        vision_config=vision,
        projection_dim=16,
        projection_intermediate_dim=16,
    )
    return hf.GroupViTModel(config), {"pixel_values": image(), "input_ids": ids()}


def video(name: str, **more: Any) -> Callable[[], Built]:
    def build() -> Built:
        config = getattr(hf, f"{name}Config")(**{**SMALL, "num_frames": 4, **more})
        return getattr(hf, f"{name}Model")(config), {
            "pixel_values": image()[:, None].repeat(1, 4, 1, 1, 1)
        }

    return build


def yolos() -> Built:
    config = hf.YolosConfig(**{**SMALL, "image_size": [SIDE, SIDE]}, num_detection_tokens=5)
    return hf.YolosModel(config), {"pixel_values": image()}


def owlvit() -> Built:
    config = hf.OwlViTConfig(text_config=TEXT | SPECIAL, vision_config=SMALL, projection_dim=16)
    return hf.OwlViTModel(config), {"pixel_values": image(), "input_ids": ids()}


def perceiver() -> Built:
    config = hf.PerceiverConfig(
        num_latents=6,
        d_latents=16,
        d_model=24,
        num_blocks=1,
        num_self_attends_per_block=2,
        num_self_attention_heads=2,
        num_cross_attention_heads=2,
    )
    model = hf.PerceiverModel(config)
    return model, {"inputs": torch.randn(1, 20, 24, generator=torch.Generator().manual_seed(1))}


def bridgetower() -> Built:
    vision = {"hidden_size": 64, "num_hidden_layers": 2, "image_size": SIDE, "patch_size": 16}
    config = hf.BridgeTowerConfig(
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=32,
        text_config=TEXT
        | {"hidden_size": 64}
        | {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2},
        vision_config=vision,
    )
    return hf.BridgeTowerModel(config), {"pixel_values": image(), "input_ids": ids()}


def grounding_dino() -> Built:
    config = hf.GroundingDinoConfig(
        backbone_config=swin_backbone_for_grounding(),
        use_timm_backbone=False,
        text_config=hf.BertConfig(**TEXT),
        d_model=64,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        dropout=0.0,
        num_queries=5,
        max_text_len=16,
    )
    model = hf.GroundingDinoModel(config)
    return model, {"pixel_values": image(side=2 * SIDE), "input_ids": ids()}


def swin_backbone_for_grounding() -> Any:
    more = {"depths": [1, 1, 1, 1], "num_heads": [1, 2, 2, 4], "embed_dim": 8}
    return hf.SwinConfig(**{**SWIN, **more}, out_features=["stage2", "stage3", "stage4"])


def module(make: Callable[[], nn.Module], **inputs: tuple[int, ...]) -> Callable[[], Built]:
    """A module of torch or of our own, with random inputs of the given shapes."""

    def build() -> Built:
        generator = torch.Generator().manual_seed(1)
        arguments = {k: torch.randn(shape, generator=generator) for k, shape in inputs.items()}
        return make(), arguments

    return build


def decoder() -> Built:
    layer = nn.TransformerDecoderLayer(32, 4, 64, batch_first=True)
    mask = nn.Transformer.generate_square_subsequent_mask(5)
    generator = torch.Generator().manual_seed(1)
    return nn.TransformerDecoder(layer, 2), {
        "tgt": torch.randn(2, 5, 32, generator=generator),
        "memory": torch.randn(2, 9, 32, generator=generator),
        "tgt_mask": mask,
        "tgt_is_causal": True,
    }


ROWS = [
    Row("vit", vit_like("ViT"), 2, attentions=("attentions",)),
    Row("vit eager", vit_like("ViT", attn_implementation="eager"), 2, attentions=("attentions",)),
    Row("deit", vit_like("DeiT"), 2, attentions=("attentions",)),
    Row("beit", vit_like("Beit", use_relative_position_bias=True), 2, attentions=("attentions",)),
    Row("dinov2", vit_like("Dinov2"), 2, attentions=("attentions",)),
    Row("dinov2 with registers", vit_like("Dinov2WithRegisters"), 2, attentions=("attentions",)),
    Row("dinov3", vit_like("DINOv3ViT"), 2, attentions=("attentions",)),
    Row(
        "clip",
        clip,
        4,
        attentions=("text_model_output.attentions", "vision_model_output.attentions"),
    ),
    Row(
        "siglip",
        siglip,
        5,
        attentions=("text_model_output.attentions", "vision_model_output.attentions"),
    ),
    Row("swin", swin, 4),
    Row("swinv2", swinv2, 4),
    Row("segformer", segformer, 4, attentions=("attentions",)),
    Row("pvt", pvt, 4, attentions=("attentions",)),
    Row("cvt", cvt, 6),
    Row("levit", levit, 5),
    Row("mobilevit", mobilevit, 9),
    Row(
        "detr",
        detr("DetrForObjectDetection"),
        5,
        attentions=("encoder_attentions", "decoder_attentions", "cross_attentions"),
    ),
    Row(
        "detr segmentation",
        detr("DetrForSegmentation"),
        6,
        valueless=1,
        attentions=("encoder_attentions", "decoder_attentions", "cross_attentions"),
    ),
    Row(
        "conditional detr",
        detr("ConditionalDetrModel"),
        5,
        attentions=("encoder_attentions", "decoder_attentions", "cross_attentions"),
    ),
    Row("mask2former resnet", mask2former("resnet"), 5),
    Row("mask2former swin", mask2former("swin"), 9),
    Row("maskformer", maskformer, 8),
    Row("sam", sam("sdpa"), 9),
    Row("sam eager", sam("eager"), 9),
    Row("blip", blip, 6),
    Row("vilt", vilt, 2, attentions=("attentions",)),
    Row("groupvit", groupvit, 11, explicit=2, valueless=2),
    Row("timesformer", video("Timesformer"), 4),
    Row("videomae", video("VideoMAE", tubelet_size=2), 2, attentions=("attentions",)),
    Row("yolos", yolos, 2, attentions=("attentions",)),
    Row(
        "owlvit",
        owlvit,
        4,
        attentions=("text_model_output.attentions", "vision_model_output.attentions"),
    ),
    Row("grounding dino", grounding_dino, 13),
    Row("perceiver", perceiver, 3),
    Row("bridgetower", bridgetower, 12),
    Row("cross matcher", module(CrossMatcher, a=(2, 9, 16), b=(2, 7, 16)), 2),
    Row("talking heads", module(TalkingHeads, x=(2, 9, 16)), 1),
    Row("gated mixture", module(GatedMixture, x=(2, 9, 16)), 1, explicit=1),
    Row("attention sinks", module(SinkAttention, x=(2, 9, 16)), 1, explicit=1),
    Row("transformer decoder", decoder, 4),
]

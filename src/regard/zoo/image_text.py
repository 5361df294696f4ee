"""Image-text encoders of transformers."""

from typing import Any

import torch

from regard.zoo.entry import Entry, config
from regard.zoo.entry import of_transformers as hf
from regard.zoo.inputs import ids, image, normal, pixels_and_text
from regard.zoo.sizes import TEXT, VIT, resnet

BOTH = pixels_and_text()
PAIR = {"text_config": TEXT, "vision_config": VIT, "projection_dim": 16}
SIGLIP = {"text_config": TEXT | {"projection_size": 32}, "vision_config": VIT}
BERT = config("Bert", **TEXT)


def _naflex() -> dict[str, Any]:
    return {
        "pixel_values": normal(1, 16, 768),
        "pixel_attention_mask": torch.tensor([[1] * 12 + [0] * 4]),
        "spatial_shapes": torch.tensor([[3, 4]]),
        "input_ids": ids(),
    }


def _regions() -> dict[str, Any]:
    """A text, and features and boxes of five regions."""
    return {"input_ids": ids(), "visual_feats": normal(1, 5, 16), "visual_pos": normal(1, 5, 4)}


def _layout() -> dict[str, Any]:
    boxes = torch.tensor([[[i, i, i + 9, i + 5] for i in range(6)]])
    return {"input_ids": ids(), "bbox": boxes, "pixel_values": image()}


def _clip_and_video() -> dict[str, Any]:
    return {"input_ids": ids(), "pixel_values": normal(1, 4, 3, 64, 64)}


ENTRIES: tuple[Entry, ...] = (
    hf("clip", BOTH, "4 sdpa", "CLIPModel", **PAIR),
    hf("siglip", BOTH, "4 sdpa, 1 softmax", "SiglipModel", **SIGLIP),
    hf(
        "siglip2",
        _naflex,
        "4 sdpa, 1 softmax",
        "Siglip2Model",
        text_config=TEXT | {"projection_size": 32},
        vision_config=VIT | {"num_patches": 16},
    ),
    hf(
        "altclip",
        BOTH,
        "4 sdpa",
        "AltCLIPModel",
        text_config=TEXT | {"project_dim": 32},
        vision_config=VIT,
        projection_dim=16,
    ),
    hf("chinese_clip", BOTH, "4 sdpa", "ChineseCLIPModel", **PAIR),
    hf("metaclip_2", BOTH, "4 sdpa", "MetaClip2Model", **PAIR),
    hf("aimv2", BOTH, "5 sdpa", "Aimv2Model", **PAIR),
    hf(
        "clipseg",
        BOTH,
        "6 sdpa",
        "CLIPSegForImageSegmentation",
        text_config=TEXT,
        vision_config=VIT,
        projection_dim=16,
        extract_layers=[0, 1],
        reduce_dim=16,
        decoder_num_attention_heads=2,
        decoder_intermediate_size=16,
    ),
    hf(
        "x_clip",
        _clip_and_video,
        "9 sdpa",
        "XCLIPModel",
        text_config=TEXT,
        vision_config=VIT
        | {
            "num_frames": 4,
            "mit_hidden_size": 16,
            "mit_num_attention_heads": 2,
            "mit_intermediate_size": 16,
        },
        projection_dim=16,
        prompt_layers=2,
        prompt_num_attention_heads=2,
    ),
    hf(
        "groupvit",
        BOTH,
        "9 softmax, 2 explicit",
        "GroupViTModel",
        text_config=TEXT,
        vision_config=VIT
        | {
            "depths": [1, 1, 1],
            "num_group_tokens": [4, 2, 0],
            "num_output_groups": [4, 2, 0],
            "assign_mlp_ratio": [0.5, 2],
        },
        projection_dim=16,
        projection_intermediate_dim=16,
        because="two soft assignments beside the hard ones meet no values to check them by",
    ),
    hf(
        "flava",
        BOTH,
        "6 softmax",
        "FlavaModel",
        text_config=TEXT,
        image_config=VIT,
        multimodal_config={
            k: v
            for k, v in VIT.items()
            if "size" not in k or k in ("hidden_size", "intermediate_size")
        },
        hidden_size=32,
        projection_dim=16,
    ),
    hf(
        "vision_text_dual_encoder",
        BOTH,
        "4 sdpa",
        "VisionTextDualEncoderModel",
        vision_config={"model_type": "vit", **VIT},
        text_config={"model_type": "bert", **TEXT},
        projection_dim=16,
    ),
    hf(
        "blip_itm",
        BOTH,
        "6 softmax",
        "BlipForImageTextRetrieval",
        text_config=TEXT | {"encoder_hidden_size": 32, "projection_dim": 16},
        vision_config=VIT,
        projection_dim=16,
        image_text_hidden_size=32,
    ),
    hf("vilt", BOTH, "2 softmax", "ViltModel", **VIT, vocab_size=50, max_position_embeddings=16),
    hf(
        "lxmert",
        _regions,
        "12 softmax",
        "LxmertModel",
        vocab_size=50,
        hidden_size=32,
        num_attention_heads=4,
        intermediate_size=32,
        max_position_embeddings=16,
        l_layers=2,
        x_layers=2,
        r_layers=2,
        visual_feat_dim=16,
    ),
    hf(
        "visual_bert",
        lambda: {"input_ids": ids(), "visual_embeds": normal(1, 5, 16)},
        "2 softmax",
        "VisualBertModel",
        **TEXT,
        visual_embedding_dim=16,
    ),
    hf(
        "bridgetower",
        BOTH,
        "2 sdpa, 10 softmax",
        "BridgeTowerModel",
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=32,
        text_config=TEXT | {"hidden_size": 64, "pad_token_id": 1, "bos_token_id": 0},
        vision_config={
            "hidden_size": 64,
            "num_hidden_layers": 2,
            "image_size": 64,
            "patch_size": 16,
        },
    ),
    hf(
        "layoutlmv3",
        _layout,
        "2 softmax",
        "LayoutLMv3Model",
        **{**TEXT, "hidden_size": 48},
        input_size=64,
        coordinate_size=8,
        shape_size=8,
        max_2d_position_embeddings=64,
    ),
    hf(
        "layoutlm",
        lambda: {"input_ids": ids(), "bbox": _layout()["bbox"]},
        "2 sdpa",
        "LayoutLMModel",
        **TEXT,
        max_2d_position_embeddings=64,
    ),
    hf(
        "lilt",
        lambda: {"input_ids": ids(), "bbox": _layout()["bbox"]},
        "4 softmax",
        "LiltModel",
        **{**TEXT, "hidden_size": 48},
        max_2d_position_embeddings=64,
    ),
    hf(
        "tvp",
        lambda: {
            "pixel_values": normal(1, 4, 3, 64, 64),
            "input_ids": ids(),
            "attention_mask": torch.ones(1, 6, dtype=torch.long),
        },
        "2 softmax",
        "TvpModel",
        backbone_config=resnet(4),
        **{k: v for k, v in TEXT.items() if k not in ("bos_token_id", "eos_token_id")},
        num_frames=4,
        max_img_size=64,
        visual_prompt_size=8,
    ),
)

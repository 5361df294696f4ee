"""Sizes that many entries share: widths of 16 to 64, one or two layers, images of 64 pixels."""

from typing import Any

from regard.zoo.entry import Config, config
from regard.zoo.inputs import SIDE

VIT: dict[str, Any] = {
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
    "max_position_embeddings": 64,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
SWIN: dict[str, Any] = {
    "image_size": SIDE,
    "patch_size": 4,
    "embed_dim": 16,
    "depths": [2, 2],
    "num_heads": [2, 4],
    "window_size": 4,
}
PYRAMID: dict[str, Any] = {
    "hidden_sizes": [16, 16, 32, 32],
    "depths": [1, 1, 1, 1],
    "num_attention_heads": [1, 2, 2, 4],
}
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


def swin(*stages: int) -> Config:
    """A Swin backbone of four stages that gives these of them."""
    sizes = {**SWIN, "depths": [1, 1, 1, 1], "num_heads": [1, 2, 2, 4], "embed_dim": 8}
    return config("Swin", **sizes, out_features=[f"stage{n}" for n in stages])


def resnet(*stages: int) -> Config:
    """A ResNet backbone, which has no attention, that gives these of its four stages."""
    return config(
        "ResNet",
        embedding_size=8,
        hidden_sizes=[8, 16, 16, 32],
        depths=[1, 1, 1, 1],
        out_features=[f"stage{n}" for n in stages],
    )

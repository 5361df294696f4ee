"""Tiny checkpoints of every architecture, written as save_pretrained writes them."""

from pathlib import Path
from typing import Any

import torch
import transformers

_TOWER = {
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "image_size": 56,
    "patch_size": 14,
}
_TEXT = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "vocab_size": 9,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": 1,
}
_PAIR = {"vision_config": _TOWER, "text_config": _TEXT}
_CONFIGS: dict[str, tuple[str, dict[str, Any]]] = {
    "vit": ("ViTConfig", _TOWER),
    "deit": ("DeiTConfig", _TOWER),
    "dinov2": ("Dinov2Config", _TOWER),
    "dinov2_with_registers": (
        "Dinov2WithRegistersConfig",
        _TOWER | {"num_register_tokens": 2},
    ),
    "dinov3_vit": ("DINOv3ViTConfig", _TOWER | {"num_register_tokens": 2}),
    "clip": ("CLIPConfig", _PAIR),
    "siglip": ("SiglipConfig", _PAIR),
}


def write_checkpoint(folder: Path, model_type: str, **changes: Any) -> Path:
    """The folder, now with a tiny random checkpoint of a model type."""
    torch.manual_seed(0)
    config_class, settings = _CONFIGS[model_type]
    config = getattr(transformers, config_class)(**settings | changes)
    transformers.AutoModel.from_config(config).save_pretrained(folder)
    return folder

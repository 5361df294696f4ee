"""The model that all benchmarks share: ViT-B/16 with random weights, as transformers builds it."""

import torch
from torch import Tensor
from transformers import ViTConfig, ViTModel


def vit_base(side_px: int) -> ViTModel:
    """ViT-B/16 for square inputs of this side; 224 makes 197 tokens, 512 makes 1,025."""
    torch.manual_seed(0)
    return ViTModel(ViTConfig(image_size=side_px), add_pooling_layer=False).eval()


def pixels(side_px: int, batch: int = 1) -> Tensor:
    """Random pixels."""
    return torch.randn(batch, 3, side_px, side_px, generator=torch.Generator().manual_seed(1))

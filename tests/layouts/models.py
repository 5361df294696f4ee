"""One line for each way in which tokens lie: tiny models with random weights, wide inputs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
import transformers as hf
from torch import Tensor, nn

Built = tuple[nn.Module, dict[str, Any]]
SIZE_HW = (48, 80)
"""Of the pixels: wider than high, so that rows and columns cannot be mistaken for each other."""


@dataclass(frozen=True)
class Row:
    """One model.

    Attributes:
        name: How tests call it.
        build: Gives the model in evaluation mode and the keyword arguments of one pass.
        placed: How many of the axes of its calls (queries and keys count each) lie on pixels.
        corner: The coarsest stride of tokens that look from the first pixel of their cells
            outwards, as overlapping convolutions do: the one pixel there is made bright.
            0: a square inside the cell is.
        unplaced: Ends of paths of layers that have no layout.
    """

    name: str
    build: Callable[[], Built]
    placed: int
    corner: int = 0
    unplaced: Sequence[str] = ()
    skip: Mapping[str, str] = field(default_factory=dict)
    """Layers (glob) whose most changed token is another, with the reason."""

    def __str__(self) -> str:
        return self.name


def pixels(*leading: int, size_hw: tuple[int, int] = SIZE_HW, channels: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn((*(leading or (1,)), channels, *size_hw), generator=generator)


SMALL: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 32,
    "patch_size": 8,
}
WIDE: dict[str, Any] = {**SMALL, "image_size": SIZE_HW}
SQUARE: dict[str, Any] = {**SMALL, "image_size": 48}
SQUARE_HW = (48, 48)


def model(
    name: str,
    config: Mapping[str, Any],
    *leading: int,
    size_hw: tuple[int, int] = SIZE_HW,
    ending: str = "Model",
    **inputs: Any,
) -> Callable[[], Built]:
    """A model of transformers by the stem of its class names."""

    def build() -> Built:
        settings = getattr(hf, f"{name}Config")(**config)
        torch.manual_seed(0)
        made = getattr(hf, f"{name}{ending}")(settings).eval()
        return made, {"pixel_values": pixels(*leading, size_hw=size_hw), **inputs}

    return build


SWIN = {
    "image_size": SIZE_HW,
    "patch_size": 4,
    "embed_dim": 16,
    "depths": [2, 2, 2],
    "num_heads": [2, 4, 4],
    "window_size": 3,
}
PYRAMID: dict[str, Any] = {
    "hidden_sizes": [16, 16, 32, 32],
    "depths": [1, 1, 1, 1],
    "num_attention_heads": [1, 2, 2, 4],
}

ROWS = [
    Row("vit", model("ViT", WIDE), 4),
    Row("vit, other size", model("ViT", SQUARE, interpolate_pos_encoding=True), 4),
    Row("deit", model("DeiT", WIDE), 4),
    Row("beit", model("Beit", WIDE), 4),
    Row("dinov2", model("Dinov2", SQUARE), 4),
    Row("dinov2 registers", model("Dinov2WithRegisters", SQUARE), 4),
    Row("dinov3", model("DINOv3ViT", SQUARE), 4),
    Row("ijepa", model("IJepa", WIDE), 4),
    Row("yolos", model("Yolos", {**WIDE, "num_detection_tokens": 5}), 4),
    Row("swin", model("Swin", SWIN), 12),
    Row("swinv2", model("Swinv2", SWIN), 12),
    Row("pvt", model("Pvt", {"image_size": 64, **PYRAMID}, size_hw=(64, 64)), 8),
    Row(
        "pvt_v2", model("PvtV2", {**PYRAMID, "image_size": SIZE_HW}, size_hw=(64, 96)), 8, corner=32
    ),
    Row("segformer", model("Segformer", PYRAMID, size_hw=(64, 96)), 8, corner=32),
    Row(
        "videomae",
        model("VideoMAE", {**SMALL, "image_size": 48, "num_frames": 4}, 1, 4, size_hw=SQUARE_HW),
        4,
    ),
]

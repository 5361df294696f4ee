"""Swin against the implementation in transformers, with the same weights."""

import re

import pytest
import torch
from torch import Tensor
from transformers import SwinBackbone, SwinConfig

from dvis_reference import assert_near
from regard.models.dvis_daq.architecture import build_backbone

STAGES = ["stage1", "stage2", "stage3", "stage4"]

_NAMES = {
    "swin.embeddings.patch_embeddings.projection": "patch_embed.proj",
    "swin.embeddings.norm": "patch_embed.norm",
    "swin.encoder.layers": "layers",
    "attention.o_proj": "attn.proj",
    "attention.relative_position_bias.": "attn.",
    "layernorm_before": "norm1",
    "layernorm_after": "norm2",
}


@pytest.fixture(scope="module")
def theirs() -> SwinBackbone:
    torch.manual_seed(0)
    config = SwinConfig(
        image_size=160, embed_dim=8, depths=[2, 2, 2, 2], num_heads=[1, 2, 4, 8],
        window_size=4, out_features=STAGES,
    )  # fmt: skip
    model = SwinBackbone(config).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, mean=0.1, std=0.2)
    return model


def upstream_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors under the names that detectron2's Swin checkpoints have."""
    renamed: dict[str, Tensor] = {}
    for name, tensor in state.items():
        for theirs, ours in _NAMES.items():
            name = name.replace(theirs, ours)
        if match := re.search(r"stage(\d)\.(\w+)$", name):  # norms of the outputs
            name = f"norm{int(match[1]) - 1}.{match[2]}"
        renamed[name] = tensor
    for name in [name for name in renamed if "attention.q_proj" in name]:
        parts = [renamed.pop(name.replace("q_proj", f"{part}_proj")) for part in "qkv"]
        renamed[name.replace("attention.q_proj", "attn.qkv")] = torch.cat(parts)
    return {name: x for name, x in renamed.items() if "index" not in name and "swin" not in name}


# 36 x 44 patches: padded windows at every stage, and shifted ones
@pytest.mark.parametrize("size_hw", [(160, 192), (144, 176)])
def test_outputs_match(theirs: SwinBackbone, size_hw: tuple[int, int]) -> None:
    state = upstream_names(theirs.state_dict())
    ours = build_backbone(state).eval()
    found = ours.load_state_dict(state, strict=False)
    assert not found.unexpected_keys
    assert all(name.endswith("relative_position_index") for name in found.missing_keys)
    pixels = torch.randn(2, 3, *size_hw)
    with torch.no_grad():
        expected, outputs = theirs(pixels).feature_maps, ours(pixels)
    for stage, (output, official) in enumerate(zip(outputs, expected, strict=True)):
        assert_near(output, official, f"stage {stage}")

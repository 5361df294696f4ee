"""The same proof for torchvision, where it is installed."""

from typing import Any

import pytest
from torch import nn

from layouts.models import Row, focus, hush, wrapped
from layouts.test_bright_patch import (
    test_the_token_that_changes_most_is_the_one_at_the_place as prove,
)
from layouts.test_timm import given_alone

torchvision = pytest.importorskip("torchvision")


MIXING = r"merge|mlp_layer.3|squeeze"


def made(name: str, **settings: Any) -> nn.Module:
    network: nn.Module = getattr(torchvision.models, name)(**settings)
    focus(network)
    hush(network, MIXING)
    return network


VIT = {
    **{"image_size": 64, "patch_size": 8, "num_layers": 2, "num_heads": 4},
    **{"hidden_dim": 32, "mlp_dim": 32},
}
SWIN = {
    **{"patch_size": [4, 4], "embed_dim": 16, "depths": [2, 2], "num_heads": [2, 4]},
    **{"window_size": [3, 3]},
}
MAXVIT = {
    **{"input_size": (64, 64), "stem_channels": 16, "partition_size": 4},
    **{"block_channels": [16, 32], "block_layers": [1, 1], "head_dim": 8},
    "stochastic_depth_prob": 0.0,
}


@pytest.mark.parametrize(
    ("name", "settings", "size_hw", "row"),
    [
        ("VisionTransformer", VIT, (64, 64), {"placed": 4}),
        ("SwinTransformer", SWIN, (48, 80), {"placed": 8}),
        ("MaxVit", MAXVIT, (64, 64), {"placed": 8, "corner": 8}),
    ],
)
def test_a_model_of_torchvision(
    name: str, settings: dict[str, Any], size_hw: tuple[int, int], row: dict[str, Any]
) -> None:
    build = wrapped(lambda: made(name, **settings), given_alone, size_hw=size_hw)
    prove(Row(name, build, **row))

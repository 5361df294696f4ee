"""The same proof for timm, where it is installed."""

from typing import Any

import pytest
from torch import nn

from layouts.models import Row, focus, given, hush, wrapped
from layouts.test_bright_patch import (
    test_the_token_that_changes_most_is_the_one_at_the_place as prove,
)

timm = pytest.importorskip("timm")


MIXING = r"attn.*proj|mlp.fc2|se\."
"""Attention before a layer must not move its tokens more than the bright place does."""


def made(name: str, **more: Any) -> nn.Module:
    network: nn.Module = timm.create_model(name, pretrained=False, **more)
    focus(network)
    hush(network, MIXING)
    return network


SHALLOW: dict[str, Any] = {"depth": 2, "img_size": (48, 80)}
STAGES: dict[str, Any] = {"depths": (2, 2), "num_heads": (2, 4), "embed_dim": 32}


@pytest.mark.parametrize(
    ("name", "settings", "placed"),
    [
        ("vit_tiny_patch16_224", SHALLOW, 4),
        ("deit_tiny_distilled_patch16_224", SHALLOW, 4),
        ("eva02_tiny_patch14_224", {"depth": 2, "img_size": (56, 84)}, 4),
        ("beit_base_patch16_224", SHALLOW | {"embed_dim": 48, "num_heads": 4}, 4),
        ("swin_tiny_patch4_window7_224", STAGES | {"window_size": 3, "img_size": (48, 80)}, 8),
        ("swinv2_tiny_window8_256", STAGES | {"window_size": 3, "img_size": (48, 80)}, 8),
    ],
)
def test_a_model_of_timm(name: str, settings: dict[str, Any], placed: int) -> None:
    size_hw = settings["img_size"]
    prove(Row(name, wrapped(lambda: made(name, **settings), given_alone, size_hw=size_hw), placed))


FOUR: dict[str, Any] = {"depths": (1, 1, 1, 1)}


@pytest.mark.parametrize(
    ("name", "settings", "size_hw", "placed", "corner"),
    [
        ("pvt_v2_b0", FOUR, (64, 96), 8, 32),
        (
            "hiera_tiny_224",
            {"embed_dim": 16, "num_heads": 1, "stages": (1, 1, 1, 1), "img_size": (128, 192)},
            *((128, 192), 8, 32),
        ),
        ("maxvit_nano_rw_256", {"img_size": 64, **FOUR}, (64, 64), 16, 32),
        ("mvitv2_tiny", {"img_size": 64}, (64, 64), 20, 32),
    ],
)
def test_a_pyramid_of_timm(
    name: str, settings: dict[str, Any], size_hw: tuple[int, int], placed: int, corner: int
) -> None:
    build = wrapped(lambda: made(name, **settings), given_alone, size_hw=size_hw)
    prove(Row(name, build, placed, corner=corner))


def given_alone(pictures: Any) -> dict[str, Any]:
    return {"x": given(pictures)["pixel_values"]}

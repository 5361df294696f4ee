"""The same proof for timm, where it is installed."""

from typing import Any

import pytest
from torch import nn

from layouts.models import Row, focus, given, wrapped
from layouts.test_bright_patch import (
    test_the_token_that_changes_most_is_the_one_at_the_place as prove,
)

timm = pytest.importorskip("timm")


def made(name: str, **more: Any) -> nn.Module:
    network: nn.Module = timm.create_model(name, pretrained=False, **more)
    focus(network)
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
    ],
)
def test_a_model_of_timm(name: str, settings: dict[str, Any], placed: int) -> None:
    size_hw = settings["img_size"]
    prove(Row(name, wrapped(lambda: made(name, **settings), given_alone, size_hw=size_hw), placed))


def given_alone(pictures: Any) -> dict[str, Any]:
    return {"x": given(pictures)["pixel_values"]}

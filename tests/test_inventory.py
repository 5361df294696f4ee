"""`regard.layers`: what attention a model has."""

from collections import UserDict
from typing import Any

import pytest
import torch

import regard
import zoo
from regard.errors import NothingRecorded
from regard.inventory import Layer


@pytest.mark.parametrize(
    "inputs",
    [
        {"pixel_values": zoo.image()},
        UserDict(pixel_values=zoo.image()),
        [zoo.image()],
        (zoo.image(),),
        zoo.image(),
    ],
    ids=["mapping", "batch", "list", "tuple", "tensor"],
)
def test_layers_of_a_vit(inputs: Any) -> None:
    model, _ = zoo.vit_like("ViT")()
    model.eval()
    found = regard.layers(model, inputs)
    assert [layer.kind for layer in found] == ["dot_product"] * 2, "17 tokens, more than 2·d = 16"
    assert {layer.shape for layer in found} == {(1, 4, 17, 17)}
    assert [layer.calls for layer in found] == [1, 1]
    assert all(layer.path in dict(model.named_modules()) for layer in found)
    assert found.unrecorded == []


def test_every_kind_is_listed() -> None:
    model, inputs = zoo.mask2former("resnet")()
    found = regard.layers(zoo.lively(model), inputs)
    assert [layer.kind for layer in found].count("deformable") == 1
    assert len(found) == 5


class HybridLayer(torch.nn.Module):
    """Linear attention beside the usual one."""

    class LinearAttention(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.cumsum(1)

    def __init__(self) -> None:
        super().__init__()
        self.linear = self.LinearAttention()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.linear(x)
        return torch.nn.functional.scaled_dot_product_attention(y, x, x)


def test_what_cannot_be_recorded_is_told() -> None:
    found = regard.layers(HybridLayer(), torch.ones(1, 5, 8))
    assert len(found) == 1
    assert found.unrecorded[0].layer == "linear"
    assert found.unrecorded[0].reason.startswith("linear attention")


def test_a_model_without_attention() -> None:
    with pytest.raises(NothingRecorded):
        regard.layers(torch.nn.Linear(2, 2), torch.ones(2))


def test_a_layer_is_a_plain_value() -> None:
    assert Layer("a", "explicit", (1, 1, 1, 1), 1) == Layer("a", "explicit", (1, 1, 1, 1), 1)

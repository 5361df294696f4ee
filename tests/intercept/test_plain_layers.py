"""Plain layers of torch and activations are not followed: that is most of what it would cost."""

import pytest
import torch
from torch import Tensor, nn
from transformers.activations import ACT2FN

import regard
from regard.errors import NothingRecorded


class Projection(nn.Linear):
    """Derived from a plain layer, and attends."""

    def forward(self, x: Tensor) -> Tensor:
        q = super().forward(x)[:, None]
        return torch.nn.functional.scaled_dot_product_attention(q, q, q)[:, 0]


def test_plain_layers_get_no_hooks() -> None:
    layers = (nn.Linear(8, 8), nn.LayerNorm(8), nn.MultiheadAttention(8, 2), ACT2FN["gelu"])
    model = nn.Sequential(*layers)
    hooked = []
    x = torch.randn(5, 1, 8)
    with regard.record(model) as recording:
        hooked = [path for path, module in model.named_modules() if module._forward_hooks]
        y = model[1](model[0](x))
        model[3](model[2](y, y, y)[0])
    assert hooked == ["", "2", "2.out_proj"]  # out_proj is of a class derived from Linear
    assert [call.layer for call in recording] == ["2"]


def test_what_is_derived_from_a_plain_layer_is_followed() -> None:
    model = nn.Sequential(Projection(8, 8))
    with torch.no_grad(), regard.record(model) as recording:
        model(torch.randn(1, 5, 8))
    assert [call.layer for call in recording] == ["0"]


def test_a_plain_layer_alone_is_a_model_that_ran() -> None:
    model = nn.Linear(8, 8)
    with (
        pytest.raises(NothingRecorded, match="ran and no attention was seen in it"),
        regard.record(model),
    ):
        model(torch.randn(1, 8))

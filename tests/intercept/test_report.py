"""Layers that stand where attention would and have no weights are named by their kind."""

import pytest
import torch.nn.functional as F
from torch import Tensor, nn

import regard
from recorded import random
from regard.errors import NothingRecorded


class Mixer(nn.Module):
    """Something without weights, under the name of a class."""

    def forward(self, x: Tensor) -> Tensor:
        return x * x.mean(1, keepdim=True).sigmoid()


class Block(nn.Module):
    """A layer without weights beside one with them."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.mixer = type(name, (Mixer,), {})()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.mixer(x)
        return F.scaled_dot_product_attention(y, x, x)


KINDS = {
    "Qwen3NextGatedDeltaNet": "a recurrent state",
    "MambaVisionMixer": "a recurrent state",
    "SanaLinearAttention": "linear attention",
    "LinearSelfAttention": "linear attention",
    "LiteMLA": "linear attention",
    "FocalNetModulation": "focal modulation",
    "FocalModulation": "focal modulation",
    "EfficientAdditiveAttention": "additive attention without a softmax",
    "SelectiveKernelAttn": "a gate",
    "MSDeformableAttention": "deformable attention in a kernel of its own",
    "GraphAttention": "own kernel",
}


@pytest.mark.parametrize("name", KINDS)
def test_layers_without_weights_say_what_they_are(name: str) -> None:
    model = Block(name)
    with regard.record(model) as recording:
        model(random(1, 5, 8))
    (item,) = recording.unrecorded
    assert item.layer == "mixer"
    assert KINDS[name] in item.reason
    with pytest.raises(NothingRecorded, match=KINDS[name]), regard.record(model.mixer):
        model.mixer(random(1, 5, 8))


@pytest.mark.parametrize("name", ["Mlp", "Mixer", "PatchEmbeddings", "ConvNextLayer"])
def test_other_layers_are_not_listed(name: str) -> None:
    model = Block(name)
    with regard.record(model) as recording:
        model(random(1, 5, 8))
    assert recording.unrecorded == []

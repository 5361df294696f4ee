"""Layers that stand where attention would and have no weights are named by their kind."""

import pytest
import torch.nn.functional as F
from torch import Tensor, nn

import regard
from recorded import random
from regard.errors import NothingRecorded
from regard.intercept.recorder import Keep


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


class OptionalContext(nn.Module):
    """Attends to itself, then to a context that may be empty, fused or written out."""

    def __init__(self, fused: bool) -> None:
        super().__init__()
        self.cross = nn.Module()
        self.cross.forward = self.fused if fused else self.written

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        y: Tensor = self.cross(F.scaled_dot_product_attention(x, x, x), context)
        return y

    def fused(self, x: Tensor, context: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(x, context, context)

    def written(self, x: Tensor, context: Tensor) -> Tensor:
        return (x @ context.mT).softmax(-1) @ context


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("keep", ["auto", "qk", "weights"])
def test_attention_to_nothing_is_listed_and_has_no_record(fused: bool, keep: Keep) -> None:
    model = OptionalContext(fused)
    with regard.record(model, keep=keep) as recording:
        model(random(1, 5, 8), random(1, 0, 8))
    assert recording.layers == [""]
    (item,) = recording.unrecorded
    assert item.layer == "cross"
    assert item.reason.startswith("it attended to nothing")
    assert item.reason.endswith("5 queries, 0 keys")


def test_gates_that_do_not_call_themselves_attention_are_not_listed() -> None:
    model = Block("SqueezeExcitation")
    with regard.record(model) as recording:
        model(random(1, 5, 8))
    assert recording.unrecorded == []

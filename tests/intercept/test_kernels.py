"""`record(watch="kernels")`: kernels have the same records, and nothing else is watched."""

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
import torch.nn.functional as F
import transformers as hf
from diffusers.models.attention_dispatch import dispatch_attention_fn
from torch import Tensor, nn
from torch.overrides import _get_current_function_mode_stack

import deformable_models
import regard
from recorded import FunctionAttention, only, random
from regard import Recording
from regard.errors import CaptureError, NothingRecorded, StaleRecord
from regard.intercept import told
from regard.zoo.entry import lively

X = random(2, 5, 16)
PADDING = torch.tensor([[False] * 5, [False] * 3 + [True] * 2])
SDPA, MHA = F.scaled_dot_product_attention, nn.MultiheadAttention.forward


def modes() -> int:
    return len(_get_current_function_mode_stack())  # type: ignore[no-untyped-call]


class Fused(nn.Module):
    """Self attention that calls the kernel as nearly everybody does."""

    heads = 4

    def __init__(self, watched: list[int] | None = None) -> None:
        super().__init__()
        self.qkv = nn.Linear(16, 48)
        self.watched = watched

    def forward(self, x: Tensor) -> Tensor:
        if self.watched is not None:
            self.watched.append(modes())
        q, k, v = self.qkv(x).unflatten(-1, (3, 4, 4)).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v)
        return y.transpose(1, 2).flatten(2)


class WrittenOut(nn.Module):
    """Self attention of products and a softmax."""

    def forward(self, x: Tensor) -> Tensor:
        return (x @ x.transpose(-1, -2)).softmax(-1) @ x


class Mixed(nn.Sequential):
    """Both, and what is no attention."""

    def __init__(self) -> None:
        super().__init__(Fused(), nn.Sequential(Fused(), nn.ReLU()), WrittenOut())


def function(call: Callable[..., Any]) -> nn.Module:
    return FunctionAttention(call)


def vit(attention: str) -> nn.Module:
    config = hf.ViTConfig(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=16,
        image_size=16,
        patch_size=8,
        attn_implementation=attention,
    )
    return FunctionAttention(lively(hf.ViTModel(config)))


def encoder() -> nn.Module:
    layer = nn.TransformerEncoderLayer(16, 4, 16, batch_first=True)
    return nn.TransformerEncoder(layer, 2)


CASES: dict[str, tuple[Callable[[], nn.Module], dict[str, Any]]] = {
    "fused": (lambda: nn.Sequential(Fused(), Fused()), {"input": X}),
    "multihead": (
        lambda: nn.MultiheadAttention(16, 4, batch_first=True),
        {"query": X, "key": X, "value": X, "key_padding_mask": PADDING},
    ),
    "multihead, its native path": (
        lambda: nn.MultiheadAttention(16, 4, batch_first=True),
        {"query": X, "key": X, "value": X, "need_weights": False},
    ),
    "encoder layer": (
        lambda: nn.TransformerEncoderLayer(16, 4, 16, batch_first=True),
        {"src": X},
    ),
    "encoder": (encoder, {"src": X, "src_key_padding_mask": PADDING}),
    "decoder": (
        lambda: nn.TransformerDecoderLayer(16, 4, 16, batch_first=True),
        {"tgt": X, "memory": random(2, 7, 16, seed=1)},
    ),
    "transformers": (lambda: vit("sdpa"), {"pixel_values": random(1, 3, 16, 16)}),
    "diffusers": (
        lambda: function(lambda x: dispatch_attention_fn(x, x, x)),
        {"x": random(2, 5, 4, 8)},
    ),
}


def recorded(model: nn.Module, inputs: dict[str, Any], **options: Any) -> Recording:
    with torch.no_grad():
        with regard.record(model, keep="qk", **options) as recording:
            output = model(**inputs)
        with regard.record(model, keep="qk"):
            expected = model(**inputs)
    first, second = (x[0] if isinstance(x, tuple) else x for x in (output, expected))
    if isinstance(first, Tensor):
        assert torch.equal(first, second)
    return recording


@pytest.mark.parametrize("name", CASES)
def test_records_are_those_of_every_call(name: str) -> None:
    make, inputs = CASES[name]
    model = lively(make())
    every, kernels = recorded(model, inputs), recorded(model, inputs, watch="kernels")
    assert len(kernels) == len(every) > 0
    for mine, theirs in zip(kernels, every, strict=True):
        assert (mine.layer, mine.axes, mine.shape) == (theirs.layer, theirs.axes, theirs.shape)
        assert (mine.kind, mine.notes) == (theirs.kind, theirs.notes)
        assert torch.equal(mine.weights(), theirs.weights())
        assert torch.equal(mine.weights(masked=False), theirs.weights(masked=False))
    assert kernels.verify() == every.verify()


def test_deformable_attention_is_a_kernel() -> None:
    model = deformable_models.deformable_detr().eval()
    pixels = random(1, 3, 128, 128)
    with torch.no_grad(), regard.record(model, "*encoder*", watch="kernels") as recording:
        model(pixels)
    assert {call.kind for call in recording} == {"deformable"}


def test_nothing_is_watched_but_the_kernels() -> None:
    seen: list[int] = []
    model = nn.Sequential(Fused(seen), Fused(seen))
    with regard.record(model, watch="kernels") as recording:
        model(X)
        assert F.scaled_dot_product_attention is not SDPA
    assert seen == [0, 0], "no mode is on while the model runs"
    assert len(recording) == 2
    with regard.record(model):
        model(X)
    assert seen[2:] == [1, 1], "the test can tell"


def test_nothing_stays_behind() -> None:
    model = Mixed()
    with regard.record(model, watch="kernels"):
        model(X)
    with (
        pytest.raises(RuntimeError, match="shapes cannot be multiplied"),
        regard.record(model, watch="kernels"),
    ):
        model(random(2, 5, 3))
    assert (F.scaled_dot_product_attention, nn.MultiheadAttention.forward) == (SDPA, MHA)
    assert modes() == 0
    assert not any(module._forward_hooks for module in model.modules())


def test_only_the_wanted_modules_are_followed() -> None:
    model = Mixed()
    with regard.record(model, "1.*", watch="kernels") as recording:
        followed = [path for path, module in model.named_modules() if module._forward_hooks]
        model(X)
    assert followed == ["", "1", "1.0"]
    assert [call.layer for call in recording] == ["1.0"]


def test_parts_that_hold_wanted_modules_count_the_passes() -> None:
    model = nn.ModuleDict({"encoder": nn.Sequential(Fused(), Fused()), "head": Fused()})
    with regard.record(model, ["encoder.1", "head"], watch="kernels") as recording:
        for _ in range(2):
            model["head"](model["encoder"](X))
    assert [(call.layer, call.axes["forward"]) for call in recording] == [
        ("encoder.1", 0),
        ("head", 1),
        ("encoder.1", 2),
        ("head", 3),
    ]


def test_compiled_models() -> None:
    model = nn.Sequential(Fused(), Fused())
    compiled: Any = torch.compile(model, backend="eager")
    with torch.no_grad(), regard.record(compiled, "1", watch="kernels") as recording:
        compiled(X)
    assert recording.layers == ["1"]


def test_what_is_written_out_is_listed() -> None:
    model = Mixed()
    with regard.record(model, watch="kernels") as recording:
        model(X)
    assert [call.layer for call in recording] == ["0", "1.0"]
    alone = function(lambda x: WrittenOut()(x))
    with (
        pytest.raises(NothingRecorded, match="watch='calls' also finds"),
        regard.record(alone, watch="kernels"),
    ):
        alone(X)
    nameless = WrittenOut()
    with (
        pytest.raises(NothingRecorded, match="Only kernels were watched"),
        regard.record(nameless, watch="kernels"),
    ):
        nameless(X)


def test_another_thread_is_left_alone() -> None:
    model, other = Fused(), Fused()
    with regard.record(model, watch="kernels") as recording, ThreadPoolExecutor(1) as thread:
        thread.submit(other, X).result()
        thread.submit(model, X).result()
        model(X)
    assert len(recording) == 1


def test_recordings_share_the_kernels() -> None:
    layers = [Fused(), nn.TransformerEncoderLayer(16, 4, 16, batch_first=True)]
    for watches in itertools.product(("calls", "kernels"), repeat=2):
        for layer in layers:
            outer, inner = (regard.record(layer, keep="qk", watch=watch) for watch in watches)  # type: ignore[arg-type]
            with torch.no_grad(), outer as first, inner as second:
                layer(X)
            assert torch.equal(only(first).weights(), only(second).weights())


def test_what_each_computes_is_not_the_models() -> None:
    model = Fused()

    def each(call: regard.Attention) -> bool:
        F.scaled_dot_product_attention(X, X, X)
        return True

    with regard.record(model, watch="kernels", each=each) as recording:
        model(X)
    assert len(recording) == 1


def test_gradients() -> None:
    model = Fused()
    found = []
    for watch in ("calls", "kernels"):
        with regard.record(model, gradients=True, watch=watch) as recording:
            model(X).square().sum().backward()
        found.append(only(recording).gradient())
    assert torch.equal(*found)


def test_a_tensor_that_is_overwritten_outside_is_refused() -> None:
    q = random(1, 1, 5, 4)
    model = function(lambda q: F.scaled_dot_product_attention(q, q, q).add(q.zero_()))
    with regard.record(model, keep="qk", watch="kernels") as recording:
        model(q)
    with pytest.raises(StaleRecord, match="overwritten in place"):
        only(recording).weights()


def test_told_weights() -> None:
    weights, values = random(2, 3, 5).softmax(-1), random(2, 5, 4, seed=1)
    model = function(lambda w, v: told.weigh(w, v, "of a kind"))
    with regard.record(model, watch="kernels", gradients=True) as recording:
        output = model(weights.requires_grad_(), values)
        output.square().sum().backward()
    call = only(recording)
    assert (call.kind, call.shape, call.notes) == ("explicit", (2, 1, 3, 5), ("of a kind",))
    assert torch.equal(call.weights()[:, 0], weights)
    assert torch.equal(output, weights @ values)
    assert recording.verify()[0].error == pytest.approx(0, abs=1e-6)
    assert weights.grad is not None
    torch.testing.assert_close(call.gradient()[:, 0], weights.grad)


def test_choices_are_checked() -> None:
    with (
        pytest.raises(CaptureError, match="watch='all' is not one of calls, kernels"),
        regard.record(Fused(), watch="all"),  # type: ignore[arg-type]
    ):
        pass
    with (
        pytest.raises(CaptureError, match=r"no module of the model matches layers='blocks\.\*'"),
        regard.record(Fused(), "blocks.*", watch="kernels"),
    ):
        pass


def test_several_globs() -> None:
    model = nn.Sequential(Fused(), Fused(), Fused())
    for watch in ("calls", "kernels"):
        with regard.record(model, ["0", "[2-9]"], watch=watch) as recording:
            model(X)
        assert recording.layers == ["0", "2"]


def test_only_chosen_layers_are_sampled() -> None:
    model = nn.Sequential(Fused(), Fused())
    with regard.record(model, sampled=["1"]) as recording:
        model(X)
    first, second = recording.verify()
    assert (first.error, first.reason) == (None, "no sample of the output")
    assert second.error == pytest.approx(0, abs=1e-6)

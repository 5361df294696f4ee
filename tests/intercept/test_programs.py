"""Recording inside real programs: compiled, offloaded, checkpointed, scripted, in threads."""

import copy
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
import torch.nn.functional as F
import transformers as hf
from torch import Tensor, nn
from transformers.modeling_utils import AttentionInterface

import regard
from recorded import random
from regard.errors import NothingRecorded

X = random(1, 9, 16)


class Written(nn.Module):
    """Four heads of attention, written out; it remembers the weights that it used."""

    num_heads = 4

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.out = nn.Linear(16, 48), nn.Linear(16, 16)
        self.used: Tensor = torch.zeros(())

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).unflatten(-1, (3, 4, 4)).permute(2, 0, 3, 1, 4)
        weights = torch.softmax(q @ k.transpose(-2, -1) * 0.5, -1)
        self.used = weights.detach()
        y: Tensor = self.out((weights @ v).transpose(1, 2).flatten(2))
        return y


class Fused(nn.Module):
    """The same in one fused call."""

    num_heads = 4

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.out = nn.Linear(16, 48), nn.Linear(16, 16)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).unflatten(-1, (3, 4, 4)).permute(2, 0, 3, 1, 4)
        y: Tensor = self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        return y


def tower() -> nn.Sequential:
    return nn.Sequential(Fused(), nn.Sequential(Written(), nn.ReLU()), Fused()).eval()


NAMES = ["0", "1.0", "2"]


def small_vit(implementation: str = "sdpa") -> hf.ViTModel:
    config = hf.ViTConfig(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=16,
        image_size=32,
        patch_size=8,
    )
    model = hf.ViTModel(config).eval()
    model.set_attn_implementation(implementation)
    return model


PIXELS = random(1, 3, 32, 32)


def in_place(model: nn.Module) -> nn.Module:
    model.compile(backend="eager")
    return model


def one_layer(model: nn.Module) -> nn.Module:
    model[1] = torch.compile(model[1], backend="eager")  # type: ignore[index, operator]
    return model


def wrapped(model: nn.Module) -> nn.Module:
    compiled: Any = torch.compile(model, backend="eager")
    return compiled  # type: ignore[no-any-return]


@pytest.mark.parametrize("compile_it", [in_place, one_layer, wrapped])
@pytest.mark.parametrize("warm", [True, False], ids=["compiled before", "compiled after"])
def test_compiled_models(compile_it: Callable[[nn.Module], nn.Module], warm: bool) -> None:
    plain = tower()
    model = compile_it(copy.deepcopy(plain))
    with torch.no_grad():
        if warm:
            model(X)
        with regard.record(plain, keep="qk") as expected:
            plain(X)
        with regard.record(model, keep="qk") as recording:
            model(X)
        outputs = model(X)
    assert recording.layers == NAMES
    for a, b in zip(recording, expected, strict=True):
        assert torch.equal(a.weights(), b.weights())
    torch.testing.assert_close(outputs, plain(X), rtol=0, atol=2e-6)  # kernels may be fused
    torch._dynamo.reset()


def test_a_compiled_model_of_transformers_is_not_compiled_anew() -> None:
    """Its lookup of kernels is watched meanwhile, and is as it was afterwards."""
    graphs = []

    def counting(graph: Any, _inputs: Any) -> Any:
        graphs.append(graph)
        return graph

    model = small_vit()
    compiled: Any = torch.compile(model, backend=counting)
    with torch.no_grad():
        plain = compiled(PIXELS).last_hidden_state
        count = len(graphs)
        with regard.record(compiled) as recording:
            compiled(PIXELS)
        again = compiled(PIXELS).last_hidden_state
    assert len(recording) == 2
    assert len(graphs) == count > 0
    assert torch.equal(plain, again)
    torch._dynamo.reset()


def test_autocast_is_exact_to_the_arithmetic_of_the_model() -> None:
    model = tower()
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        plain = model(X)
        with regard.record(model, keep="qk") as recording:
            output = model(X)
    assert torch.equal(output, plain)
    assert torch.equal(recording.find("1.0")[0].weights(), model[1][0].used)  # type: ignore[index]
    for found in recording.verify():
        assert found.error == pytest.approx(0, abs=2**-7)  # outputs below 1 in bfloat16: 8 bits


@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpointed_models_of_transformers(reentrant: bool) -> None:
    """The backward pass runs each layer again, through the watched lookup, too."""
    model = small_vit().train()
    model.activation_checkpointing_enable({"use_reentrant": reentrant})
    pixels = PIXELS.clone().requires_grad_()
    with regard.record(model) as recording:
        model(pixels).last_hidden_state.sum().backward()
    assert len(recording) == 2
    assert pixels.grad is not None


@torch.library.custom_op("regard_test::nothing", mutates_args=())
def sealed(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    with torch._C.DisableTorchFunction():
        return F.scaled_dot_product_attention(q, k, v)


@sealed.register_autograd
def _(_ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return grad, grad, grad


@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpointed_models_with_a_sealed_kernel(reentrant: bool) -> None:
    def kernel(_module: Any, q: Tensor, k: Tensor, v: Tensor, *_: Any, **__: Any) -> Any:
        return sealed(q, k, v).transpose(1, 2), None

    AttentionInterface.register("sealed_twice", kernel)
    try:
        model = small_vit("sealed_twice").train()
        model.activation_checkpointing_enable({"use_reentrant": reentrant})
        with regard.record(model, keep="qk") as recording:
            model(PIXELS.clone().requires_grad_()).last_hidden_state.sum().backward()
    finally:
        del AttentionInterface._global_mapping["sealed_twice"]
    assert len(recording) == 2


def test_offloaded_models() -> None:
    """Parameters are gone again after each layer: nothing may be read from them later."""
    accelerate = pytest.importorskip("accelerate")
    model = tower()
    with torch.no_grad(), regard.record(model, keep="qk") as expected:
        plain = model(X)
    expected_weights = [call.weights() for call in expected]
    accelerate.cpu_offload(model, execution_device=torch.device("cpu"))
    with torch.no_grad(), regard.record(model, keep="qk") as recording:
        output = model(X)
    # parameters come to another place in memory, and kernels round by how it is aligned
    torch.testing.assert_close(output, plain, rtol=0, atol=1e-5)
    assert recording.layers == NAMES
    assert all(p.device.type == "meta" for p in model[0].parameters())
    for call, weights in zip(recording, expected_weights, strict=True):
        torch.testing.assert_close(call.weights(), weights, rtol=0, atol=1e-6)


def test_a_thread_that_enters_the_context_itself() -> None:
    model = tower()

    def run() -> list[str]:
        with torch.no_grad(), regard.record(model) as recording:
            model(X)
        return recording.layers

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(run).result() == NAMES


def test_generation_in_a_thread_of_its_own_is_an_error_with_advice() -> None:
    """As programs do that stream words: `generate` runs in a thread, the words come out here."""
    model = small_vit()
    thread = threading.Thread(target=lambda: model(PIXELS))

    def record() -> None:
        with regard.record(model):
            thread.start()
            thread.join()

    with pytest.raises(NothingRecorded, match="call it inside the `with`, in the same thread"):
        record()


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_scripted_modules_are_named() -> None:
    class Scriptable(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.softmax(x @ x.transpose(-2, -1), -1) @ x

    scripted = torch.jit.script(Scriptable())
    with pytest.raises(NothingRecorded, match="TorchScript"), regard.record(scripted):
        scripted(X)
    model = nn.Sequential(Fused(), scripted)
    with torch.no_grad(), regard.record(model) as recording:
        model(X)
    assert recording.layers == ["0"]
    assert [item.layer for item in recording.unrecorded] == ["1"]


def test_exported_programs_are_recorded_call_by_call() -> None:
    model = nn.Sequential(Fused(), Fused(), Fused()).eval()
    exported = torch.export.export(model, (X,)).module()
    with torch.no_grad(), regard.record(model, keep="qk") as expected:
        model(X)
    with torch.no_grad(), regard.record(exported, keep="qk") as recording:
        exported(X)
    assert len(recording) == 3
    for a, b in zip(recording, expected, strict=True):
        # exported graphs know no layer, so heads stay where the tensors have them
        torch.testing.assert_close(a.weights(), b.weights(), rtol=0, atol=2e-6)

"""Kernels that nothing can look into, called through transformers and diffusers."""

import math
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import torch
import transformers as hf
from diffusers.models.attention_dispatch import AttentionBackendName, dispatch_attention_fn
from diffusers.models.attention_dispatch import _AttentionBackendRegistry as Backends
from torch import Tensor, nn
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS, AttentionInterface

import regard
from recorded import only, random
from regard.errors import NothingRecorded

ROUNDING = 2e-6
"""Sums of 16 float32 products of order 1, in another order."""


def softmax_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    bias: Tensor,
    scale: float,
    softcap: float,
    sinks: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """Output and weights by the formula, for tensors (batch, heads, tokens, d)."""
    k, v = (t.repeat_interleave(q.shape[1] // t.shape[1], 1) for t in (k, v))
    scores = q @ k.transpose(-2, -1) * scale
    if softcap:
        scores = softcap * torch.tanh(scores / softcap)
    scores = scores + bias
    if sinks is not None:
        extra = sinks.reshape(1, -1, 1, 1).expand(*scores.shape[:-1], 1)
        weights = torch.cat([scores, extra], -1).softmax(-1)[..., :-1]
    else:
        weights = scores.softmax(-1).nan_to_num(0)
    return weights @ v, weights


@torch.library.custom_op("regard_test::sealed", mutates_args=())
def sealed(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    bias: Tensor,
    scale: float,
    softcap: float,
    sinks: Tensor | None,
) -> Tensor:
    """A kernel whose inside no mode sees."""
    with torch._C.DisableTorchFunction():
        return softmax_attention(q, k, v, bias, scale, softcap, sinks)[0]


class Asked:
    """A kernel of transformers that remembers the weights that it used."""

    def __init__(self) -> None:
        self.bias = torch.zeros(())
        self.weights: list[Tensor] = []

    def __call__(
        self,
        module: nn.Module,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attention_mask: Tensor | None,
        scaling: float | None = None,
        softcap: float | None = None,
        s_aux: Tensor | None = None,
        position_bias: Tensor | None = None,
        **_: Any,
    ) -> tuple[Tensor, None]:
        bias = self.bias if position_bias is None else self.bias + position_bias
        scale = scaling or 1 / math.sqrt(query.shape[-1])
        given = (query, key, value, bias, scale, softcap or 0.0, s_aux)
        with torch._C.DisableTorchFunction():
            self.weights.append(softmax_attention(*given)[1])
        return sealed(*given).transpose(1, 2), None


@pytest.fixture
def asked() -> Iterator[Asked]:
    kernel = Asked()
    AttentionInterface.register("sealed", kernel)
    yield kernel
    del AttentionInterface._global_mapping["sealed"]


class Layer(nn.Module):
    """A layer of transformers' kind: it looks its function up at each call."""

    is_causal = False

    def forward(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, **kwargs: Any) -> Any:
        return ALL_ATTENTION_FUNCTIONS["sealed"](self, q, k, v, mask, **kwargs)[0]


def qkv(n: int = 5, m: int = 5, heads: int = 4, groups: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    q = random(2, heads, n, 8)
    return q, random(2, groups, m, 8, seed=1), random(2, groups, m, 8, seed=2)


def blocked(allowed: Tensor) -> Tensor:
    return torch.zeros(allowed.shape).masked_fill(~allowed, -torch.inf)


def places(n: int, m: int) -> Tensor:
    """How far each key lies ahead of each query, sequences ending together."""
    return torch.arange(m) - (torch.arange(n)[:, None] + m - n)


PADDING = torch.tensor([[1, 1, 1, 1, 1], [0, 0, 1, 1, 1]])
CASES: dict[str, tuple[tuple[int, int], dict[str, Any], Tensor]] = {
    "plain": ((5, 5), {}, torch.zeros(())),
    "scale": ((5, 7), {"scaling": 0.3}, torch.zeros(())),
    "softcap": ((5, 5), {"softcap": 0.5}, torch.zeros(())),
    "sinks": ((5, 5), {"s_aux": torch.tensor([0.0, 1, 2, -1])}, torch.zeros(())),
    "bias": ((5, 5), {"position_bias": random(1, 4, 5, 5, seed=3)}, torch.zeros(())),
    "bool mask": ((5, 5), {"mask": places(5, 5)[None, None] < 2}, blocked(places(5, 5) < 2)),
    "additive mask": ((5, 5), {"mask": random(2, 1, 5, 5)}, random(2, 1, 5, 5)),
    "causal": ((5, 5), {"is_causal": True}, blocked(places(5, 5) <= 0)),
    "causal, keys before": ((3, 7), {"is_causal": True}, blocked(places(3, 7) <= 0)),
    "one query": ((1, 7), {"is_causal": True}, torch.zeros(())),
    "window": ((6, 6), {"sliding_window": 3}, blocked(places(6, 6).abs() < 3)),
    "causal window": (
        (3, 9),
        {"sliding_window": 3, "is_causal": True},
        blocked((places(3, 9) <= 0) & (places(3, 9) > -3)),
    ),
    "mask over window": (
        (5, 5),
        {"mask": torch.ones(1, 1, 5, 5, dtype=torch.bool), "sliding_window": 2, "is_causal": True},
        torch.zeros(()),
    ),
    "padding": (
        (5, 5),
        {"mask": PADDING},
        blocked((PADDING[:, None, None, :] * PADDING[:, None, :, None]).bool()),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_weights_of_a_kernel_that_cannot_be_opened(asked: Asked, name: str) -> None:
    (n, m), options, asked.bias = CASES[name]
    options = {"mask": None, **options}
    model = Layer()
    with regard.record(model, keep="qk") as recording:
        model(*qkv(n, m), **options)
    call = only(recording)
    assert call.kind == "dot_product"
    torch.testing.assert_close(call.weights(), asked.weights[0], rtol=0, atol=ROUNDING)
    rows = call.weights([n - 1, 0], [3, 1])
    torch.testing.assert_close(
        rows, asked.weights[0][:, [3, 1]][:, :, [n - 1, 0]], rtol=0, atol=ROUNDING
    )
    assert recording.verify()[0].error == pytest.approx(0, abs=ROUNDING)
    assert torch.equal(call.fully_masked(), (asked.weights[0] == 0).all(-1))


def test_packed_sequences_stay_apart(asked: Asked) -> None:
    bounds_q, bounds_k = torch.tensor([0, 2, 3, 6]), torch.tensor([0, 3, 4, 8])
    owner_q, owner_k = torch.tensor([0, 0, 1, 2, 2, 2]), torch.tensor([0, 0, 0, 1, 2, 2, 2, 2])
    apart = owner_q[:, None] == owner_k
    last_q, last_k = torch.tensor([1, 1, 2, 5, 5, 5]), torch.tensor([2, 2, 2, 3, 7, 7, 7, 7])
    ahead = (torch.arange(8) - last_k) - (torch.arange(6) - last_q)[:, None]
    q, k, v = (t[:1] for t in qkv(6, 8))
    for is_causal, allowed in ((False, apart), (True, apart & (ahead <= 0))):
        asked.bias, model = blocked(allowed), Layer()
        asked.weights.clear()
        with regard.record(model, keep="qk") as recording:
            model(
                q, k, v, None, is_causal=is_causal, cu_seq_lens_q=bounds_q, cu_seq_lens_k=bounds_k
            )
        call = only(recording)
        torch.testing.assert_close(call.weights(), asked.weights[0], rtol=0, atol=ROUNDING)
        unmasked = call.weights(masked=False)
        assert not unmasked[..., ~apart].any(), "other sequences are no mask"
        assert (unmasked[..., apart] > 0).all()


def test_a_whole_model_with_a_sealed_kernel(asked: Asked) -> None:
    config = hf.ViTConfig(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=16,
        image_size=32,
        patch_size=8,
    )
    model = hf.ViTModel(config).eval()
    model.set_attn_implementation("sealed")
    pixels = random(1, 3, 32, 32)
    with torch.no_grad():
        plain = model(pixels).last_hidden_state
        asked.weights.clear()
        with regard.record(model, keep="qk") as recording:
            output = model(pixels).last_hidden_state
    assert torch.equal(output, plain)
    assert len(recording) == 2
    assert recording.unrecorded == []
    for call, weights in zip(recording, asked.weights, strict=True):
        torch.testing.assert_close(call.weights(), weights, rtol=0, atol=ROUNDING)
    assert all(found.error < ROUNDING for found in recording.verify() if found.error is not None)


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
def test_a_kernel_that_the_mode_sees_gives_one_record(implementation: str) -> None:
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
    with torch.no_grad(), regard.record(model) as recording:
        model(random(1, 3, 32, 32))
    assert [call.axes["call"] for call in recording] == [0, 0]


def test_a_paged_cache_is_named(asked: Asked) -> None:
    model = Layer()
    with pytest.raises(NothingRecorded), regard.record(model) as recording:
        model(*qkv(), None, cache=object())
    assert "paged" in recording.unrecorded[0].reason


@torch.library.custom_op("regard_test::backend", mutates_args=())
def backend(query: Tensor, key: Tensor, value: Tensor, is_causal: bool) -> Tensor:
    """A diffusers kernel, tokens before heads."""
    q, k, v = (t.transpose(1, 2) for t in (query, key, value))
    bias = blocked(places(q.shape[2], k.shape[2]) <= 0) if is_causal else torch.zeros(())
    with torch._C.DisableTorchFunction():
        out = softmax_attention(q, k, v, bias, 8**-0.5, 0, None)[0]
    heads_last: Tensor = out.transpose(1, 2).contiguous()
    return heads_last


def flash(
    query: Tensor, key: Tensor, value: Tensor, is_causal: bool = False, _parallel_config: Any = None
) -> Tensor:
    out: Tensor = backend(query, key, value, is_causal)
    return out


class Dispatching(nn.Module):
    def forward(self, *tensors: Any, **kwargs: Any) -> Tensor:
        out: Tensor = dispatch_attention_fn(*tensors, **kwargs)
        return out


@pytest.mark.parametrize("is_causal", [False, True])
def test_a_backend_of_diffusers(monkeypatch: pytest.MonkeyPatch, is_causal: bool) -> None:
    name = AttentionBackendName.FLASH
    monkeypatch.setitem(Backends._backends, name, flash)
    monkeypatch.setitem(Backends._supported_arg_names, name, {"query", "key", "value", "is_causal"})
    q, k, v = (random(2, 5, 4, 8, seed=s) for s in range(3))
    model = Dispatching()
    with regard.record(model, keep="qk") as recording:
        out = model(q, k, v, is_causal=is_causal, backend=name)
    call = only(recording)
    assert call.shape == (2, 4, 5, 5)
    torch.testing.assert_close(
        call.weights() @ v.transpose(1, 2), out.transpose(1, 2), rtol=0, atol=ROUNDING
    )
    assert recording.verify()[0].error == pytest.approx(0, abs=ROUNDING)
    with regard.record(model, keep="qk") as recording:
        model(q, k, v, is_causal=is_causal, backend=AttentionBackendName.NATIVE)
    torch.testing.assert_close(only(recording).weights(), call.weights(), rtol=0, atol=ROUNDING)


def places_watched() -> list[Any]:
    return [
        dict(Backends._backends),
        dict(AttentionInterface._global_mapping),
        "__getitem__" in vars(AttentionInterface),
    ]


def test_nothing_stays_behind_in_the_libraries(asked: Asked) -> None:
    before, model = places_watched(), Layer()
    with regard.record(model):
        assert places_watched() != before
        with regard.record(model):
            model(*qkv(), None)
        model(*qkv(), None)
    assert places_watched() == before
    with pytest.raises(KeyError), regard.record(model):
        raise KeyError
    assert places_watched() == before


def test_recordings_in_two_threads_share_the_doorway(asked: Asked) -> None:
    before, found = places_watched(), {}
    opened, first_done = threading.Barrier(2, timeout=10), threading.Event()

    def run(name: str, last: bool) -> None:
        model = Layer()
        with regard.record(model) as recording:
            opened.wait()
            if last:
                first_done.wait(10)
            model(*qkv(), None)
        found[name] = len(recording)
        first_done.set()

    threads = [threading.Thread(target=run, args=args) for args in (("a", False), ("b", True))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {"a": 1, "b": 1}
    assert places_watched() == before

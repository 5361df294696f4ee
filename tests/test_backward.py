"""Gradients of attention weights, against those that autograd gives for written-out attention."""

import gc
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

import regard
from recorded import FunctionAttention, only, random
from regard import Recording
from regard.errors import CaptureError

SAME = 1e-5
"""Share of the largest gradient: float32 products that add in different orders."""


def assert_same(found: Tensor, expected: Tensor) -> None:
    assert found.shape == expected.shape
    assert expected.abs().max() > 0
    assert (found - expected).abs().max() <= SAME * expected.abs().max()


def activations(*shape: int, seed: int) -> Tensor:
    return random(*shape, seed=seed).requires_grad_()


def loss(out: Tensor) -> Tensor:
    return (out * random(*out.shape, seed=9)).square().sum()


def by_autograd(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, causal: bool = False
) -> Tensor:
    """dL/dW of attention (batch, heads, n, d) whose weights are part of the graph."""
    k, v = (x.repeat_interleave(q.shape[1] // x.shape[1], dim=1) for x in (k, v))
    scores = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5
    if mask is not None:
        scores = scores + mask
    if causal:
        later = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1)
        scores = scores.masked_fill(later, -torch.inf)
    weights = scores.softmax(-1)
    weights.retain_grad()
    torch.autograd.backward(loss(weights @ v))
    assert weights.grad is not None
    found: Tensor = weights.grad
    return found


def record_module(model: nn.Module, *args: Any, **kwargs: Any) -> Recording:
    with regard.record(model, gradients=True, **kwargs) as recording:
        out = model(*args)
    torch.autograd.backward(loss(out if isinstance(out, Tensor) else out[0]))
    return recording


@pytest.mark.parametrize("keep", ["qk", "weights"])
@pytest.mark.parametrize("kind", ["plain", "mask", "causal", "grouped"])
def test_fused_attention(kind: str, keep: str) -> None:
    q = activations(2, 4, 6, 8, seed=0)
    kv_heads = 2 if kind == "grouped" else 4
    k, v = (activations(2, kv_heads, 6, 8, seed=seed) for seed in (1, 2))
    mask = random(6, 6, seed=3) if kind == "mask" else None
    options = {"is_causal": kind == "causal", "enable_gqa": kind == "grouped", "attn_mask": mask}

    def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(q, k, v, **options)  # type: ignore[arg-type]

    (call,) = record_module(FunctionAttention(attend), q, k, v, keep=keep)
    expected = by_autograd(q, k, v, mask, kind == "causal")
    assert_same(call.gradient(), expected)
    assert_same(call.gradient([5, 0], [3, 1]), expected[:, [3, 1]][:, :, [5, 0]])


def test_written_out_attention() -> None:
    q, k, v = (activations(2, 4, 6, 8, seed=seed) for seed in range(3))

    def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return (q @ k.transpose(-1, -2) / 8**0.5).softmax(-1) @ v

    (call,) = record_module(FunctionAttention(attend), q, k, v)
    assert_same(call.gradient(), by_autograd(q, k, v))


def test_einsum_attention_with_another_order_of_axes() -> None:
    q, k, v = (activations(2, 6, 4, 8, seed=seed) for seed in range(3))

    def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        weights = (torch.einsum("bnhd,bmhd->bhnm", q, k) / 8**0.5).softmax(-1)
        return torch.einsum("bhnm,bmhd->bnhd", weights, v).transpose(1, 2)

    (call,) = record_module(FunctionAttention(attend), q, k, v)
    q, k, v = (x.detach().transpose(1, 2).requires_grad_() for x in (q, k, v))
    assert_same(call.gradient(), by_autograd(q, k, v))


def test_heads_folded_into_the_batch() -> None:
    q, k, v = (activations(2, 4, 6, 8, seed=seed) for seed in range(3))

    class Folded(nn.Module):
        num_heads = 4

        def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            q, k, v = (x.flatten(0, 1) for x in (q, k, v))
            out = torch.bmm((torch.bmm(q, k.mT) / 8**0.5).softmax(-1), v)
            return out.view(2, 4, 6, 8)

    (call,) = record_module(Folded(), q, k, v)
    assert_same(call.gradient(), by_autograd(q, k, v))


@pytest.mark.parametrize("need_weights", [True, False])
def test_multihead_attention(need_weights: bool) -> None:
    model = nn.MultiheadAttention(32, 4, batch_first=True)
    x = random(2, 6, 32)
    with regard.record(model, keep="qk", gradients=True) as recording:
        torch.autograd.backward(
            loss(model(x, x, x, need_weights=need_weights)[0])
        )  # inside the with
    projected = F.linear(x, model.in_proj_weight, model.in_proj_bias).detach()
    q, k, v = (t.view(2, 6, 4, 8).transpose(1, 2) for t in projected.chunk(3, -1))
    weights = (q @ k.mT / 8**0.5).softmax(-1).requires_grad_()
    torch.autograd.backward(loss(model.out_proj((weights @ v).transpose(1, 2).flatten(2))))
    assert weights.grad is not None
    assert_same(only(recording).gradient(), weights.grad)


def test_the_last_backward_pass_counts() -> None:
    q, k, v = (activations(1, 2, 6, 8, seed=seed) for seed in range(3))
    model = FunctionAttention(F.scaled_dot_product_attention)
    with regard.record(model, keep="qk", gradients=True) as recording:
        out = model(q, k, v)
    torch.autograd.backward(out.sum(), retain_graph=True)
    first = only(recording).gradient()
    torch.autograd.backward((3 * out).sum())
    assert_same(only(recording).gradient(), 3 * first)


def test_a_checkpointed_layer_has_its_gradient() -> None:
    q, k, v = (activations(1, 2, 6, 8, seed=seed) for seed in range(3))

    def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        again = checkpoint(F.scaled_dot_product_attention, q, k, v, use_reentrant=False)
        assert isinstance(again, Tensor)
        return again

    (call,) = record_module(FunctionAttention(attend), q, k, v)
    assert_same(call.gradient(), by_autograd(q, k, v))


def test_saving_keeps_the_gradient(tmp_path: Path) -> None:
    q, k, v = (activations(2, 4, 6, 8, seed=seed) for seed in range(3))
    recording = record_module(FunctionAttention(F.scaled_dot_product_attention), q, k, v)
    again = Recording.load(recording.save(tmp_path / "run.safetensors"))
    assert torch.equal(again[0].gradient(), recording[0].gradient())
    assert again.nbytes == recording.nbytes


def test_only_v_and_the_gradient_of_the_output_are_added() -> None:
    q, k, v = (activations(2, 4, 64, 8, seed=seed) for seed in range(3))
    model = FunctionAttention(F.scaled_dot_product_attention)
    with regard.record(model, keep="qk") as plain:
        model(q, k, v)
    with_gradients = record_module(model, q, k, v, keep="qk")
    assert with_gradients.nbytes == plain.nbytes + 2 * v.nbytes


def test_the_graph_lives_no_longer_than_without_recording() -> None:
    q, k, v = (activations(1, 2, 6, 8, seed=seed) for seed in range(3))
    model = FunctionAttention(F.scaled_dot_product_attention)
    with regard.record(model, keep="qk", gradients=True) as recording:
        out = model(q * 1, k * 1, v * 1)
    node = weakref.ref(out)
    torch.autograd.backward(out.sum())
    assert only(recording).gradient().isfinite().all()
    del out
    gc.collect()
    assert node() is None


def test_the_graph_holds_no_recording() -> None:
    q, k, v = (activations(1, 2, 6, 8, seed=seed) for seed in range(3))
    model = FunctionAttention(F.scaled_dot_product_attention)
    with regard.record(model, keep="qk", gradients=True) as recording:
        out = model(q, k, v)
    backward = weakref.ref(recording[0].backward)
    del recording
    gc.collect()
    assert backward() is None
    torch.autograd.backward(out.sum())  # and the hook that is left does no harm


def attend_in_training(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(q, k, v, dropout_p=0.5)


def attend_in_reentrant_checkpoint(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    again = checkpoint(F.scaled_dot_product_attention, q, k, v, use_reentrant=True)
    assert isinstance(again, Tensor)
    return again


@pytest.mark.parametrize(
    ("function", "message"),
    [(attend_in_training, "dropout was active"), (attend_in_reentrant_checkpoint, "reentrant")],
)
def test_where_there_is_no_gradient_the_error_says_why(
    function: Callable[..., Tensor], message: str
) -> None:
    q, k, v = (activations(1, 2, 6, 8, seed=seed) for seed in range(3))
    (call,) = record_module(FunctionAttention(function), q, k, v, keep="qk")
    with pytest.raises(CaptureError, match=message):
        call.gradient()


def test_a_gradient_that_nobody_asked_for_or_computed() -> None:
    q, k, v = (activations(1, 2, 6, 8, seed=seed) for seed in range(3))
    model = FunctionAttention(F.scaled_dot_product_attention)
    with regard.record(model) as plain:
        model(q, k, v)
    with pytest.raises(CaptureError, match="gradients=True"):
        plain[0].gradient()
    with regard.record(model, gradients=True) as early:
        model(q, k, v)
    with pytest.raises(CaptureError, match="no backward pass"):
        early[0].gradient()
    with torch.no_grad(), regard.record(model, gradients=True) as blind:
        model(q, k, v)
    with pytest.raises(CaptureError, match="needed no gradient"):
        blind[0].gradient()


def test_attention_without_values_says_that_it_has_no_gradient() -> None:
    class MapAttention(nn.Module):
        def forward(self, q: Tensor, k: Tensor) -> Tensor:
            return F.softmax(q @ k.mT, -1)

    q, k = (activations(1, 2, 6, 8, seed=seed) for seed in range(2))
    model = MapAttention()
    with regard.record(model, gradients=True) as recording:
        torch.autograd.backward(loss(model(q, k)))
    with pytest.raises(CaptureError, match="no values met its weights"):
        only(recording).gradient()

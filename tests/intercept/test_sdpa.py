"""Fused calls: every form of q, k and mask against the formula written out in float64."""

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import regard
from recorded import only, random, record_call
from regard.attention import DotProductAttention
from regard.errors import CaptureError

sdpa = F.scaled_dot_product_attention
ROUNDING = 1e-6
"""float32 rounding of a softmax whose weights are at most 1."""


def formula(q: Tensor, k: Tensor, bias: Tensor | None = None, scale: float | None = None) -> Tensor:
    """softmax(q·kᵀ·scale + bias) in float64; rows without any key are zeros."""
    scores = q.double() @ k.double().transpose(-1, -2)
    scores = scores * (1 / math.sqrt(q.shape[-1]) if scale is None else scale)
    if bias is not None:
        scores = scores + bias.double()
        closed = bias.double().expand(scores.shape).le(-87.3).all(-1, keepdim=True)
        return scores.softmax(-1).masked_fill(closed, 0)
    return scores.softmax(-1)


def close(got: Tensor, expected: Tensor, tolerance: float = ROUNDING) -> None:
    torch.testing.assert_close(got, expected.to(got), rtol=0, atol=tolerance)


@pytest.mark.parametrize(
    ("shape", "recorded"),
    [
        ((6, 5, 8), (6, 1, 5, 7)),
        ((2, 3, 5, 8), (2, 3, 5, 7)),
        ((2, 3, 4, 5, 8), (8, 3, 5, 7)),
        ((1, 1, 5, 8), (1, 1, 5, 7)),
    ],
)
def test_shapes(shape: tuple[int, ...], recorded: tuple[int, ...]) -> None:
    q, k, v = random(*shape), random(*shape[:-2], 7, 8, seed=1), random(*shape[:-2], 7, 4, seed=2)
    call = only(record_call(sdpa, q, k, v))
    expected = formula(q, k)
    if q.dim() == 5:  # (batch, heads, windows, n, d): windows are batch
        expected = expected.transpose(1, 2)
    assert call.shape == recorded
    close(call.weights(), expected.reshape(recorded))
    assert call.sample is not None
    assert call.sample.error(call) < 5e-6


def test_declared_heads_are_found_on_any_axis() -> None:
    class WindowAttention(nn.Module):
        num_heads = 4

        def forward(self, q: Tensor) -> Tensor:
            return sdpa(q, q, q)

    windows = random(2, 3, 4, 5, 8)  # (batch, windows, heads, n, d)
    heads_first = random(4, 3, 5, 8)
    for q, expected in (
        (windows, formula(windows, windows).flatten(0, 1)),
        (heads_first, formula(heads_first, heads_first).transpose(0, 1)),
    ):
        model = WindowAttention()
        with regard.record(model, keep="qk") as recording:
            model(q)
        close(only(recording).weights(), expected)
        assert recording.verify()[0].error == pytest.approx(0, abs=5e-6)


MASKS = {
    "keys": (1, 7),
    "queries and keys": (5, 7),
    "one head": (1, 5, 7),
    "heads": (3, 5, 7),
    "batch": (2, 1, 1, 7),
    "batch and queries": (2, 1, 5, 7),
    "all": (2, 3, 5, 7),
    "queries alone": (2, 1, 5, 1),
}


@pytest.mark.parametrize("shape", MASKS.values(), ids=MASKS)
@pytest.mark.parametrize("kind", ["bool", "bias", "-inf", "lowest"])
def test_masks(shape: tuple[int, ...], kind: str) -> None:
    q, k, v = random(2, 3, 5, 8), random(2, 3, 7, 8, seed=1), random(2, 3, 7, 8, seed=2)
    open_ = random(*shape, seed=3) > -0.5
    if shape[-1] > 1:
        open_[..., 0] = True
    bias = torch.zeros(shape).masked_fill(~open_, -math.inf)
    mask = {
        "bool": open_,
        "bias": random(*shape, seed=4),
        "-inf": bias,
        "lowest": bias.clamp_min(torch.finfo(torch.float32).min),
    }[kind]
    call = only(record_call(sdpa, q, k, v, attn_mask=mask))
    if kind == "bias":
        bias = mask
    close(call.weights(), formula(q, k, bias))
    close(call.weights([3, 1], [2]), formula(q, k, bias)[:, [2]][:, :, [3, 1]])
    blocked = (bias == -math.inf).expand(2, 3, 5, 7)
    assert torch.equal(call.blocked(), blocked)
    assert torch.equal(call.fully_masked(), blocked.all(-1))
    free = formula(q, k, None if kind != "bias" else bias)
    close(call.weights(masked=False), free)


def test_unmasked_restricted_to_open_keys_is_masked() -> None:
    q, k = random(1, 2, 5, 8), random(1, 2, 7, 8, seed=1)
    mask = random(1, 1, 5, 7, seed=3) > 0
    mask[..., 0] = True
    call = only(record_call(sdpa, q, k, k, attn_mask=mask))
    restricted = call.weights(masked=False) * mask
    close(call.weights(), restricted / restricted.sum(-1, keepdim=True))


@pytest.mark.parametrize("closed", [-math.inf, torch.finfo(torch.float32).min, -1e9, -1e4, -100.0])
def test_a_row_without_any_key_is_zeros_and_flagged(closed: float) -> None:
    """Kernels give zeros for -inf and a uniform row for finite masks; a record says one thing."""
    q, k = random(1, 2, 5, 8), random(1, 2, 7, 8, seed=1)
    mask = torch.zeros(5, 7)
    mask[2] = closed
    mask[3, 1:] = closed
    for keep in ("qk", "weights"):
        call = only(record_call(sdpa, q, k, k, attn_mask=mask, keep=keep))
        assert torch.equal(call.weights(2), torch.zeros(1, 2, 1, 7))
        assert call.fully_masked()[0, 0].tolist() == [False, False, True, False, False]
        close(call.weights().sum(-1)[0, 0], torch.tensor([1.0, 1, 0, 1, 1]))
        close(call.weights(3)[0, 0, 0], torch.eye(7)[0])
        (check,) = record_call(sdpa, q, k, k, attn_mask=mask, keep=keep).verify()
        assert check.error is not None
        assert check.error < ROUNDING


@pytest.mark.parametrize(("queries", "keys"), [(5, 5), (3, 6), (6, 3), (1, 4)])
def test_causal_masks_are_aligned_top_left(queries: int, keys: int) -> None:
    q, k = random(1, 2, queries, 8), random(1, 2, keys, 8, seed=1)
    call = only(record_call(sdpa, q, k, k, is_causal=True))
    bias = torch.full((queries, keys), -math.inf).triu(1)
    close(call.weights(), formula(q, k, bias))
    close(call.weights([queries - 1, 0]), formula(q, k, bias)[:, :, [queries - 1, 0]])
    assert torch.equal(call.blocked()[0, 0], bias == -math.inf)
    close(call.weights(masked=False), formula(q, k))
    assert call.sample is not None
    assert call.sample.error(call) < ROUNDING


@pytest.mark.parametrize("scale", [None, 1.0, 0.03])
def test_scale(scale: float | None) -> None:
    q, k = random(1, 2, 5, 8), random(1, 2, 7, 8, seed=1)
    close(only(record_call(sdpa, q, k, k, scale=scale)).weights(), formula(q, k, scale=scale))


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_grouped_queries(groups: int) -> None:
    q, k = random(2, 4, 5, 8), random(2, groups, 7, 8, seed=1)
    recording = record_call(sdpa, q, k, k, enable_gqa=True)
    call = only(recording)
    expected = formula(q, k.repeat_interleave(4 // groups, dim=1))
    assert call.shape == (2, 4, 5, 7)
    close(call.weights(), expected)
    close(call.weights([1], [3, 0]), expected[:, [3, 0]][:, :, [1]])
    assert recording.verify()[0].error == pytest.approx(0, abs=ROUNDING)


def test_broadcast_operands() -> None:
    q, k = random(2, 4, 5, 8), random(1, 1, 7, 8, seed=1)
    for a, b in [(q, k), (random(1, 1, 5, 8), random(2, 4, 7, 8, seed=1))]:
        recording = record_call(sdpa, a, b, b)
        expected = formula(a, b)
        assert only(recording).shape == expected.shape == (2, 4, 5, 7)
        close(only(recording).weights(), expected)
        close(only(recording).weights([2], [1]), expected[:, [1]][:, :, [2]])
        assert recording.verify()[0].error == pytest.approx(0, abs=ROUNDING)


LOW = [(torch.bfloat16, 2**-7), (torch.float16, 2**-10)]
"""One rounding of an output of order 1 to this dtype, and one of the sums before it."""


@pytest.mark.parametrize(("dtype", "rounding"), LOW)
def test_low_precision_is_the_float32_softmax_of_the_stored_q_and_k(
    dtype: torch.dtype, rounding: float
) -> None:
    q, k = random(1, 2, 5, 8, dtype=dtype), random(1, 2, 7, 8, seed=1, dtype=dtype)
    recording = record_call(sdpa, q, k, k)
    weights = only(recording).weights()
    assert weights.dtype == torch.float32
    close(weights, formula(q, k))
    assert recording.verify()[0].error == pytest.approx(0, abs=2 * rounding)


def test_float64_stays_float64() -> None:
    q, k = random(1, 2, 5, 8, dtype=torch.float64), random(1, 2, 7, 8, dtype=torch.float64)
    recording = record_call(sdpa, q, k, k)
    weights = only(recording).weights()
    assert weights.dtype == torch.float64
    close(weights, formula(q, k), 1e-15)
    error = recording.verify()[0].error
    assert error is not None
    assert error < 1e-15


def test_autocast_rounds_q_and_k_as_the_model_did() -> None:
    q, k = random(1, 2, 5, 8), random(1, 2, 7, 8, seed=1)

    def run(q: Tensor, k: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return sdpa(q, k, k)

    recording = record_call(run, q, k)
    close(only(recording).weights(), formula(q.bfloat16(), k.bfloat16()))
    assert float((only(recording).weights() - formula(q, k)).abs().max()) > 1e-4
    # the output itself is bfloat16: eight bits
    assert recording.verify()[0].error == pytest.approx(0, abs=2**-6)


def test_autocast_rounds_a_bias_on_its_way_into_the_kernel() -> None:
    q, k, bias = random(1, 2, 5, 8), random(1, 2, 7, 8, seed=1), random(5, 7, seed=2)

    def run(q: Tensor, k: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return sdpa(q, k, k, attn_mask=bias)

    weights = only(record_call(run, q, k)).weights()
    close(weights, formula(q.bfloat16(), k.bfloat16(), bias.bfloat16()))


def test_weights_asked_for_under_autocast_are_the_same() -> None:
    q, k = random(1, 2, 5, 8), random(1, 2, 7, 8, seed=1)
    call = only(record_call(sdpa, q, k, k))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(call.weights(), call.weights().float())
        close(call.weights(), formula(q, k))


@pytest.mark.parametrize("context", [torch.inference_mode, torch.no_grad, torch.enable_grad])
def test_gradient_modes(context: Any) -> None:
    q, k = random(1, 2, 5, 8), random(1, 2, 7, 8, seed=1)
    with context():
        call = only(record_call(sdpa, q, k, k))
    close(call.weights(), formula(q, k))


def test_records_hold_no_graph_and_backward_works() -> None:
    q, k = random(1, 2, 5, 8).requires_grad_(), random(1, 2, 7, 8, seed=1).requires_grad_()
    (expected,) = torch.autograd.grad(sdpa(q, k, k).square().sum(), q)
    with regard.record(nn.Module(), keep="qk") as recording:
        (gradient,) = torch.autograd.grad(sdpa(q, k, k).square().sum(), q)
    assert torch.equal(gradient, expected)
    call = only(recording)
    assert isinstance(call, DotProductAttention)
    assert not any(kept.get().requires_grad for kept in call.kept)
    assert not call.weights().requires_grad


def test_dropout_is_noted_and_weights_are_those_before_it() -> None:
    q, k = random(1, 2, 5, 8), random(1, 2, 7, 8, seed=1)

    def run() -> Tensor:
        torch.manual_seed(3)
        return sdpa(q, k, k, dropout_p=0.5)

    recording = record_call(run)
    call = only(recording)
    close(call.weights(), formula(q, k))
    assert any("dropout" in note for note in call.notes)
    assert recording.verify()[0].error is None
    assert "dropout" in recording.verify()[0].reason


@pytest.mark.parametrize(
    "function",
    [
        torch.ops.aten.scaled_dot_product_attention,
        torch.ops.aten.scaled_dot_product_attention.default,
    ],
)
def test_calls_through_torch_ops(function: Any) -> None:
    q, k = random(1, 2, 5, 8), random(1, 2, 7, 8, seed=1)
    close(only(record_call(function, q, k, k)).weights(), formula(q, k))


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_nested_tensors_are_reported() -> None:
    parts = [random(3, 2, 8), random(5, 2, 8)]
    q = torch.nested.nested_tensor(parts, layout=torch.jagged).transpose(1, 2)
    with regard.record(nn.Module()) as recording:
        sdpa(q, q, q)
        sdpa(random(1, 2, 5, 8), random(1, 2, 5, 8), random(1, 2, 5, 8))
    assert len(recording) == 1
    assert "nested" in recording.unrecorded[0].reason


def test_kept_weights_of_a_masked_call_refuse_the_unmasked_ones() -> None:
    q, k = random(1, 2, 5, 8), random(1, 2, 7, 8, seed=1)
    call = only(record_call(sdpa, q, k, k, is_causal=True, keep="weights"))
    with pytest.raises(CaptureError, match="keep='qk'"):
        call.weights(masked=False)
    with pytest.raises(CaptureError, match="keep='qk'"):
        call.blocked()
    free = only(record_call(sdpa, q, k, k, keep="weights"))
    assert torch.equal(free.weights(masked=False), free.weights())

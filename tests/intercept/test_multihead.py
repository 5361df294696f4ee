"""`nn.MultiheadAttention` in every form: weights of each head, and its own result untouched."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import regard
import zoo
from recorded import FunctionAttention, only, random
from regard.intercept.opened import opened

ROUNDING = 1e-6


def run(
    model: nn.MultiheadAttention, inputs: tuple[Tensor, Tensor, Tensor], **options: Any
) -> tuple[regard.Attention, tuple[Tensor, Tensor | None]]:
    with torch.no_grad():
        plain = model(*inputs, **options)
        with regard.record(model, keep="qk") as recording:
            output = model(*inputs, **options)
    assert torch.equal(output[0], plain[0])
    assert (output[1] is None) == (plain[1] is None)
    if plain[1] is not None:
        assert torch.equal(output[1], plain[1])
    (check,) = recording.verify()
    assert check.error is not None
    assert check.error < 5e-6
    return only(recording), output


def built(**options: Any) -> nn.MultiheadAttention:
    model = zoo.lively(nn.MultiheadAttention(16, 4, **options))
    assert isinstance(model, nn.MultiheadAttention)
    return model


def triple(batch_first: bool, key_dim: int = 16, value_dim: int = 16) -> tuple[Tensor, ...]:
    q, k, v = random(2, 5, 16), random(2, 7, key_dim, seed=1), random(2, 7, value_dim, seed=2)
    return (q, k, v) if batch_first else tuple(x.transpose(0, 1) for x in (q, k, v))


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize(
    ("options", "keys"),
    [
        ({}, 7),
        ({"bias": False}, 7),
        ({"kdim": 12, "vdim": 10}, 7),
        ({"add_bias_kv": True}, 8),
        ({"add_zero_attn": True}, 8),
        ({"add_bias_kv": True, "add_zero_attn": True}, 9),
    ],
)
def test_weights_of_every_head(batch_first: bool, options: dict[str, Any], keys: int) -> None:
    model = built(batch_first=batch_first, **options)
    inputs: Any = triple(batch_first, options.get("kdim", 16), options.get("vdim", 16))
    call, (_, weights) = run(model, inputs, need_weights=True, average_attn_weights=False)
    assert weights is not None
    assert call.shape == tuple(weights.shape) == (2, 4, 5, keys)
    torch.testing.assert_close(call.weights(), weights, rtol=0, atol=ROUNDING)
    averaged, (_, mean) = run(model, inputs)
    assert mean is not None
    torch.testing.assert_close(averaged.mean(), mean, rtol=0, atol=ROUNDING)
    silent, (_, none) = run(model, inputs, need_weights=False)
    assert none is None
    torch.testing.assert_close(silent.weights(), weights, rtol=0, atol=ROUNDING)


PADDING = torch.tensor([[False] * 7, [False] * 4 + [True] * 3])
CLOSED = random(5, 7, seed=5) > 0.8
MASKS: dict[str, dict[str, Tensor]] = {
    "padding": {"key_padding_mask": PADDING},
    "padding as float": {"key_padding_mask": torch.zeros(2, 7).masked_fill(PADDING, -torch.inf)},
    "2D bool": {"attn_mask": CLOSED},
    "2D float": {"attn_mask": torch.zeros(5, 7).masked_fill(CLOSED, -torch.inf)},
    "2D bias": {"attn_mask": random(5, 7, seed=6)},
    "3D bool": {"attn_mask": random(8, 5, 7, seed=7) > 0.8},
    "3D float": {"attn_mask": random(8, 5, 7, seed=8)},
    "both": {"key_padding_mask": PADDING, "attn_mask": CLOSED},
}


@pytest.mark.parametrize("name", MASKS)
@pytest.mark.parametrize("need_weights", [True, False])
def test_masks(name: str, need_weights: bool) -> None:
    model, inputs = built(batch_first=True), triple(True)
    with torch.no_grad():
        _, expected = model(*inputs, **MASKS[name], average_attn_weights=False)
    call, _ = run(model, inputs, **MASKS[name], need_weights=need_weights)  # type: ignore[arg-type]
    torch.testing.assert_close(call.weights(), expected, rtol=0, atol=ROUNDING)
    unmasked, _ = run(model, inputs)  # type: ignore[arg-type]
    if "bias" not in name and name != "3D float":
        open_weights = call.weights(masked=False)
        torch.testing.assert_close(open_weights, unmasked.weights(), rtol=0, atol=ROUNDING)
        assert torch.equal(call.blocked(), expected == 0)


@pytest.mark.parametrize("need_weights", [True, False])
def test_causal(need_weights: bool) -> None:
    model, x = built(batch_first=True), random(2, 5, 16)
    mask = nn.Transformer.generate_square_subsequent_mask(5)
    call, _ = run(model, (x, x, x), attn_mask=mask, is_causal=True, need_weights=need_weights)
    assert torch.equal(call.blocked()[0, 0], mask == -torch.inf)
    assert torch.equal(call.weights()[:, :, 0, 1:], torch.zeros(2, 4, 4))


def test_unbatched() -> None:
    model = built()
    call, (_, weights) = run(
        model,
        (random(5, 16), random(7, 16, seed=1), random(7, 16, seed=2)),
        average_attn_weights=False,
    )
    assert weights is not None
    assert call.shape == (1, 4, 5, 7)
    torch.testing.assert_close(call.weights()[0], weights, rtol=0, atol=ROUNDING)


def test_the_native_fast_path_is_seen() -> None:
    """Evaluation without gradients and an even head count: torch has one kernel for it all."""
    model, x = built(batch_first=True), random(2, 5, 16)
    with torch.no_grad():
        plain = model(x, x, x, need_weights=False)[0]
        with regard.record(model, keep="qk") as recording:
            output = model(x, x, x, need_weights=False)[0]
    assert only(recording).shape == (2, 4, 5, 5)
    # another kernel, the same sums: rounding of values of order 1
    torch.testing.assert_close(output, plain, rtol=0, atol=2e-6)


def test_the_function_itself_is_seen_and_left_alone() -> None:
    before = F.multi_head_attention_forward
    model = built()
    outer, x = FunctionAttention(lambda x: model(x, x, x)[0]), random(5, 2, 16)
    with regard.record(outer, keep="qk") as recording:
        outer(x)
    assert only(recording).shape == (2, 4, 5, 5), "heads are known from the function's arguments"
    assert F.multi_head_attention_forward is before
    assert opened(before) is not before


def test_an_error_in_the_model_is_the_models_own() -> None:
    model = built()
    x = random(5, 2, 16)
    with pytest.raises(AssertionError, match="embedding"), regard.record(model):
        model(x[..., :8], x, x)
    with regard.record(model) as recording:
        model(x, x, x)
    assert len(recording) == 1

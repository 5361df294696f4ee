"""`flex_attention` with score functions and block masks, plain and compiled."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from torch import Tensor
from torch.nn.attention import flex_attention as flex
from torch.nn.attention.flex_attention import create_block_mask, flex_attention

import regard
from recorded import only, random, record_call
from regard.errors import CaptureError
from regard.intercept.recorder import Keep

ROUNDING = 2e-6
"""Sums of a few float32 products of order 1, in another order."""

pytestmark = [
    pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile"),
    pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:_compile flag on create_block_mask:DeprecationWarning"),
]

BIAS = random(4, 7, 7, seed=5)
SLOPES = torch.tensor([0.5, 0.25, 0.1, 0.0])
OWNER = torch.tensor([0, 0, 0, 1, 1, 1, 1])


def causal(b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
    return q >= k


def documents(b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
    return OWNER[q] == OWNER[k]


def alibi(score: Tensor, b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
    return score - SLOPES[h] * (q - k).abs()


def biased(bias: Tensor) -> Callable[..., Tensor]:
    def with_bias(score: Tensor, b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
        return score + bias[h][q][k]

    return with_bias


def softcapped(score: Tensor, b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
    return 0.7 * torch.tanh(score / 0.7)


def formula(q: Tensor, k: Tensor, change: Callable[[Tensor], Tensor], allowed: Tensor) -> Tensor:
    k = k.repeat_interleave(q.shape[1] // k.shape[1], 1)
    scores = change(q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5)
    return scores.masked_fill(~allowed, -torch.inf).softmax(-1)


EVERYWHERE = torch.ones(7, 7, dtype=torch.bool)
DISTANCE = (torch.arange(7)[:, None] - torch.arange(7)).abs()
CASES: dict[str, tuple[Any, Any, Callable[[Tensor], Tensor], Tensor]] = {
    "plain": (None, None, lambda x: x, EVERYWHERE),
    "causal": (None, causal, lambda x: x, EVERYWHERE.tril()),
    "documents": (None, documents, lambda x: x, OWNER[:, None] == OWNER),
    "alibi": (alibi, None, lambda x: x - SLOPES[:, None, None] * DISTANCE, EVERYWHERE),
    "bias": (biased(BIAS), causal, lambda x: x + BIAS, EVERYWHERE.tril()),
    "softcap": (softcapped, None, lambda x: 0.7 * torch.tanh(x / 0.7), EVERYWHERE),
}


def recorded(q: Tensor, k: Tensor, keep: Keep = "qk", **options: Any) -> regard.Recording:
    """Without a run outside the recording, where torch would compile the call for seconds."""
    with regard.record(torch.nn.Module(), keep=keep) as recording:
        flex_attention(q, k, k, **options)
    return recording


def test_the_output_is_that_of_the_plain_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flex, "_FLEX_ATTENTION_DISABLE_COMPILE_DEBUG", True)  # compiling is slow
    q, k = random(1, 4, 7, 8), random(1, 4, 7, 8, seed=1)
    record_call(flex_attention, q, k, k, score_mod=alibi)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("groups", [4, 2])
def test_weights_are_those_of_the_formula(name: str, groups: int) -> None:
    score_mod, mask_mod, change, allowed = CASES[name]
    q, k = random(2, 4, 7, 8), random(2, groups, 7, 8, seed=1)
    mask = None if mask_mod is None else create_block_mask(mask_mod, None, None, 7, 7, "cpu")
    recording = recorded(q, k, score_mod=score_mod, block_mask=mask, enable_gqa=groups != 4)
    call, expected = only(recording), formula(q, k, change, allowed)
    assert call.kind == "dot_product"
    torch.testing.assert_close(call.weights(), expected, rtol=0, atol=ROUNDING)
    rows = call.weights([6, 0], [3, 1])
    torch.testing.assert_close(rows, expected[:, [3, 1]][:, :, [6, 0]], rtol=0, atol=ROUNDING)
    free = formula(q, k, change, EVERYWHERE)
    torch.testing.assert_close(call.weights(masked=False), free, rtol=0, atol=ROUNDING)
    assert torch.equal(call.blocked(), (~allowed).expand(2, 4, 7, 7))
    assert recording.verify()[0].error == pytest.approx(0, abs=ROUNDING)


def test_what_a_function_captured_is_kept_as_it_was() -> None:
    bias, q = BIAS.clone(), random(1, 4, 7, 8)
    with regard.record(torch.nn.Module(), keep="qk") as recording:
        flex_attention(q, q, q, score_mod=biased(bias))
        bias.zero_()
    expected = formula(q, q, lambda x: x + BIAS, EVERYWHERE)
    torch.testing.assert_close(only(recording).weights(), expected, rtol=0, atol=ROUNDING)
    assert only(recording).nbytes == 4 * (q.numel() + BIAS.numel()), "k is q"


def test_a_function_cannot_be_saved(tmp_path: Path) -> None:
    q = random(1, 4, 7, 8)
    recording = recorded(q, q, score_mod=alibi)
    with pytest.raises(CaptureError, match="keep='weights'"):
        recording.save(tmp_path / "flex.safetensors")
    assert not list(tmp_path.iterdir())
    weights = recorded(q, q, "weights", score_mod=alibi)
    loaded = regard.Recording.load(weights.save(tmp_path / "flex.safetensors"))
    assert torch.equal(only(loaded).weights(), only(recording).weights())


def test_a_model_of_transformers_that_compiles_its_flex_attention() -> None:
    config = hf.LlamaConfig(
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=32,
        vocab_size=50,
    )
    model = hf.LlamaForCausalLM(config).eval()
    ids = torch.arange(3, 10)[None]
    with torch.no_grad(), regard.record(model, keep="qk") as fused:
        model(ids)
    model.set_attn_implementation("flex_attention")
    with torch.no_grad(), regard.record(model, keep="qk") as recording:
        model(ids)
    assert recording.layers == fused.layers
    for call, expected in zip(recording, fused, strict=True):
        torch.testing.assert_close(call.weights(), expected.weights(), rtol=0, atol=1e-5)
    assert all(found.error < ROUNDING for found in recording.verify() if found.error is not None)

"""Generation with caches: each step is its own call, and memory grows with tokens only."""

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from torch import Tensor

import regard
from recorded import random
from regard.intercept.recorder import Keep
from regard.kept import Kept

LAYER = "model.layers.1.self_attn"


def language_model(implementation: str = "sdpa") -> hf.LlamaForCausalLM:
    """Two layers, four heads that share two key heads."""
    config = hf.LlamaConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=32,
        vocab_size=50,
        max_position_embeddings=256,
    )
    model = hf.LlamaForCausalLM(config).eval()
    model.set_attn_implementation(implementation)
    return model


PROMPT = torch.arange(3, 9)[None].repeat(2, 1)
PADDED = torch.ones_like(PROMPT).index_fill(1, torch.tensor([0, 1]), 0)


def generate(
    model: hf.LlamaForCausalLM, tokens: int, mask: Tensor, keep: Keep = "auto", **options: Any
) -> tuple[regard.Recording, Tensor]:
    with torch.no_grad(), regard.record(model, keep=keep) as recording:
        ids = model.generate(
            PROMPT,
            attention_mask=mask,
            max_new_tokens=tokens,
            min_new_tokens=tokens,
            do_sample=False,
            pad_token_id=0,
            **options,
        )
    return recording, ids


@pytest.mark.parametrize("cache", ["dynamic", "static"])
@pytest.mark.parametrize("mask", [torch.ones_like(PROMPT), PADDED], ids=["whole", "padded"])
@pytest.mark.parametrize("keep", ["qk", "auto"])
def test_each_step_has_the_weights_of_the_whole_sequence(
    cache: str, mask: Tensor, keep: Keep
) -> None:
    """What a step with a cache attends to is a row of one pass over everything at once."""
    model = language_model()
    recording, ids = generate(model, 6, mask, keep, cache_implementation=cache)
    whole_mask = torch.cat([mask, torch.ones(2, 5, dtype=mask.dtype)], 1)
    with torch.no_grad(), regard.record(model, keep="qk") as whole:
        model(ids[:, :-1], attention_mask=whole_mask)
    expected = whole[LAYER][0].weights()
    for step in range(1, 6):
        (call,) = recording.find(LAYER, step=step)
        assert call.shape[:3] == (2, 4, 1)
        keys = 6 + step
        row = expected[:, :, keys - 1 : keys]
        # sums in another order, through two layers
        torch.testing.assert_close(call.weights()[..., :keys], row[..., :keys], rtol=0, atol=1e-5)
        assert not call.weights()[..., keys:].any(), "rows of a static cache not yet written"
    for found in recording.verify():
        assert found.error is not None
        assert found.error < 1e-6  # outputs of order 0.1


def kept_bytes(recording: regard.Recording) -> int:
    """Memory that q, k and sampled values really hold, each storage once."""
    tensors: list[Kept] = []
    for call in recording:
        tensors += call.kept
        tensors += [] if call.sample is None else [call.sample.values]
    return sum({kept.storage_key: kept.storage_nbytes for kept in tensors}.values())


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
@pytest.mark.parametrize("keep", ["qk", "auto"])
def test_memory_of_generation_grows_with_its_length(implementation: str, keep: Keep) -> None:
    model, mask = language_model(implementation), torch.ones_like(PROMPT)
    sizes = [kept_bytes(generate(model, n, mask, keep)[0]) for n in (16, 32, 64)]
    token = (sizes[1] - sizes[0]) / 16
    assert sizes[2] - sizes[1] == pytest.approx(32 * token, rel=0.01)
    heads = 4 if implementation == "eager" else 2  # eager attention repeats keys for their heads
    q, k, values = 2 * 4 * 8 * 4, 2 * heads * 8 * 4, 2 * 4 * 2 * 4
    assert token == pytest.approx(2 * (q + k + values), rel=0.01)


def test_earlier_steps_read_from_the_last_keys_and_survive_a_file(tmp_path: Path) -> None:
    recording, _ = generate(language_model(), 8, PADDED, "qk")
    loaded = regard.Recording.load(recording.save(tmp_path / "steps.safetensors"))
    assert loaded.nbytes == recording.nbytes
    for a, b in zip(recording, loaded, strict=True):
        assert a.axes == b.axes
        assert torch.equal(a.weights(), b.weights())
        assert torch.equal(a.weights(masked=False), b.weights(masked=False))
    assert {call.axes["step"] for call in loaded} == set(range(8))


def test_a_tensor_leans_only_on_one_that_begins_with_it() -> None:
    rows = random(2, 3, 6, 4)
    short = Kept(rows[:, :, :4].clone())
    assert not short.lean_on(Kept(random(2, 3, 6, 4, seed=1)))
    assert not short.lean_on(Kept(rows[:, :, :4].clone())), "no longer than itself"
    assert not short.lean_on(Kept(rows.double()))
    longer = Kept(rows)
    assert short.lean_on(longer)
    assert torch.equal(short.get(), rows[:, :, :4])
    assert short.identity == longer.identity
    longest = Kept(torch.cat([rows, rows], 2))
    assert longer.lean_on(longest)
    longest.clone()
    assert torch.equal(short.get(), rows[:, :, :4])
    assert short.storage_key == longest.storage_key


def test_sliding_caches_are_right() -> None:
    config = hf.MistralConfig(
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=32,
        vocab_size=50,
        sliding_window=4,
    )
    model = hf.MistralForCausalLM(config).eval()
    ids = PROMPT[:1]
    with torch.no_grad(), regard.record(model, keep="qk") as recording:
        out = model.generate(ids, max_new_tokens=6, min_new_tokens=6, pad_token_id=0)
    with torch.no_grad(), regard.record(model, keep="qk") as whole:
        model(out[:, :-1])
    expected = whole[0].weights()
    for step in range(1, 6):
        weights = recording.find(step=step)[0].weights()[0, :, 0]
        row = expected[0, :, 5 + step]
        torch.testing.assert_close(
            weights[:, -4:], row[:, 3 + step - 1 : 6 + step], rtol=0, atol=1e-5
        )
    assert recording.verify()[0].error == pytest.approx(0, abs=1e-6)

"""Biases that are N x N and made of little are kept as the little."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import (
    BeitConfig,
    BeitModel,
    DonutSwinConfig,
    DonutSwinModel,
    LevitConfig,
    LevitModel,
    SamVisionConfig,
    SamVisionModel,
    SwinConfig,
    SwinModel,
    Swinv2Config,
    Swinv2Model,
    VitDetConfig,
    VitDetModel,
)

import regard
from recorded import only, random, record_call
from regard import DotProductAttention, Recording
from regard.recipe import Recipe

WINDOWS = {"image_size": 64, "embed_dim": 16, "depths": [2, 2], "num_heads": [4, 4]}


def sam(implementation: str, window: int = 5) -> Any:
    config = SamVisionConfig(
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        image_size=128,
        patch_size=8,
        window_size=window,
        global_attn_indexes=[1],
        mlp_dim=32,
        output_channels=8,
    )
    return SamVisionModel._from_config(config, attn_implementation=implementation)


def vitdet() -> Any:
    config = VitDetConfig(
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        image_size=128,
        patch_size=8,
        window_size=5,
        window_block_indices=[0],
        use_relative_position_embeddings=True,
    )
    return VitDetModel(config)


def beit(implementation: str, shared: bool) -> Any:
    config = BeitConfig(
        hidden_size=32,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=32,
        image_size=64,
        patch_size=8,
        use_relative_position_bias=not shared,
        use_shared_relative_position_bias=shared,
    )
    return BeitModel._from_config(config, attn_implementation=implementation)


def swin(implementation: str) -> Any:
    config = SwinConfig(**WINDOWS, window_size=4)
    return SwinModel._from_config(config, attn_implementation=implementation)


def levit() -> Any:
    sizes = {"hidden_sizes": [16, 32, 48], "num_attention_heads": [2, 2, 2]}
    return LevitModel(LevitConfig(image_size=128, **sizes, depths=[1, 1, 1], key_dim=[4, 4, 4]))


MODELS: dict[str, Callable[[], Any]] = {
    "sam": lambda: sam("sdpa"),
    "sam written out": lambda: sam("eager"),
    "vitdet": vitdet,
    "beit": lambda: beit("sdpa", shared=False),
    "beit written out": lambda: beit("eager", shared=False),
    "beit with one bias": lambda: beit("sdpa", shared=True),
    "swin": lambda: swin("sdpa"),
    "swin written out": lambda: swin("eager"),
    "swin v2": lambda: Swinv2Model(Swinv2Config(**WINDOWS, window_size=4)),
    "donut": lambda: DonutSwinModel(DonutSwinConfig(**WINDOWS, window_size=4)),
    "levit": levit,
}


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> Any:
    made = MODELS[request.param]().eval()
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.dim() > 1:
                parameter.normal_(std=0.1)  # some start at zero, where every bias is the same
    return made


def recorded(model: Any, keep: str) -> Recording:
    config = model.config
    x = random(2, 3, config.image_size, config.image_size)
    with torch.no_grad(), regard.record(model, keep=keep) as recording:  # type: ignore[arg-type]
        model(x)
    return recording


def recipes(call: regard.Attention) -> list[Recipe]:
    assert isinstance(call, DotProductAttention)
    operands = (x for step in call.scores.steps for x in step.operands)
    return [x for x in operands if isinstance(x, Recipe)]


def test_the_weights_are_those_of_the_model(model: Any) -> None:
    calls, used = recorded(model, "qk"), recorded(model, "weights")
    assert len(calls) == len(used) > 0
    for call, expected in zip(calls, used, strict=True):
        assert recipes(call)
        assert torch.equal(call.weights(), expected.weights())


def test_rows_of_the_weights_need_no_whole_bias(model: Any, tmp_path: Path) -> None:
    calls = recorded(model, "qk")
    again = Recording.load(calls.save(tmp_path / "run.safetensors"))
    assert again.nbytes == calls.nbytes
    for call, loaded in zip(calls, again, strict=True):
        rows = [call.shape[2] - 1, 0]
        part = call.weights(rows, 1)
        # products over fewer rows add in another order
        torch.testing.assert_close(part, call.weights()[:, 1:2, rows], atol=1e-6, rtol=0)
        torch.testing.assert_close(loaded.weights(rows, 1), part, atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", ["sam", "sam written out", "vitdet"])
def test_grid_biases_cost_little_beside_q_and_k(name: str) -> None:
    calls = recorded(MODELS[name]().eval(), "qk")
    q_and_k = sum(call.scores.q.nbytes + call.scores.k.nbytes for call in calls)  # type: ignore[attr-defined]
    whole = sum(4 * math.prod(call.shape) for call in calls)
    assert calls.nbytes <= 1.5 * q_and_k < whole


def test_layers_share_the_index_of_their_tables() -> None:
    calls = recorded(MODELS["beit"]().eval(), "qk")
    (first,), (second,) = recipes(calls[0]), recipes(calls[1])
    shared = {kept.identity for kept in first.kept} & {kept.identity for kept in second.kept}
    assert len(shared) == 1


def kept_alive(calls: Recording) -> int:
    """Bytes of all memory that a recording holds on to, used or not."""
    held = (kept for call in calls for kept in call.held)
    return sum({kept.storage_key: kept.storage_nbytes for kept in held}.values())


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
def test_sam_keeps_no_fused_projection_alive(implementation: str) -> None:
    model = sam(implementation).eval()
    with torch.no_grad(), regard.record(model, keep="qk") as calls:
        model(random(1, 3, 128, 128))
    assert kept_alive(calls) <= 1.01 * calls.nbytes


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
def test_what_a_bias_is_made_of_counts_once(implementation: str) -> None:
    """49 keys are more than q and k of 16 channels, and less than these with q twice more."""
    model = sam(implementation, window=7).eval()
    with torch.no_grad(), regard.record(model) as calls:
        model(random(1, 3, 128, 128))
    assert [call.kind for call in calls] == ["dot_product", "dot_product"]


@pytest.mark.slow
def test_sam_base_at_full_size_records_within_one_and_a_half_of_q_and_k() -> None:
    model = SamVisionModel(SamVisionConfig(initializer_range=0.02)).eval()
    with torch.inference_mode(), regard.record(model) as calls:
        model(random(1, 3, 1024, 1024))
    q_and_k = sum(call.scores.q.nbytes + call.scores.k.nbytes for call in calls)  # type: ignore[attr-defined]
    assert calls.nbytes <= 1.5 * q_and_k
    assert kept_alive(calls) <= 1.5 * q_and_k
    assert max(found.error or 0 for found in calls.verify()) < 1e-5


def attend(bias: Tensor) -> Tensor:
    q, k, v = (random(1, 2, 12, 4, seed=seed) for seed in range(3))
    return F.scaled_dot_product_attention(q, k, v, attn_mask=bias)


def outer(a: Tensor, b: Tensor) -> Tensor:
    return (a[:, None] + b[None, :]).reshape(12, 12)


def test_a_bias_that_is_overwritten_is_kept_as_it_was_used() -> None:
    def overwritten(a: Tensor, b: Tensor) -> Tensor:
        bias = outer(a, b)
        bias[0] = 3
        return attend(bias)

    call = only(record_call(overwritten, random(12), random(12, seed=1)))
    assert not recipes(call)
    assert call.sample is not None
    assert call.sample.error(call) < 1e-6  # float32 rounding


def test_what_a_bias_was_made_of_may_be_overwritten_later() -> None:
    def then_overwritten(a: Tensor, b: Tensor) -> Tensor:
        a = a.clone()
        out = attend(outer(a, b))
        a.zero_()
        return out

    call = only(record_call(then_overwritten, random(12), random(12, seed=1)))
    assert recipes(call)
    assert call.sample is not None
    assert call.sample.error(call) < 1e-6  # float32 rounding


def test_a_residual_stream_is_no_recipe() -> None:
    """A broadcast embedding starts one; what is added later is as large as the sum, and ends it."""

    def stream(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        x = x + (rows + columns)
        return F.scaled_dot_product_attention(x, x, x, attn_mask=(x @ x.transpose(-1, -2)))

    call = only(record_call(stream, random(1, 12, 12), random(12, 1), random(1, 12)))
    assert not recipes(call)

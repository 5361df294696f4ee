"""Attention that a layer cuts into several calls is one record again."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
import transformers as hf
from diffusers.models.attention_processor import Attention as DiffusersAttention
from diffusers.models.attention_processor import AttnProcessor, SlicedAttnProcessor
from torch import Tensor, nn

import regard
from recorded import only, random
from regard.intercept.recorder import Keep
from regard.stitched import StitchedAttention

ROUNDING = 2e-6
"""Sums of a few float32 products of order 1, in another order."""

sdpa = F.scaled_dot_product_attention


class Cut(nn.Module):
    """Four heads over 12 tokens, in one call or in several."""

    num_heads = 4

    def __init__(self, how: str, fused: bool = True) -> None:
        super().__init__()
        self.how, self.fused = how, fused

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        if self.fused:
            return sdpa(q, k, v)
        y: Tensor = (q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5).softmax(-1) @ v
        return y

    def forward(self, qkv: Tensor) -> Tensor:
        q, k, v = qkv.unbind(0)
        if self.how == "sequences":
            parts = zip(*(torch.split(t, [3, 5, 4], 2) for t in (q, k, v)), strict=True)
            return torch.cat([self.attend(*part) for part in parts], 2)
        if self.how == "queries":
            return torch.cat([self.attend(block, k, v) for block in torch.split(q, 5, 2)], 2)
        if self.how == "batch":
            parts = zip(*(torch.split(t, 1) for t in (q, k, v)), strict=True)
            return torch.cat([self.attend(*part) for part in parts])
        q, k, v = (t.flatten(0, 1) for t in (q, k, v))
        parts = zip(*(torch.split(t, 3) for t in (q, k, v)), strict=True)
        out = torch.cat([self.attend(*part) for part in parts])
        return out.reshape(-1, 4, *out.shape[1:])


def masked(how: str, weights: Tensor) -> Tensor:
    """The whole weights, restricted to pieces and with rows that sum to 1."""
    if how != "sequences":
        return weights
    owner = torch.tensor([0] * 3 + [1] * 5 + [2] * 4)
    inside = weights * (owner[:, None] == owner)
    return inside / inside.sum(-1, keepdim=True)


@pytest.mark.parametrize("how", ["sequences", "queries", "batch", "lanes"])
@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("keep", ["qk", "weights", "auto"])
def test_pieces_are_one_call(how: str, fused: bool, keep: Keep) -> None:
    qkv = random(3, 3, 4, 12, 8)
    with regard.record(nn.Module(), keep="qk") as whole:
        sdpa(qkv[0], qkv[1], qkv[2])
    expected = masked(how, only(whole).weights())
    model = Cut(how, fused)
    with regard.record(model, keep=keep) as recording:
        model(qkv)
    call = only(recording)
    assert isinstance(call, StitchedAttention)
    assert call.shape == (3, 4, 12, 12)
    assert call.axes == {"forward": 0, "step": 0, "call": 0}
    torch.testing.assert_close(call.weights(), expected, rtol=0, atol=ROUNDING)
    torch.testing.assert_close(
        call.weights([11, 4, 0], [2, 0]),
        expected[:, [2, 0]][:, :, [11, 4, 0]],
        rtol=0,
        atol=ROUNDING,
    )
    torch.testing.assert_close(call.mean(), expected.mean(1), rtol=0, atol=ROUNDING)
    torch.testing.assert_close(call.received(), expected.mean(2), rtol=0, atol=ROUNDING)
    assert torch.equal(call.blocked(), expected == 0)
    assert not call.fully_masked().any()
    assert recording.verify()[0].error == pytest.approx(0, abs=ROUNDING)


def test_pieces_survive_a_file(tmp_path: Path) -> None:
    model = Cut("sequences")
    with regard.record(model) as recording:
        model(random(3, 2, 4, 12, 8))
    loaded = regard.Recording.load(recording.save(tmp_path / "pieces.safetensors"))
    assert torch.equal(only(loaded).weights(), only(recording).weights())
    assert only(loaded).kind == "stitched"
    assert loaded.verify()[0].error == recording.verify()[0].error
    assert loaded.nbytes == recording.nbytes


def test_gradients_of_pieces() -> None:
    model, qkv = Cut("queries"), random(3, 2, 4, 12, 8).requires_grad_()
    with regard.record(model, keep="qk", gradients=True) as recording:
        out = model(qkv)
        out.square().sum().backward()
    expected = 2 * out.detach() @ qkv[2].detach().transpose(-2, -1)  # dL/dW = dL/dO · Vᵀ
    torch.testing.assert_close(only(recording).gradient(), expected, rtol=0, atol=1e-5)
    torch.testing.assert_close(
        only(recording).gradient([7], [1]), expected[:, [1]][:, :, [7]], rtol=0, atol=1e-5
    )


def test_masks_within_pieces() -> None:
    class Causal(nn.Module):
        num_heads = 2

        def forward(self, q: Tensor) -> Tensor:
            return torch.cat([sdpa(x, x, x, is_causal=True) for x in torch.split(q, [3, 4], 2)], 2)

    model = Causal()
    with regard.record(model, keep="qk") as recording:
        model(random(1, 2, 7, 8))
    call = only(recording)
    owner = torch.tensor([0] * 3 + [1] * 4)
    apart = owner[:, None] == owner
    assert torch.equal(call.blocked()[0, 0], ~(apart & torch.ones(7, 7).tril().bool()))
    unmasked = call.weights(masked=False)[0, 0]
    assert torch.equal(unmasked > 0, apart), "a mask is lifted, the ends of a piece are none"


def test_calls_that_are_no_pieces_stay_apart() -> None:
    class Several(nn.Module):
        num_heads = 2

        def forward(self, x: Tensor) -> Tensor:
            first, second = x.chunk(2, 2)
            y = sdpa(second, second, second) + sdpa(first, first, first)  # in the wrong order
            y = sdpa(y, y, y) + sdpa(y, y, y)  # the same queries twice
            z = sdpa(first, x, x) + sdpa(second, y, y)  # other keys
            q1, q2 = x.chunk(2, 3)  # halves of the width: two softmaxes (differential attention)
            return z + sdpa(q1, q1, q1)[..., :3, :1] + sdpa(q2, q2, q2)[..., :3, :1]

    model = Several()
    with regard.record(model) as recording:
        model(random(1, 2, 6, 8))
    assert len(recording) == 8
    assert [call.axes["call"] for call in recording] == list(range(8))


def test_calls_keep_their_order_around_those_of_layers_inside() -> None:
    class Outer(nn.Module):
        num_heads = 4

        def __init__(self) -> None:
            super().__init__()
            self.inner = Cut("sequences")

        def forward(self, qkv: Tensor) -> Tensor:
            q, k, v = qkv.unbind(0)
            sdpa(q, k, v)
            self.inner(qkv)
            out: Tensor = sdpa(v, k, q)
            return out

    seen, model = [], Outer()

    def each(call: regard.Attention) -> bool:
        seen.append(call.layer)
        return True

    with regard.record(model, each=each) as recording:
        model(random(3, 1, 4, 12, 8))
    assert [call.layer for call in recording] == ["", "inner", ""] == seen
    assert [call.axes["call"] for call in recording] == [0, 0, 1]


def test_pieces_before_a_failure_are_kept() -> None:
    class Failing(Cut):
        def forward(self, qkv: Tensor) -> Tensor:
            super().forward(qkv)
            raise ValueError("after it")

    model = Failing("sequences")
    with regard.record(model) as recording, pytest.raises(ValueError, match="after it"):
        model(random(3, 1, 4, 12, 8))
    assert only(recording).kind == "stitched"


@pytest.mark.parametrize("slice_size", [1, 3])
def test_sliced_attention_of_diffusers(slice_size: int) -> None:
    layer: Any = DiffusersAttention(query_dim=32, heads=4, dim_head=8).eval()
    x = random(3, 20, 32)
    layer.set_processor(AttnProcessor())
    with torch.no_grad(), regard.record(layer, keep="qk") as whole:
        layer(x)
    layer.set_processor(SlicedAttnProcessor(slice_size))
    with torch.no_grad(), regard.record(layer) as recording:
        layer(x)
    assert only(recording).shape == (3, 4, 20, 20)
    torch.testing.assert_close(
        only(recording).weights(), only(whole).weights(), rtol=0, atol=ROUNDING
    )
    assert recording.verify()[0].error == pytest.approx(0, abs=ROUNDING)


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
def test_images_and_windows_of_qwen(implementation: str) -> None:
    config = hf.Qwen2_5_VLConfig().vision_config
    small = {"depth": 2, "hidden_size": 32, "num_heads": 4, "intermediate_size": 32}
    grid_options = {"patch_size": 4, "window_size": 32, "fullatt_block_indexes": [1]}
    config.update({**small, **grid_options, "out_hidden_size": 32})
    tower: Any = hf.models.qwen2_5_vl.modeling_qwen2_5_vl.Qwen2_5_VisionTransformerPretrainedModel
    model = tower(config).eval()
    model.set_attn_implementation(implementation)
    grid = torch.tensor([[1, 12, 8], [1, 8, 8]])
    patches = random(int(grid.prod(1).sum()), 3 * 2 * 4 * 4)
    with torch.no_grad():
        plain = model(patches, grid_thw=grid)
        with regard.record(model, keep="auto") as recording:
            output = model(patches, grid_thw=grid)
    assert torch.equal(output.last_hidden_state, plain.last_hidden_state)
    windows, images = recording
    assert windows.shape == images.shape == (1, 4, 160, 160)
    assert isinstance(images, StitchedAttention)
    assert [place.queries for place in images.places] == [(0, 96), (96, 160)]
    for call in recording:
        torch.testing.assert_close(
            call.weights().sum(-1), torch.ones(1, 4, 160), rtol=0, atol=ROUNDING
        )
    assert all(found.error < ROUNDING for found in recording.verify() if found.error is not None)

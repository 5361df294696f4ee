"""Attention between channels is told apart from attention between places."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import regard
from recorded import only, random
from regard import Recording
from regard.errors import GeometryError
from regard.intercept.channels import CHANNELS
from regard.tokens.channels import ChannelTokens

HEADS, WIDTH = 2, 16


def heads_first(x: Tensor) -> Tensor:
    """(batch, tokens, channels) as (batch, heads, tokens, d)."""
    return x.reshape(*x.shape[:-1], HEADS, -1).transpose(1, 2)


def by_fused_call(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(q, k, v)


def by_products(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return (q @ k.mT).softmax(-1) @ v


class MixingAttention(nn.Module):
    """Attention between channels or places of (batch, tokens, channels)."""

    def __init__(self, attend: Callable[..., Tensor], *, channels: bool) -> None:
        super().__init__()
        self.num_heads = HEADS
        self.attend, self.channels = attend, channels
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (heads_first(part) for part in self.qkv(x).chunk(3, -1))
        if self.channels:
            return self.attend(q.mT, k.mT, v.mT).mT
        return self.attend(q, k, v)


class PictureAttention(nn.Module):
    """The same between channels of (batch, channels, height, width), as in image restoration."""

    num_heads = HEADS

    def forward(self, x: Tensor) -> Tensor:
        q = x.reshape(len(x), HEADS, x.shape[1] // HEADS, -1)
        return by_products(F.normalize(q, dim=-1), F.normalize(q, dim=-1), q)


by_both = pytest.mark.parametrize("attend", [by_fused_call, by_products])


@by_both
@pytest.mark.parametrize("as_keyword", [False, True])
@pytest.mark.parametrize("tokens", [5, 8, 16, 30])
def test_channels_are_flagged(attend: Callable[..., Tensor], as_keyword: bool, tokens: int) -> None:
    """Also where there are as many tokens as channels of a head, or of all heads."""
    model, x = MixingAttention(attend, channels=True), random(3, tokens, WIDTH)
    with regard.record(model) as recording:
        model(x=x) if as_keyword else model(x)
    call = only(recording)
    assert call.shape == (3, HEADS, 8, 8)
    assert call.notes == (CHANNELS,)
    assert call.keys == call.queries == ChannelTokens(8)
    assert recording.verify()[0].error == pytest.approx(0, abs=1e-6)


@by_both
@pytest.mark.parametrize("tokens", [5, 8, 16, 30])
def test_places_are_not(attend: Callable[..., Tensor], tokens: int) -> None:
    model = MixingAttention(attend, channels=False)
    with regard.record(model) as recording:
        model(random(3, tokens, WIDTH))
    assert only(recording).notes == ()
    assert type(only(recording).keys) is regard.Tokens


def test_channels_of_pictures_are_flagged() -> None:
    model = PictureAttention()
    with regard.record(model) as recording:
        model(random(2, 8, 6, 5))
    assert only(recording).shape == (2, HEADS, 4, 4)
    assert only(recording).notes == (CHANNELS,)


def test_nothing_draws_channels_on_a_picture(tmp_path: Path) -> None:
    model = MixingAttention(by_fused_call, channels=True)
    with regard.record(model) as recording:
        model(random(1, 30, WIDTH))
    again = Recording.load(recording.save(tmp_path / "r.safetensors"))[0]
    assert again.keys == ChannelTokens(8)
    assert again.keys.name(3) == "channel 3"
    with pytest.raises(GeometryError, match="mixes channels, not places"):
        again.keys.to_pixels(again.weights(0, 0)[0, 0, 0])


class FactorizedAttention(nn.Module):
    """Softmax over the keys, then q·(kᵀv)."""

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return q @ (k.softmax(-2).mT @ v)


def test_a_softmax_over_keys_before_the_values_says_what_its_rows_are() -> None:
    model = FactorizedAttention()
    q, k, v = random(2, 3, 9, 4), random(2, 3, 7, 4, seed=1), random(2, 3, 7, 5, seed=2)
    with regard.record(model) as recording:
        model(q, k, v)
    call = only(recording)
    assert call.shape == (2, 3, 4, 7)
    assert torch.equal(call.weights(), k.softmax(-2).mT)
    assert call.queries == ChannelTokens(4)
    assert type(call.keys) is regard.Tokens
    assert "its rows are channels" in call.notes[1]
    assert recording.verify()[0].error == pytest.approx(0, abs=1e-6)


def test_pooled_tokens_that_are_used_further_are_no_channels() -> None:
    class PoolingAttention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.out = nn.Linear(5, 5)

        def forward(self, scores: Tensor, v: Tensor) -> Tensor:
            pooled = scores.softmax(-1) @ v
            similar: Tensor = self.out(pooled) @ pooled.mT
            return similar

    with regard.record(model := PoolingAttention()) as recording:
        model(random(2, 4, 7), random(2, 7, 5))
    assert len(recording[0].notes) == 1
    assert type(recording[0].queries) is regard.Tokens


def test_florence() -> None:
    """Its channel attention is a plain fused call; its windows are places."""
    from transformers import Florence2VisionConfig
    from transformers.models.florence2.modeling_florence2 import Florence2VisionBackbone

    config = Florence2VisionConfig(
        embed_dim=[16, 16, 32, 32],
        num_heads=[2, 2, 2, 2],
        num_groups=[2, 2, 2, 2],
        depths=[1, 1, 1, 1],
        window_size=4,
        projection_dim=32,
    )
    model = Florence2VisionBackbone(config).eval()
    with torch.no_grad(), regard.record(model) as recording:
        model(random(1, 3, 64, 64))
    flagged = {call.layer for call in recording if CHANNELS in call.notes}
    assert flagged == {call.layer for call in recording if "channel_attn" in call.layer}
    assert flagged

"""Rollout against the product of whole matrices."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

import regard
from recorded import random
from regard import Attention, Recording
from regard import attention as attention_module
from regard.errors import GeometryError, SelectionError
from regard.intercept.recorder import Keep


class Stack(nn.Module):
    """Layers of self-attention over given q and k; only their weights matter here."""

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.attention = nn.ModuleList(_Attention(i) for i in range(layers))

    def forward(self, shape: tuple[int, int, int, int], mask: Tensor | None) -> None:
        for layer in self.attention:
            layer(shape, mask)


class _Attention(nn.Module):
    def __init__(self, seed: int) -> None:
        super().__init__()
        self.seed = seed

    def forward(self, shape: tuple[int, int, int, int], mask: Tensor | None) -> Tensor:
        q, k, v = (random(*shape, seed=3 * self.seed + i) * 2 for i in range(3))
        return functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)


def record_stack(
    layers: int = 3,
    *,
    batch: int = 1,
    heads: int = 2,
    tokens: int = 7,
    masked: bool = False,
    keep: Keep = "qk",
) -> Recording:
    mask = torch.ones(tokens, tokens, dtype=torch.bool).tril() if masked else None
    with regard.record(model := Stack(layers), keep=keep) as recording:
        model((batch, heads, tokens, 4), mask)
    return recording


def dense(
    calls: Recording, *, heads: Any = None, residual: float = 0.5, masked: bool = True
) -> Tensor:
    """The definition: product over layers of (1 - r) mean(W) + r I, in float64."""
    product = torch.eye(calls[0].shape[2], dtype=torch.float64)
    for call in calls:
        mean = call.weights(heads=heads, masked=masked).double().mean(1)
        product = ((1 - residual) * mean + residual * torch.eye(len(product[-1]))) @ product
    return product


# One layer rounds each sum of at most 12 products in float32; three layers stay below this.
RTOL, ATOL = 1e-5, 1e-6


@settings(max_examples=40)
@given(
    layers=st.integers(1, 4),
    heads=st.integers(1, 3),
    tokens=st.integers(1, 12),
    batch=st.integers(1, 2),
    residual=st.sampled_from([0.0, 0.3, 0.5, 1.0]),
    masks=st.sampled_from([(False, True), (True, True), (True, False)]),
    data=st.data(),
)
def test_is_the_product_of_the_dense_matrices(
    layers: int,
    heads: int,
    tokens: int,
    batch: int,
    residual: float,
    masks: tuple[bool, bool],
    data: st.DataObject,
) -> None:
    has_mask, masked = masks
    calls = record_stack(layers, batch=batch, heads=heads, tokens=tokens, masked=has_mask)
    index = st.integers(-tokens, tokens - 1)
    queries = data.draw(st.none() | index | st.lists(index, min_size=1, max_size=4))
    which = data.draw(st.none() | st.lists(st.integers(0, heads - 1), min_size=1, unique=True))

    found = regard.rollout(calls, queries, heads=which, residual=residual, masked=masked)

    whole = dense(calls, heads=which, residual=residual, masked=masked)
    rows = [queries] if isinstance(queries, int) else queries
    expected = whole if rows is None else whole[:, rows]
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), expected, rtol=RTOL, atol=ATOL)
    # the same rounding, summed over at most 12 tokens
    torch.testing.assert_close(found.sum(-1), torch.ones(found.shape[:2]), rtol=0, atol=1e-5)


@pytest.mark.parametrize("masked", [False, True])
def test_is_the_same_whatever_is_kept(masked: bool) -> None:
    pairs: list[Keep] = ["qk", "weights"]
    found = [
        regard.rollout(record_stack(masked=masked, keep=keep, tokens=9), None) for keep in pairs
    ]
    # tiles and whole matrices sum in another order
    torch.testing.assert_close(found[0], found[1], rtol=RTOL, atol=ATOL)


def test_a_causal_mask_keeps_the_first_token_to_itself() -> None:
    calls = record_stack(masked=True)
    first = torch.zeros(1, 1, 7)
    first[..., 0] = 1
    assert torch.equal(regard.rollout(calls, 0), first)
    assert not torch.equal(regard.rollout(calls, 0, masked=False), first)


def test_with_everything_kept_every_token_stays_itself() -> None:
    assert torch.equal(regard.rollout(record_stack(), None, residual=1.0)[0], torch.eye(7))


def test_no_calls_are_refused() -> None:
    with pytest.raises(SelectionError, match="at least one recorded call"):
        regard.rollout([])


@pytest.mark.parametrize("query", [7, -8])
def test_a_query_that_does_not_exist_is_refused(query: int) -> None:
    with pytest.raises(SelectionError, match=rf"query {query} does not exist; there are 7"):
        regard.rollout(record_stack(), query)


def test_a_head_that_one_layer_lacks_is_refused() -> None:
    with pytest.raises(SelectionError, match=r"layer 'attention\.2': head 5"):
        regard.rollout(record_stack(), heads=5)


def renamed(calls: Recording, layer: str) -> Attention:
    (call,) = calls
    call.layer = layer
    return call


def cross_attention() -> Attention:
    class Cross(nn.Module):
        def forward(self) -> Tensor:
            q, k = random(1, 2, 7, 4), random(1, 2, 5, 4)
            return functional.scaled_dot_product_attention(q, k, k)

    with regard.record(model := Cross()) as recording:
        model()
    return renamed(recording, "decoder.cross")


@pytest.mark.parametrize(
    ("odd_one", "name"),
    [
        (cross_attention, "decoder.cross"),
        (lambda: renamed(record_stack(1, tokens=6), "stage.2"), "stage.2"),
        (lambda: renamed(record_stack(1, batch=2), "another.batch"), "another.batch"),
    ],
)
def test_calls_over_other_tokens_are_refused_by_name(
    odd_one: Callable[[], Attention], name: str
) -> None:
    call = odd_one()
    with pytest.raises(GeometryError) as caught:
        regard.rollout([call, *record_stack()])
    assert repr(name) in str(caught.value)
    assert str(call.shape) in str(caught.value)


def test_no_more_than_a_tile_is_ever_held(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = record_stack(tokens=50)
    expected = regard.rollout(calls, None)
    rows = []
    weights = attention_module.DotProductAttention._weights

    def counted(self: Any, part: Any, masked: bool) -> Tensor:
        found = weights(self, part, masked)
        rows.append(found.shape[2])
        return found

    monkeypatch.setattr(attention_module.DotProductAttention, "_weights", counted)
    row_bytes = 3 * 4 * 2 * 50  # weights, scores, a temporary; float32; heads; keys
    monkeypatch.setattr(attention_module, "CACHE_BYTES", 4 * row_bytes)
    found = regard.rollout(calls, None)
    assert max(rows) == 4
    assert sum(rows) == 3 * 50
    # tiles of another size sum in another order
    torch.testing.assert_close(found, expected, rtol=RTOL, atol=ATOL)


def test_one_query_at_the_first_step_costs_one_row(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = record_stack(2, tokens=50)
    rows = []
    weights = attention_module.DotProductAttention._weights

    def counted(self: Any, part: Any, masked: bool) -> Tensor:
        rows.append(weights(self, part, masked).shape[2])
        return weights(self, part, masked)

    monkeypatch.setattr(attention_module.DotProductAttention, "_weights", counted)
    regard.rollout(calls, 3)
    assert rows == [1, 50]

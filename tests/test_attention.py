"""Reading a recorded call: selections, and reductions that never hold all weights."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import regard.attention as attention_module
from recorded import random
from regard import Attention, DotProductAttention, ExplicitAttention, Tokens
from regard.errors import SelectionError
from regard.kept import Kept
from regard.scores import Autocast, Scores, Step

B, H, N, M = 2, 3, 11, 13
OPEN = random(B, 1, N, M, seed=3) > -0.3
OPEN[:, :, 4] = False  # one row without any key
FLOAT32 = 1e-6


def causes(q: Tensor, k: Tensor, mask: Tensor | None = None) -> DotProductAttention:
    steps = [Step("mul", -2, (0.5,))]
    if mask is not None:
        steps.append(Step("where", -2, (Kept(mask), -math.inf), {"keep": True}))
    steps.append(Step("softmax", -2, (), {"dim": -1, "dtype": None}))
    off = Autocast("cpu", torch.bfloat16, enabled=False)
    shape = (q.shape[0], q.shape[1], q.shape[2], k.shape[2])
    scores = Scores(Kept(q), Kept(k), tuple(steps), off, fused=True)
    return DotProductAttention(shape=shape, scores=scores, layer="a.b")


def explicit(weights: Tensor) -> ExplicitAttention:
    b, h, n, m = weights.shape
    return ExplicitAttention(shape=(b, h, n, m), kept_weights=Kept(weights), layer="a.b")


Q, K = random(B, H, N, 8), random(B, H, M, 8, seed=1)
DOT = causes(Q, K, OPEN)
DENSE = (
    (Q.double() @ K.double().mT * 0.5)
    .masked_fill(~OPEN, -math.inf)
    .softmax(-1)
    .masked_fill(~OPEN, 0)
)
EXPLICIT = explicit(DENSE.float())
both = pytest.mark.parametrize("call", [DOT, EXPLICIT], ids=["dot_product", "explicit"])


@pytest.fixture(params=[1, 1000, 10**9], ids=["one row a tile", "a few", "all at once"])
def tile(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    budget: int = request.param
    defaults = attention_module.Attention.tiles.__kwdefaults__
    assert defaults is not None
    monkeypatch.setitem(defaults, "budget_bytes", budget)
    monkeypatch.setattr(attention_module, "CACHE_BYTES", budget)
    return budget


def close(got: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(got.double(), expected, rtol=0, atol=FLOAT32)


@both
def test_weights(call: Attention) -> None:
    close(call.weights(), DENSE)
    assert torch.equal(call.fully_masked()[:, :, 4], torch.ones(B, H, dtype=torch.bool)) or (
        call.kind == "explicit"
    )


SELECTIONS: list[tuple[Any, list[int]]] = [
    (None, list(range(N))),
    (3, [3]),
    (-1, [N - 1]),
    ([5, 0, 5], [5, 0, 5]),
    (slice(2, 9, 3), [2, 5, 8]),
    (range(4), [0, 1, 2, 3]),
    (torch.tensor([7, 2]), [7, 2]),
    (torch.arange(N) % 4 == 0, [0, 4, 8]),
    ([], []),
]


@both
@pytest.mark.parametrize(("selection", "rows"), SELECTIONS, ids=str)
def test_queries_and_heads_are_selected(call: Attention, selection: Any, rows: list[int]) -> None:
    close(call.weights(selection), DENSE[:, :, rows])
    close(call.weights(selection, [2, 0]), DENSE[:, [2, 0]][:, :, rows])
    close(call.entropy(selection), torch.special.entr(DENSE).sum(-1)[:, :, rows])
    close(call.mean(selection, [1]), DENSE[:, 1][:, rows])


@both
@pytest.mark.parametrize(
    ("queries", "heads", "text"),
    [
        (N, None, r"layer 'a.b': query 11 does not exist; there are 11 \(0..10\)"),
        ([0, -N - 1], None, "query -12 does not exist"),
        (None, 3, "head 3 does not exist; there are 3"),
        (1.5, None, "query: 1.5 selects nothing; expected an int"),
        ("0", None, "query: '0' selects nothing"),
        ([True, False], None, r"\[True, False\] selects nothing; expected .* 11 bools"),
        ([[0, 1]], None, "selects nothing"),
    ],
)
def test_a_wrong_selection_says_what_there_is(
    call: Attention, queries: Any, heads: Any, text: str
) -> None:
    with pytest.raises(SelectionError, match=text):
        call.weights(queries, heads)
    with pytest.raises(LookupError):
        call.mean(queries, heads)


@both
def test_an_axis_of_length_one_is_selected_like_any_other(call: Attention) -> None:
    one = causes(Q[:, :1, :1], K[:, :1]) if call is DOT else explicit(DENSE[:, :1, :1].float())
    assert one.weights([0, 0]).shape == (B, 1, 2, M)
    assert one.weights(heads=[0, 0]).shape == (B, 2, 1, M)
    assert one.weights([]).shape == (B, 1, 0, M)


@both
def test_reductions_in_tiles_equal_the_formula(call: Attention, tile: int) -> None:
    close(call.mean(), DENSE.mean(1))
    close(call.mean([7, 1]), DENSE.mean(1)[:, [7, 1]])
    close(call.received(), DENSE.mean(2))
    close(call.received([7, 1], [2]), DENSE[:, [2]][:, :, [7, 1]].mean(2))
    close(call.entropy(), torch.special.entr(DENSE).sum(-1))
    rows = random(B, 5, N, seed=9)
    close(call.pull(rows), rows.double() @ DENSE.mean(1))
    close(call.pull(rows, heads=[2, 0]), rows.double() @ DENSE[:, [2, 0]].mean(1))


@both
def test_tiles_cover_every_query_once(call: Attention, tile: int) -> None:
    blocks = list(call.tiles())
    assert torch.cat([rows for rows, _ in blocks]).tolist() == list(range(N))
    close(torch.cat([weights for _, weights in blocks], 2), DENSE)
    assert len(blocks) == {1: N, 1000: N, 10**9: 1}[tile]


def test_nothing_to_average_is_an_error() -> None:
    with pytest.raises(SelectionError, match="no query was selected"):
        DOT.received([])


def test_reductions_of_unmasked_weights() -> None:
    free = (Q.double() @ K.double().mT * 0.5).softmax(-1)
    close(DOT.mean(masked=False), free.mean(1))
    close(DOT.received(masked=False), free.mean(2))
    close(DOT.entropy(masked=False), torch.special.entr(free).sum(-1))


def test_low_precision_weights_are_reduced_in_float32() -> None:
    call = explicit(DENSE.bfloat16())
    assert call.weights().dtype == torch.bfloat16
    for reduced in (call.mean(), call.received(), call.entropy()):
        assert reduced.dtype == torch.float32
    close(call.received(), DENSE.bfloat16().double().mean(2))


@given(
    heads=st.permutations(range(H)),
    rows=st.lists(st.integers(0, N - 1), max_size=6),
    scale=st.floats(0.1, 30),
)
def test_properties(heads: list[int], rows: list[int], scale: float) -> None:
    call = causes(Q * scale, K, OPEN)
    weights = call.weights(rows, heads)
    assert torch.equal(weights, call.weights(rows)[:, heads])
    assert (weights >= 0).all()
    sums = weights.double().sum(-1)
    expected = (~call.fully_masked(rows, heads)).double()
    torch.testing.assert_close(sums, expected, rtol=0, atol=FLOAT32)
    assert torch.equal(weights == 0, call.blocked(rows, heads) | (weights == 0))
    assert not weights[call.blocked(rows, heads)].any()


@given(opened=st.lists(st.booleans(), min_size=M, max_size=M).filter(any))
def test_masked_weights_are_the_unmasked_ones_renormalised_over_open_keys(
    opened: list[bool],
) -> None:
    mask = torch.tensor(opened).expand(N, M)
    call = causes(Q, K, mask)
    free = call.weights(masked=False).double() * mask
    torch.testing.assert_close(
        call.weights().double(), free / free.sum(-1, keepdim=True), rtol=0, atol=FLOAT32
    )


def test_repr_shows_shapes_and_axes() -> None:
    call = causes(Q, K)
    call.axes["forward"] = 2
    assert repr(call) == ("<dot_product a.b forward=2: batch 2, heads 3, queries 11, keys 13>")


def test_token_layouts_are_as_long_as_the_axes() -> None:
    assert (DOT.queries, DOT.keys) == (Tokens(N), Tokens(M))
    assert DOT.nbytes == Q.nbytes + K.nbytes + OPEN.nbytes

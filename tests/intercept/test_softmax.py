"""Written-out attention: every way from q·k to the values that models are known to take."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import regard
from recorded import FunctionAttention, only, random, record_call
from regard.attention import Attention, DotProductAttention, ExplicitAttention
from regard.errors import CaptureError, NothingRecorded

Q, K, V = random(2, 3, 5, 8), random(2, 3, 7, 8, seed=1), random(2, 3, 7, 4, seed=2)
BIAS, PER_HEAD = random(5, 7, seed=3), random(3, 1, 1, seed=4).exp()
OPEN = random(2, 1, 5, 7, seed=5) > -0.5
OPEN[..., 0] = True
LOW = torch.finfo(torch.float32).min
ROUNDING = 1e-6


def scores(scale: float = 1.0) -> Tensor:
    return Q @ K.mT * scale


def setitem(x: Tensor) -> Tensor:
    x = x.clone()
    x[..., 2] = -1.0
    return x


def cogview(x: Tensor) -> Tensor:
    """Source: Ding et al. 2021, PB-Relax, as in LayoutLMv3."""
    small = x / 32
    return (small - small.amax(-1, keepdim=True)) * 32


STEPS: dict[str, Callable[[Tensor], Tensor]] = {
    "mul": lambda x: x * 0.3,
    "rmul": lambda x: 0.3 * x,
    "div": lambda x: x / math.sqrt(8),
    "in-place mul": lambda x: x.mul_(0.3),
    "in-place add": lambda x: x.add_(BIAS),
    "augmented": lambda x: x.__iadd__(BIAS),
    "add": lambda x: x + BIAS,
    "radd": lambda x: BIAS + x,
    "add alpha": lambda x: torch.add(x, BIAS, alpha=0.5),
    "sub": lambda x: x - BIAS,
    "rsub": lambda x: BIAS - x,
    "rdiv": lambda x: 30.0 / (x + 30),
    "neg": lambda x: -x,
    "softcap": lambda x: torch.tanh(x / 5) * 5,
    "clamp": lambda x: x.clamp(-1, 1),
    "clamp min": lambda x: torch.clamp(x, min=-1),
    "clamp max": lambda x: torch.clamp_max(x, 0.5),
    "masked_fill": lambda x: x.masked_fill(~OPEN, -math.inf),
    "masked_fill lowest": lambda x: x.masked_fill(~OPEN, LOW),
    "masked_fill_": lambda x: x.masked_fill_(~OPEN, -1e9),
    "where": lambda x: torch.where(OPEN, x, -math.inf),
    "where, turned": lambda x: torch.where(~OPEN, torch.tensor(LOW), x),
    "where, method": lambda x: x.where(OPEN, LOW),
    "additive mask": lambda x: x + torch.zeros(2, 1, 5, 7).masked_fill(~OPEN, LOW),
    "per head": lambda x: x * PER_HEAD,
    "stable": lambda x: x - x.amax(-1, keepdim=True),
    "stable, global": lambda x: x * 30 - (x * 30).max(),
    "cogview": cogview,
    "windows": lambda x: (x.view(1, 2, 3, 5, 7) + random(1, 2, 1, 5, 7)).view(2, 3, 5, 7),
    "flat heads": lambda x: (x.flatten(0, 1) + BIAS).view(2, 3, 5, 7),
    "merged": lambda x: (x.reshape(6, 5, 7) * 2).reshape(2, 3, 5, 7),
    "transposed twice": lambda x: (x.transpose(-1, -2) + BIAS.T).mT,
    "permuted": lambda x: (x.permute(2, 0, 3, 1) + random(3)).permute(1, 3, 0, 2),
    "linear over heads": lambda x: F.linear(x.movedim(1, -1), random(3, 3)).movedim(-1, 1),
    "conv over heads": lambda x: F.conv2d(x, random(3, 3, 1, 1), random(3)),
    "cast": lambda x: x.double().float(),
    "contiguous": lambda x: x.transpose(0, 1).contiguous().transpose(0, 1),
    "setitem": setitem,
    "dropout off": lambda x: F.dropout(x, 0.5, training=False),
}
WITHOUT_PROGRAM = {"setitem"}


@pytest.mark.parametrize("name", STEPS)
def test_steps_between_product_and_softmax(name: str) -> None:
    def run() -> Tensor:
        weights = STEPS[name](scores(0.5)).softmax(-1)
        used.append(weights)
        return weights @ V

    used: list[Tensor] = []
    recording = record_call(run)
    call = only(recording)
    assert isinstance(call, ExplicitAttention if name in WITHOUT_PROGRAM else DotProductAttention)
    torch.testing.assert_close(call.weights(), used[-1], rtol=0, atol=ROUNDING)
    part = call.weights([4, 1], [2])
    torch.testing.assert_close(part, used[-1][:, [2]][:, :, [4, 1]], rtol=0, atol=ROUNDING)
    assert recording.verify()[0].error == pytest.approx(0, abs=5e-6)
    if any(word in name for word in ("mask", "where")):
        assert torch.equal(call.blocked(), ~OPEN.expand(2, 3, 5, 7))
        plain = scores(0.5).softmax(-1)
        torch.testing.assert_close(call.weights(masked=False), plain, rtol=0, atol=ROUNDING)
    elif name not in WITHOUT_PROGRAM:
        assert not call.blocked().any()


PRODUCTS: dict[str, Callable[[], Tensor]] = {
    "matmul": lambda: torch.matmul(Q, K.transpose(-2, -1)),
    "at": lambda: Q @ K.mT,
    "rmatmul": lambda: K.mT.__rmatmul__(Q),
    "method": lambda: Q.matmul(K.mT),
    "bmm": lambda: torch.bmm(Q.flatten(0, 1), K.flatten(0, 1).mT).view(2, 3, 5, 7),
    "baddbmm": lambda: torch.baddbmm(
        torch.empty(6, 5, 7), Q.flatten(0, 1), K.flatten(0, 1).mT, beta=0, alpha=0.5
    ).view(2, 3, 5, 7),
    "baddbmm with bias": lambda: torch.baddbmm(
        BIAS, Q.flatten(0, 1), K.flatten(0, 1).mT, beta=0.5
    ).view(2, 3, 5, 7),
    "einsum": lambda: torch.einsum("bhid,bhjd->bhij", Q, K),
    "einsum dots": lambda: torch.einsum("...id, ...jd", Q, K),
    "einsum, tokens outside": lambda: torch.einsum(
        "ibhd,jbhd->bhij", Q.permute(2, 0, 1, 3), K.permute(2, 0, 1, 3)
    ),
    "einsum, keys first": lambda: torch.einsum("bhjd,bhid->bhji", K, Q).mT,
    "einsum over two": lambda: torch.einsum(
        "bhixy,bhjxy->bhij", Q.view(2, 3, 5, 2, 4), K.view(2, 3, 7, 2, 4)
    ),
    "heads last": lambda: torch.einsum("bhid,bhjd->bijh", Q, K).permute(0, 3, 1, 2),
    "keys times queries": lambda: (K @ Q.mT).mT,
}


@pytest.mark.parametrize("name", PRODUCTS)
def test_products_of_q_and_k(name: str) -> None:
    used: list[Tensor] = []

    def run() -> Tensor:
        used.append(PRODUCTS[name]().softmax(-1))
        return used[-1] @ V

    recording = record_call(run)
    call = only(recording)
    assert isinstance(call, DotProductAttention), call.notes
    assert call.shape == (2, 3, 5, 7)
    torch.testing.assert_close(call.weights(), used[-1], rtol=0, atol=ROUNDING)
    part = call.weights([4, 1], [2])
    torch.testing.assert_close(part, used[-1][:, [2]][:, :, [4, 1]], rtol=0, atol=ROUNDING)
    assert recording.verify()[0].error == pytest.approx(0, abs=5e-6)


SOFTMAXES: dict[str, Callable[[Tensor], Tensor]] = {
    "method": lambda x: x.softmax(-1),
    "function": lambda x: F.softmax(x, dim=-1),
    "torch": lambda x: torch.softmax(x, 3),
    "keyword": lambda x: F.softmax(input=x, dim=-1),
    "special": lambda x: torch.special.softmax(x, -1),
    "module": nn.Softmax(dim=-1),
    "in another dtype": lambda x: F.softmax(x, dim=-1, dtype=torch.float64).float(),
}
VALUES: dict[str, Callable[[Tensor], Tensor]] = {
    "at": lambda w: w @ V,
    "bmm": lambda w: torch.bmm(w.flatten(0, 1), V.flatten(0, 1)),
    "einsum": lambda w: torch.einsum("bhij,bhjd->bihd", w, V),
    "values first": lambda w: V.mT @ w.mT,
    "einsum, values first": lambda w: torch.einsum("bhjd,bhij->bhid", V, w),
    "dropout off": lambda w: F.dropout(w, 0.1, training=False) @ V,
    "cast": lambda w: w.double().to(V.dtype) @ V,
}


@pytest.mark.parametrize("softmax", SOFTMAXES)
@pytest.mark.parametrize("values", VALUES)
def test_softmaxes_and_products_with_values(softmax: str, values: str) -> None:
    recording = record_call(lambda: VALUES[values](SOFTMAXES[softmax](scores(0.5))))
    call = only(recording)
    assert isinstance(call, DotProductAttention), call.notes
    assert call.blocked().sum() == 0
    expected = scores(0.5).softmax(-1)
    got = call.weights()
    if got.shape != expected.shape:  # three axes, and no module that declares heads
        expected = expected.reshape(got.shape)
    torch.testing.assert_close(got, expected, rtol=0, atol=ROUNDING)
    assert recording.verify()[0].error == pytest.approx(0, abs=5e-6)


def test_large_scores_minus_their_maximum_are_no_mask() -> None:
    """The maximum passes 87.3 by far; taking it for a mask once emptied whole rows."""

    def run() -> Tensor:
        x = scores(50)
        return (x - x.amax(-1, keepdim=True)).softmax(-1) @ V

    call = only(record_call(run))
    assert not call.fully_masked().any()
    torch.testing.assert_close(call.weights(), scores(50).softmax(-1), rtol=0, atol=1e-5)


EFFECTIVE: dict[str, Callable[[Tensor], Tensor]] = {
    "renormalised after a threshold": lambda w: w * (w > 0.1) / (w * (w > 0.1)).sum(-1, True),
    "one-hot, straight through": lambda w: F.one_hot(w.argmax(-1), 7) - w.detach() + w,
    "mixed by a product": lambda w: torch.einsum("bhij,hg->bgij", w, random(3, 3)),
    "squared": lambda w: w**2,
    "mixed with another": lambda w: 0.5 * w + 0.5 * BIAS.softmax(-1),
    "overwritten in part": setitem,
}


@pytest.mark.parametrize("name", EFFECTIVE)
def test_weights_that_are_changed_after_the_softmax(name: str) -> None:
    """What meets the values is what counts."""
    used: list[Tensor] = []

    def run() -> Tensor:
        used.append(EFFECTIVE[name](scores(0.5).softmax(-1)))
        return used[-1] @ V

    call = only(record_call(run))
    torch.testing.assert_close(call.weights(), used[-1], rtol=0, atol=ROUNDING)
    torch.testing.assert_close(call.weights(2, 1), used[-1][:, [1]][:, :, [2]], rtol=0, atol=0)


def test_heads_used_one_by_one() -> None:
    def run() -> Tensor:
        return torch.stack([w @ V[:, h] for h, w in enumerate(scores().softmax(-1).unbind(1))], 1)

    recording = record_call(run)
    whole = torch.cat([call.weights() for call in recording], 1)
    assert torch.equal(whole, scores().softmax(-1))


def test_softmax_over_queries_as_in_slot_attention() -> None:
    """Source: Locatello et al. 2020: slots compete for inputs, then average over them."""
    used: list[Tensor] = []

    def run() -> Tensor:
        weights = scores().softmax(-2)
        used.append(weights / weights.sum(-1, keepdim=True))
        return used[-1] @ V

    call = only(record_call(run))
    assert torch.equal(call.weights(), used[-1])
    assert "over the queries" in call.notes[0]


def test_both_directions_of_one_similarity() -> None:
    x = random(2, 3, 5, 4, seed=9)

    def run() -> Tensor:
        similarity = scores(0.5)
        there = similarity.softmax(-1) @ V
        back = similarity.mT.softmax(-1) @ x
        return there.sum() + back.sum()

    there, back = record_call(run)
    torch.testing.assert_close(there.weights(), scores(0.5).softmax(-1), rtol=0, atol=ROUNDING)
    torch.testing.assert_close(back.weights(), scores(0.5).mT.softmax(-1), rtol=0, atol=ROUNDING)
    part = scores(0.5).mT.softmax(-1)[:, [0]][:, :, [6, 2]]
    torch.testing.assert_close(back.weights([6, 2], 0), part, rtol=0, atol=ROUNDING)
    assert isinstance(back, DotProductAttention)


def test_dropout_keeps_the_weights_before_it_in_every_form() -> None:
    def run() -> Tensor:
        torch.manual_seed(0)
        return F.dropout(scores().softmax(-1), 0.5, training=True) @ V

    for keep in ("qk", "weights"):
        call = only(record_call(run, keep=keep))
        torch.testing.assert_close(call.weights(), scores().softmax(-1), rtol=0, atol=ROUNDING)
        assert call.notes == ("dropout was active: these are the weights before it",)


def test_dropout_on_weights_without_a_program_keeps_those_after_it() -> None:
    def run() -> Tensor:
        torch.manual_seed(0)
        return F.dropout(scores().softmax(-1) ** 2, 0.5, training=True) @ V

    recording = record_call(run)
    assert only(recording).notes[0] == "dropout was active: these are the weights after it"
    assert recording.verify()[0].error == pytest.approx(0, abs=5e-6)


def test_autocast_is_replayed() -> None:
    def run() -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            used.append(((Q @ K.mT) * 0.5).softmax(-1))
            return used[-1] @ V

    used: list[Tensor] = []
    call = only(record_call(run))
    assert torch.equal(call.weights(), used[-1])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_other_dtypes_are_replayed_in_their_own_arithmetic(dtype: torch.dtype) -> None:
    q, k, v = Q.to(dtype), K.to(dtype), V.to(dtype)
    used: list[Tensor] = []

    def run() -> Tensor:
        used.append((q @ k.mT * 0.5).softmax(-1))
        return used[-1] @ v

    call = only(record_call(run))
    assert call.weights().dtype == dtype
    assert torch.equal(call.weights(), used[-1])


def written_in_place() -> Tensor:
    x = scores()
    view = x[..., 1:]
    view.masked_fill_(BIAS[:, 1:] > 0, -math.inf)
    return x.softmax(-1) @ V


def test_a_write_through_a_view_gives_the_weights_that_were_used() -> None:
    recording = record_call(written_in_place)
    x = scores()
    x[..., 1:].masked_fill_(BIAS[:, 1:] > 0, -math.inf)
    torch.testing.assert_close(only(recording).weights(), x.softmax(-1), rtol=0, atol=ROUNDING)
    assert recording.verify()[0].error == pytest.approx(0, abs=5e-6)


def test_a_buffer_that_is_used_again_for_other_scores() -> None:
    def run() -> Tensor:
        buffer = torch.empty(2, 3, 5, 7)
        x = scores()
        torch.add(x, BIAS, out=buffer)
        view = x.view(6, 5, 7)
        torch.matmul(Q, K.mT * 2, out=x)
        return x.softmax(-1) @ V + buffer.softmax(-1) @ V + view.view(2, 3, 5, 7).softmax(-1) @ V

    expected = [scores(2), scores() + BIAS, scores(2)]
    for call, x in zip(record_call(run), expected, strict=True):
        torch.testing.assert_close(call.weights(), x.softmax(-1), rtol=0, atol=ROUNDING)


def test_without_a_program_unmasked_weights_are_refused() -> None:
    call = only(record_call(lambda: setitem(scores()).softmax(-1) @ V))
    with pytest.raises(CaptureError, match="masked weights"):
        call.weights(masked=False)


def stable(x: Tensor) -> Tensor:
    return (x - x.amax(-1, keepdim=True)).exp()


def divided_in_place(x: Tensor) -> Tensor:
    e = stable(x)
    return e.div_(e.sum(dim=-1, keepdim=True))


WRITTEN: dict[str, Callable[[Tensor], Tensor]] = {
    "exp over sum": lambda x: (e := x.exp()) / e.sum(-1, keepdim=True),
    "stable": lambda x: (e := stable(x)) / torch.sum(e, -1, True),
    "in place": divided_in_place,
    "log space": lambda x: x.log_softmax(-1).exp(),
    "log space, function": lambda x: F.log_softmax(x, dim=3).exp(),
}
WRITTEN_AND_CHANGED: dict[str, Callable[[Tensor], Tensor]] = {
    "masked": lambda x: (e := x.exp() * OPEN) / e.sum(-1, keepdim=True),
    "guarded": lambda x: (e := x.exp()) / (e.sum(-1, keepdim=True) + 1e-2),
}


@pytest.mark.parametrize("name", [*WRITTEN, *WRITTEN_AND_CHANGED])
def test_softmaxes_that_are_written_out(name: str) -> None:
    used: list[Tensor] = []

    def run() -> Tensor:
        used.append((WRITTEN | WRITTEN_AND_CHANGED)[name](scores(0.5)))
        return used[-1] @ V

    recording = record_call(run)
    call = only(recording)
    assert isinstance(call, DotProductAttention if name in WRITTEN else ExplicitAttention)
    torch.testing.assert_close(call.weights(), used[-1], rtol=0, atol=ROUNDING)
    assert recording.verify()[0].error == pytest.approx(0, abs=5e-6)
    assert recording.unrecorded == []


SUMS: dict[str, Callable[[Tensor], Tensor]] = {
    "sum": lambda w: (w[..., None] * V[:, :, None]).sum(-2),
    "keepdim": lambda w: (w.unsqueeze(-1) * V.unsqueeze(2)).sum(dim=3, keepdim=True),
    "values first": lambda w: torch.sum(V[:, :, None] * w[..., None], [-2]),
    "keys first": lambda w: (
        w.permute(3, 0, 1, 2)[..., None] * V.permute(2, 0, 1, 3)[..., None, :]
    ).sum(0),
    "linear": lambda w: torch.stack([F.linear(x, v.T) for x, v in zip(w[0], V[0], strict=True)]),
    "vector": lambda w: w[0, 0] @ V[0, 0, :, 0],
    "mv": lambda w: torch.mv(w[0, 0], V[0, 0, :, 0]),
    "mv method": lambda w: w[0, 0].mv(V[0, 0, :, 0]),
}


@pytest.mark.parametrize("name", SUMS)
def test_products_with_values_that_are_no_matrix_products(name: str) -> None:
    recording = record_call(lambda: SUMS[name](scores(0.5).softmax(-1)))
    whole = scores(0.5).softmax(-1).flatten(0, 1)
    for call, expected in zip(recording, whole if len(recording) > 1 else [whole], strict=False):
        got = call.weights().flatten(0, 1)
        torch.testing.assert_close(got, expected.view(-1, 5, 7)[: len(got)], rtol=0, atol=ROUNDING)
    assert len(recording) == (3 if name == "linear" else 1)
    assert recording.verify()[0].error == pytest.approx(0, abs=5e-6)
    assert recording.unrecorded == []


def test_one_row_of_weights_for_all_is_one_query() -> None:
    """Additive attention and its like: a score for each token, and no query."""
    x, values = random(2, 7), random(2, 7, 4, seed=1)
    for product in (
        lambda w: torch.einsum("bn,bnd->bd", w, values),
        lambda w: (w[..., None] * values).sum(1),
        lambda w: (w[:, None] @ values)[:, 0],
    ):
        recording = record_call(lambda: product(x.softmax(-1)))  # noqa: B023
        call = only(recording)
        assert call.shape == (2, 1, 1, 7)
        torch.testing.assert_close(call.weights()[:, 0, 0], x.softmax(-1), rtol=0, atol=ROUNDING)
        assert recording.verify()[0].error == pytest.approx(0, abs=5e-6)


def test_gates_of_a_mixture_of_experts_are_no_attention() -> None:
    """They weigh in the same way, and no name calls them attention."""

    class Mixture(nn.Module):
        def forward(self, gates: Tensor, experts: Tensor) -> Tensor:
            return torch.einsum("te,ted->td", gates.softmax(-1), experts)

    model = Mixture()
    with pytest.raises(NothingRecorded), regard.record(model):
        model(random(5, 3), random(5, 3, 8))


EXPECTED_VALUES: dict[str, Callable[[], Tensor]] = {
    "depth bins": lambda: (random(2, 8, 5, 5).softmax(1) * random(2, 8, 5, 5)).sum(1),
    "distribution of edges": lambda: F.linear(random(6, 4, 9).softmax(-1), random(1, 9)),
    "points of a map": lambda: (random(2, 1, 5, 5).flatten(2).softmax(-1) * torch.arange(25)).sum(
        -1
    ),
    "selected kernels": lambda: (random(2, 3, 8, 1, 1).softmax(1) * random(2, 3, 8, 5, 5)).sum(1),
    "the best classes": lambda: random(6, 9).softmax(-1).topk(3).values.sum(-1),
    "cells": lambda: random(1, 65, 4, 4).softmax(1)[:, :-1].permute(0, 2, 3, 1),
}


@pytest.mark.parametrize("name", EXPECTED_VALUES)
def test_expected_values_are_no_attention(name: str) -> None:
    model = FunctionAttention(EXPECTED_VALUES[name])
    with pytest.raises(NothingRecorded), regard.record(model):
        model()


def test_weights_that_are_joined_after_their_softmaxes() -> None:
    near, far = random(2, 3, 5, 4, seed=7), random(2, 3, 5, 3, seed=8)

    def joined(function: Callable[[], Tensor]) -> Attention:
        return only(record_call(function))

    keys = joined(lambda: torch.cat([near.softmax(-1), far.softmax(-1)], -1) @ V)
    expected = torch.cat([near.softmax(-1), far.softmax(-1)], -1)
    torch.testing.assert_close(keys.weights(), expected, rtol=0, atol=0)
    heads = joined(lambda: torch.stack([s.softmax(-1) for s in scores(0.5).unbind(1)], 1) @ V)
    torch.testing.assert_close(heads.weights(), scores(0.5).softmax(-1), rtol=0, atol=ROUNDING)
    rows = joined(
        lambda: torch.cat([(Q[:, :, i : i + 1] @ K.mT).softmax(-1) for i in range(5)], 2) @ V
    )
    torch.testing.assert_close(rows.weights(), scores().softmax(-1), rtol=0, atol=ROUNDING)
    assert "joined" in rows.notes[0]


@pytest.mark.parametrize("hard", [False, True])
def test_gumbel_softmax(hard: bool) -> None:
    used: list[Tensor] = []

    def run() -> Tensor:
        torch.manual_seed(0)
        used.append(F.gumbel_softmax(scores(), tau=0.5, hard=hard))
        return used[-1] @ V

    recording = record_call(run)
    call = only(recording)
    torch.testing.assert_close(call.weights(), used[-1], rtol=0, atol=ROUNDING)
    assert any("Gumbel" in note for note in call.notes)
    assert isinstance(call, ExplicitAttention if hard else DotProductAttention)
    assert recording.verify()[0].error == pytest.approx(0, abs=5e-6)


NOT_ATTENTION: dict[str, Callable[[], Any]] = {
    "class head": lambda: F.linear(random(2, 8), random(5, 8)).softmax(-1),
    "router": lambda: (random(4, 8) @ nn.Parameter(random(8, 3))).softmax(-1) @ random(3, 8),
    "projection": lambda: random(4, 8) @ random(8, 8),
    "gram matrix": lambda: Q @ Q.mT,
}


@pytest.mark.parametrize("name", NOT_ATTENTION)
def test_other_products_are_no_dot_product_attention(name: str) -> None:
    model = nn.Module()
    with regard.record(model) as recording:
        NOT_ATTENTION[name]()
        F.scaled_dot_product_attention(Q, K, V)
    assert [
        call for call in recording if call.kind == "dot_product" and call.shape != (2, 3, 5, 7)
    ] == []


def matched_pairs() -> Tensor:
    """Scores of SuperGlue: numbers that only count tokens are made of them."""
    scores = Q @ K.mT
    count = scores.new_tensor(scores.shape[-1]).log()
    return scores - count.expand(7) - scores[0, 0, 0, 0].expand(5, 7)


def test_single_numbers_made_of_scores_are_followed_no_further() -> None:
    with regard.record(nn.Module()) as recording:
        F.scaled_dot_product_attention(Q, K, V)
        matched_pairs()
    assert recording.unrecorded == []


NAMED: dict[str, tuple[Callable[[], Any], str]] = {
    "linear": (lambda: (Q @ K.mT) @ V, "no softmax was called: linear"),
    "sigmoid": (lambda: (Q @ K.mT).sigmoid() @ V, "no softmax was called: .*sigmoid"),
    "normalised later": (
        lambda: (scores().exp() @ V) / scores().exp().sum(-1, keepdim=True),
        "no softmax was called: .*by hand",
    ),
    "thrown away": (lambda: ((Q @ K.mT).softmax(-1), V)[1], "never met any values"),
}


@pytest.mark.parametrize("name", NAMED)
def test_forms_that_cannot_be_recorded_are_errors_that_say_so(name: str) -> None:
    function, text = NAMED[name]
    model = FunctionAttention(function)
    with pytest.raises(NothingRecorded, match=text), regard.record(model):
        model()


def test_a_product_of_q_and_k_without_matmul_keeps_its_weights() -> None:
    call = only(record_call(lambda: (Q[:, :, :, None] * K[:, :, None]).sum(-1).softmax(-1) @ V))
    assert call.notes == ("its softmax is not of a q·k product: kept as weights",)
    torch.testing.assert_close(call.weights(), scores().softmax(-1), rtol=0, atol=ROUNDING)


def test_attention_in_chunks_of_queries_is_one_call() -> None:
    recording = record_call(
        lambda: torch.cat([(Q[:, :, i : i + 2] @ K.mT).softmax(-1) @ V for i in (0, 2, 4)], 2)
    )
    torch.testing.assert_close(
        only(recording).weights(), scores().softmax(-1), rtol=0, atol=ROUNDING
    )


def test_gradients_pass_through_a_recorded_model() -> None:
    q = Q.clone().requires_grad_()

    def gradient() -> Tensor:
        return torch.autograd.grad(((q @ K.mT).softmax(-1) @ V).square().sum(), q)[0]

    expected = gradient()
    with regard.record(nn.Module()):
        assert torch.equal(gradient(), expected)

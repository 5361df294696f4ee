"""Programs from q·k to weights: steps, parts, and what counts as a mask."""

import math
from typing import Any, get_args

import pytest
import torch

from recorded import random
from regard.kept import Kept, compact_view
from regard.scores import _RUN, BLOCKED, Autocast, Op, Part, Scores, Step, product_shape

Q, K = random(2, 3, 5, 8), random(2, 3, 7, 8, seed=1)
OFF = Autocast("cpu", torch.bfloat16, enabled=False)
SOFTMAX = Step("softmax", -2, (), {"dim": -1, "dtype": None})


def program(*steps: Step, fused: bool = True) -> Scores:
    return Scores(Kept(Q), Kept(K), (*steps, SOFTMAX), OFF, fused)


def added(value: Any, op: Op = "add") -> Step:
    return Step(op, -2, (Kept(value) if isinstance(value, torch.Tensor) else value,))


@pytest.mark.parametrize("op", get_args(Op))
def test_every_operation_can_be_run(op: str) -> None:
    assert op in _RUN or op in ("causal", "reshape", "flex")


def test_bands_and_packed_sequences() -> None:
    queries, keys = torch.arange(5)[:, None] + 2, torch.arange(7)[None]
    places = (Kept(queries), Kept(keys))
    band = program(Step("within", -2, places, {"left": 2, "right": 1}))
    outside = ((keys - queries) < -2) | ((keys - queries) > 1)
    assert torch.equal(band.blocked(Part()), outside.expand(2, 3, 5, 7))
    rows = Part(torch.tensor([4, 1]))
    assert torch.equal(band.blocked(rows), outside[[4, 1]].expand(2, 3, 2, 7))
    free = program().weights(Part())
    assert torch.equal(band.weights(Part(), masked=False), free)
    apart = program(Step("same", -2, (Kept(queries // 4), Kept(keys // 4))))
    different = (queries // 4 != keys // 4).expand(2, 3, 5, 7)
    assert torch.equal(apart.blocked(Part()), different)
    assert not apart.weights(Part(), masked=False)[different].any(), "never lifted"


def test_a_sink_takes_its_share_of_each_row() -> None:
    sinks = torch.tensor([0.0, 2.0, -3.0]).reshape(3, 1, 1)
    step = Step("softmax", -2, (Kept(sinks),), {"dim": -1, "dtype": None})
    scores = Scores(Kept(Q), Kept(K), (step,), OFF, fused=True)
    plain = (Q @ K.transpose(-2, -1)).exp()
    expected = plain / (plain.sum(-1, keepdim=True) + sinks.exp())
    torch.testing.assert_close(scores.weights(Part()), expected, rtol=0, atol=1e-6)
    heads = scores.weights(Part(heads=torch.tensor([2])))
    torch.testing.assert_close(heads, expected[:, 2:], rtol=0, atol=1e-6)


@pytest.mark.parametrize("value", [-math.inf, torch.finfo(torch.float32).min, -1e9, -100.0])
def test_large_negative_entries_block(value: float) -> None:
    mask = torch.zeros(5, 7)
    mask[1, 2] = value
    for step in (added(mask), added(-mask, "sub")):
        scores = program(step)
        assert torch.equal(scores.blocked(Part()), (mask != 0).expand(2, 3, 5, 7))
        free = scores.weights(Part(), masked=False)
        torch.testing.assert_close(free, program().weights(Part()), rtol=0, atol=1e-7)


@pytest.mark.parametrize("value", [-50.0, -80.0, 0.0, 300.0])
def test_biases_block_nothing_and_stay_when_masks_are_lifted(value: float) -> None:
    scores = program(added(torch.full((5, 7), value).triu()))
    assert not scores.blocked(Part()).any()
    assert torch.equal(scores.weights(Part(), masked=False), scores.weights(Part()))


@pytest.mark.parametrize(
    "step",
    [
        added(torch.full((2, 3, 5, 1), 500.0), "sub"),
        added(torch.tensor(500.0), "sub"),
        added(500.0, "sub"),
        added(-500.0),
        added(torch.full((5, 1), -500.0)),
    ],
)
def test_what_is_the_same_for_every_key_is_no_mask(step: Step) -> None:
    scores = program(step)
    assert not scores.blocked(Part()).any()
    assert torch.equal(scores.weights(Part(), masked=False), scores.weights(Part()))


def test_a_shift_that_swallows_the_scores_closes_the_row() -> None:
    rows = torch.zeros(5, 1)
    rows[2] = -math.inf
    assert (
        program(added(rows)).blocked(Part())[0, 0].all(-1).tolist()
        == [False] * 2 + [True] + [False] * 2
    )


def test_masks_below_the_border_underflow_in_float32() -> None:
    """The border is where exp leaves the normal numbers of float32."""
    assert math.exp(BLOCKED) < torch.finfo(torch.float32).tiny < math.exp(BLOCKED + 0.1)


@pytest.mark.parametrize(
    ("q", "k", "shape"),
    [
        ((2, 3, 5, 8), (2, 3, 7, 8), (2, 3, 5, 7)),
        ((1, 3, 5, 8), (2, 1, 7, 8), (2, 3, 5, 7)),
        ((5, 8), (7, 8), (5, 7)),
    ],
)
def test_product_shape(q: Any, k: Any, shape: Any) -> None:
    assert product_shape(q, k) == shape == tuple((random(*q) @ random(*k).mT).shape)


def test_a_fused_program_computes_in_float32() -> None:
    low = Scores(Kept(Q.half()), Kept(K.half()), (SOFTMAX,), OFF, fused=True)
    assert low.weights(Part()).dtype == torch.float32
    own = Scores(Kept(Q.half()), Kept(K.half()), (SOFTMAX,), OFF, fused=False)
    assert own.weights(Part()).dtype == torch.float16


def test_broadcast_tensors_are_kept_once() -> None:
    mask = random(1, 1, 5, 7)
    kept = Kept(mask.expand(2, 3, 5, 7))
    assert kept.shape == (2, 3, 5, 7)
    assert kept.nbytes == mask.nbytes
    assert torch.equal(kept.get(), mask.expand(2, 3, 5, 7))
    kept.clone()
    assert kept.nbytes == mask.nbytes
    assert compact_view(random(4)[:1].expand(4)).shape == (1,)

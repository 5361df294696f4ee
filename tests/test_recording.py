"""Recordings: finding calls, and telling how good they are."""

from typing import Any

import pytest
import torch

from recorded import random
from regard import Attention, ExplicitAttention, Recording
from regard.errors import SelectionError
from regard.kept import Kept
from regard.recording import LayerError, Unrecorded, matches
from regard.sample import OutputSample


def call(layer: str, forward: int = 0, weights: torch.Tensor | None = None) -> Attention:
    weights = random(1, 2, 3, 4, seed=7).softmax(-1) if weights is None else weights
    b, h, n, m = weights.shape
    return ExplicitAttention(
        shape=(b, h, n, m),
        kept_weights=Kept(weights),
        layer=layer,
        axes={"forward": forward, "call": 0},
    )


LAYERS = ["enc.0.attn", "enc.1.attn", "dec.0.self", "dec.0.cross"]
RECORDING = Recording(
    [call(layer, forward) for forward in (0, 1) for layer in LAYERS], [Unrecorded("x", "why")]
)


@pytest.mark.parametrize(
    ("path", "pattern", "expected"),
    [
        ("a.b.c", "a", True),
        ("a.b.c", "a.b", True),
        ("a.b.c", "*.c", True),
        ("a.b.c", "?.b", True),
        ("a.b.c", "b", False),
        ("a.bb.c", "a.b", False),
        ("a.b", "a.b.c", False),
        ("", "*", True),
        ("", "", True),
        ("A.b", "a.b", False),
    ],
)
def test_globs_match_a_module_and_all_inside_it(path: str, pattern: str, expected: bool) -> None:
    assert matches(path, pattern) is expected


def test_it_is_a_sequence() -> None:
    assert len(RECORDING) == 8
    assert [c.layer for c in RECORDING][:4] == LAYERS
    assert RECORDING[-1] is list(RECORDING)[-1]
    assert [c.layer for c in RECORDING[1:3]] == LAYERS[1:3]
    assert RECORDING[1:3].unrecorded == RECORDING.unrecorded
    assert RECORDING.layers == LAYERS
    with pytest.raises(SelectionError, match="call 8 does not exist; there are 8"):
        RECORDING[8]


def test_find() -> None:
    assert [c.layer for c in RECORDING["enc"]] == LAYERS[:2] * 2
    assert RECORDING.find("dec.*", forward=1)[0].axes["forward"] == 1
    assert len(RECORDING.find(kind="explicit", call=0)) == 8


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"layer": "encoder.*"}, r"has layer='encoder\.\*'; recorded layers: enc.0.attn, enc.1"),
        ({"kind": "dot_product"}, "has kind='dot_product'"),
        ({"forward": 2}, "has forward=2"),
        ({"step": 0}, "has step=0"),
    ],
)
def test_nothing_found_lists_what_there_is(arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(SelectionError, match=text):
        RECORDING.find(**arguments)


def test_long_lists_are_cut() -> None:
    many = Recording([call(f"layer.{i}") for i in range(50)])
    with pytest.raises(SelectionError, match="and 38 more"):
        many["nothing"]
    assert repr(many).endswith("... 10 more")
    assert "not recorded: x: why" in repr(RECORDING)


def test_bytes_count_shared_tensors_once() -> None:
    weights = random(1, 2, 3, 4)
    assert Recording([call("a", weights=weights), call("b", weights=weights)]).nbytes == 96


def sampled(layer: str, off: float) -> Attention:
    made = call(layer)
    values = random(1, 2, 4, 2)
    made.sample = OutputSample.of(values, made.weights() @ values + off)
    return made


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize("worse", [0.5, float("nan")])
def test_verify_tells_the_worst_call_of_a_layer(order: tuple[int, int], worse: float) -> None:
    calls = [sampled("a", 0.0), sampled("a", worse)]
    (check,) = Recording([calls[i] for i in order]).verify()
    assert check.error == pytest.approx(worse, abs=1e-6, nan_ok=True)


def test_verify_says_what_it_cannot_check() -> None:
    unchecked = call("b")
    unchecked.notes = ("dropout was active",)
    assert Recording([call("a"), unchecked]).verify() == [
        LayerError("a", None, "no sample of the output"),
        LayerError("b", None, "dropout was active"),
    ]
    (mixed,) = Recording([call("a"), sampled("a", 0.0)]).verify()
    assert mixed.error == pytest.approx(0, abs=1e-6)

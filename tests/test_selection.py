"""Layers and tokens as people ask for them."""

from typing import Any

import numpy as np
import pytest

from recorded import record_call
from regard import GridTokens, Recording, ViewTransform
from regard.errors import GeometryError, SelectionError
from regard.selection import Query, choose_layers, resolve
from regard.tokens import Tokens

PATHS = ("encoder.layer.0.attention", "encoder.layer.1.attention", "encoder.layer.10.attention")

# 4 rows x 6 columns of 10 px on a photo of 60 x 40 px, after CLS and one register
GRID = GridTokens(
    26,
    grid_hw=(4, 6),
    stride_px=(10, 10),
    view=ViewTransform.identity((40, 60)),
    prefix=("cls", "register 1"),
)


@pytest.fixture(scope="module")
def recording() -> Recording:
    def attend() -> Any:
        import torch
        from torch.nn import functional

        q = torch.ones(1, 1, 3, 2)
        return functional.scaled_dot_product_attention(q, q, q)

    calls = []
    for path in PATHS:
        (call,) = record_call(attend)
        call.layer = path
        calls.append(call)
    return Recording(calls)


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (0, (0,)),
        (2, (2,)),
        (-1, (2,)),
        (-3, (0,)),
        ("encoder.layer.1.attention", (1,)),
        ("encoder.layer.1", (1,)),  # a module stands for what is in it
        ("encoder.layer.1?", (2,)),
        ("encoder.layer.1*", (1, 2)),
        ("*", (0, 1, 2)),
        ("encoder", (0, 1, 2)),
    ],
)
def test_layers_that_an_index_or_a_glob_names(
    recording: Recording, layer: int | str, expected: tuple[int, ...]
) -> None:
    assert choose_layers(recording, layer) == expected


@pytest.mark.parametrize("layer", [3, -4, 99])
def test_an_index_beyond_the_layers_is_told_with_their_number(
    recording: Recording, layer: int
) -> None:
    with pytest.raises(SelectionError, match=rf"layer {layer} does not exist.* 3 \(0\.\.2\)"):
        choose_layers(recording, layer)


@pytest.mark.parametrize("layer", ["decoder.*", "", "ENCODER", "encoder.layer.2"])
def test_a_glob_that_matches_nothing_is_told_with_all_paths(
    recording: Recording, layer: str
) -> None:
    with pytest.raises(SelectionError) as caught:
        choose_layers(recording, layer)
    assert repr(layer) in str(caught.value)
    assert all(path in str(caught.value) for path in PATHS)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (None, 0),
        ("cls", 0),
        ("CLS", 0),
        ("register 1", 1),
        ("mean", None),
        (0, 0),
        (25, 25),
        (-1, 25),
        (-26, 0),
        (np.int64(3), 3),
        ((0, 0), 2),
        ((0.0, 39.9), 2 + 3 * 6),
        ((59.9, 39.9), 25),
        ((10.0, 0.0), 3),
    ],
)
def test_the_token_that_a_query_names(query: Query, expected: int | None) -> None:
    assert resolve(GRID, query) == expected


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        (Tokens(5), None),
        (Tokens(5, prefix=("cls",)), 0),
        (Tokens(5, prefix=("time",)), None),
        (Tokens(5, prefix=("time", "cls")), 1),
        (Tokens(1), 0),
        (Tokens(1, prefix=("probe",)), 0),
    ],
)
def test_without_a_query_it_is_cls_or_the_only_token_else_the_mean(
    tokens: Tokens, expected: int | None
) -> None:
    assert resolve(tokens, None) == expected


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (26, r"query 26 does not exist; there are 26 \(0\.\.25\)"),
        (-27, r"query -27 does not exist"),
        ("class", r"no token is called 'class'; there are: cls, register 1, mean"),
        ("", r"no token is called ''"),
        (1.5, r"the query 1.5 is none"),
        ([1, 2], r"the query \[1, 2\] is none"),
        ((1, 2, 3), r"\(1, 2, 3\) is no point"),
        ((1,), r"\(1,\) is no point"),
    ],
)
def test_a_query_that_names_no_token(query: Any, message: str) -> None:
    with pytest.raises(SelectionError, match=message):
        resolve(GRID, query)


@pytest.mark.parametrize("point", [(60, 0), (0, 40), (-0.1, 5), (float("nan"), 1)])
def test_a_point_outside_of_the_photo(point: tuple[float, float]) -> None:
    with pytest.raises(GeometryError, match="outside the 60 x 40 px picture"):
        resolve(GRID, point)


def test_a_point_needs_tokens_that_have_places() -> None:
    with pytest.raises(GeometryError, match="known by index only"):
        resolve(Tokens(7), (1, 1))

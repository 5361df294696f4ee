import json
from dataclasses import dataclass
from typing import Any

import pytest
import torch

import regard.tokens
from regard.errors import FormatError, GeometryError
from regard.geometry import ViewTransform
from regard.tokens import Tokens, tokens_from_json
from regard.tokens.grid import GridTokens

GRID = GridTokens.from_stride(ViewTransform.identity((4, 6)), 2, prefix=("cls",))


@pytest.mark.parametrize(
    ("method", "arguments"),
    [("to_pixels", (torch.ones(5),)), ("at", (1, 1)), ("box_xyxy", (1,)), ("center_xy", (1,))],
)
def test_tokens_known_by_index_have_no_place(method: str, arguments: tuple[Any, ...]) -> None:
    with pytest.raises(GeometryError, match=r"5 tokens .* GridTokens.from_stride\(view, stride_px"):
        getattr(Tokens(5), method)(*arguments)


def test_tokens_known_by_index_have_shares_and_json() -> None:
    tokens = Tokens(5, prefix=("cls",), suffix=("end",))
    shares = tokens.shares(torch.arange(5.0))
    assert {name: share.item() for name, share in shares.items()} == {
        "cls": 0,
        "end": 4,
        "other": 1 + 2 + 3,
    }
    assert tokens_from_json(json.loads(json.dumps(tokens.to_json()))) == tokens


@pytest.mark.parametrize("count", [0, 1])
def test_refuses_fewer_tokens_than_names(count: int) -> None:
    with pytest.raises(GeometryError, match=f"a layout of {count} tokens, 2 of them named"):
        Tokens(count, prefix=("cls", "register 1"))


def test_a_new_layout_is_one_class(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(regard.tokens.base, "_LAYOUTS", dict(regard.tokens.base._LAYOUTS))

    @dataclass(frozen=True)
    class Words(Tokens, kind="spoken"):
        def _name_unnamed(self, index: int) -> str:
            return f"word {index}"

    again = tokens_from_json(Words(3).to_json())
    assert again == Words(3)
    assert again.name(1) == "word 1"
    with pytest.raises(TypeError, match="kind 'spoken' is Words's already"):
        type("Others", (Tokens,), {}, kind="spoken")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"kind": "spiral", "count": 3}, "kind 'spiral', expected one of .*'grid', 'index'"),
        ({"count": 3}, "kind None"),
        ({"kind": "index", "count": 3}, "'index' token layout has the fields"),
        ({**GRID.to_json(), "stride": 1}, "'grid' token layout has the fields"),
    ],
)
def test_refuses_json_of_another_kind(value: dict[str, Any], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        tokens_from_json(value)

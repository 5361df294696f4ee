"""The independent count of softmaxes, in each form that torch gives them."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from regard.zoo.census import Census
from regard.zoo.inputs import normal

X = normal(1, 2, 5, 8)
ROWS = normal(1, 5, 16)


def multi_head(**options: Any) -> Any:
    return nn.MultiheadAttention(16, 2, batch_first=True).eval()(ROWS, ROWS, ROWS, **options)


ONE: dict[str, Callable[[], Any]] = {
    "function": lambda: F.softmax(X, -1),
    "method": lambda: X.softmax(1),
    "module": lambda: nn.Softmax(-1)(X),
    "fused": lambda: F.scaled_dot_product_attention(X, X, X),
    "fused, masked": lambda: F.scaled_dot_product_attention(X, X, X, X[..., :5] > 0),
    "fused, three axes": lambda: F.scaled_dot_product_attention(X[0], X[0], X[0]),
    "fused, five axes": lambda: F.scaled_dot_product_attention(X[None], X[None], X[None]),
    "fused, shared heads": lambda: F.scaled_dot_product_attention(
        X, X[:, :1], X[:, :1], enable_gqa=True
    ),
    "multi-head": lambda: multi_head(),
    "multi-head, native": lambda: multi_head(need_weights=False),
    "whole layer, native": lambda: (
        nn.TransformerEncoderLayer(16, 2, 8, batch_first=True).eval().forward(ROWS)
    ),
}
NONE: dict[str, Callable[[], Any]] = {
    "log": lambda: X.log_softmax(-1),
    "sigmoid": lambda: X.sigmoid() @ X.mT,
    "of nothing": lambda: X[:, :0].softmax(-1),
}


@pytest.mark.parametrize("name", ONE)
def test_every_softmax_counts_once(name: str) -> None:
    with torch.no_grad(), Census() as census:
        ONE[name]()
    assert census.softmaxes == 1


@pytest.mark.parametrize("name", NONE)
def test_other_functions_do_not_count(name: str) -> None:
    with torch.no_grad(), Census() as census:
        NONE[name]()
    assert census.softmaxes == 0

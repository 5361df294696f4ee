"""Matrix products as labelled contractions."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from recorded import random
from regard.intercept.contraction import Contraction, arrange, of_call, of_einsum, of_matmul


def product(c: Contraction) -> Tensor:
    """The contraction computed by its own labels."""
    names = {x: i for i, x in enumerate({*c.a_labels, *c.b_labels, *c.out_labels})}
    sides = [[names[x] for x in labels] for labels in (c.a_labels, c.b_labels, c.out_labels)]
    return torch.einsum(c.a, sides[0], c.b, sides[1], sides[2])


@pytest.mark.parametrize(
    ("equation", "a", "b"),
    [
        ("bhid,bhjd->bhij", (2, 3, 5, 8), (2, 3, 7, 8)),
        ("b h i d , b h j d -> b h i j", (2, 3, 5, 8), (2, 3, 7, 8)),
        ("ij,jk", (5, 7), (7, 4)),
        ("...id,...jd->...ij", (2, 3, 5, 8), (2, 3, 7, 8)),
        ("...id,jd->...ij", (2, 3, 5, 8), (7, 8)),
        ("...id,...jd", (2, 3, 5, 8), (3, 7, 8)),
        ("ba,cb", (5, 7), (4, 5)),
    ],
)
def test_einsum(equation: str, a: tuple[int, ...], b: tuple[int, ...]) -> None:
    x, y = random(*a), random(*b, seed=1)
    c = of_einsum(equation, (x, y))
    assert c is not None
    assert c.is_plain
    torch.testing.assert_close(product(c), torch.einsum(equation, x, y), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((5, 8), (8, 7)),
        ((2, 5, 8), (8, 7)),
        ((2, 3, 5, 8), (2, 3, 8, 7)),
        ((2, 3, 5, 8), (3, 8, 7)),
        ((8, 5), (2, 5, 7)),
        ((2, 5, 8), (8,)),
        ((8,), (2, 8, 7)),
    ],
)
def test_matmul(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    x, y = random(*a), random(*b, seed=1)
    c = of_matmul(x, y)
    assert c is not None
    torch.testing.assert_close(product(c), x @ y, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("function", "args"),
    [
        (torch.einsum, ("ij->ji", random(2, 3))),
        (torch.einsum, ("i,j,k->ijk", random(2), random(3), random(4))),
        (torch.matmul, (random(3), random(3))),
        (torch.einsum, (random(2, 3), [0, 1], random(3, 4), [1, 2])),
    ],
)
def test_what_is_no_contraction_of_two_tensors(function: Callable[..., Any], args: Any) -> None:
    assert of_call(function, args) is None


def test_repeated_and_summed_labels_are_not_plain() -> None:
    for equation, a, b in (("iij,jk->ik", (3, 3, 4), (4, 5)), ("ijl,jk->ik", (3, 4, 2), (4, 5))):
        c = of_einsum(equation, (random(*a), random(*b)))
        assert c is not None
        assert not c.is_plain


def test_arrange_puts_axes_in_order_and_adds_missing_ones() -> None:
    x = random(2, 3, 4)
    assert torch.equal(arrange(x, ("a", "b", "c"), "cab"), x.permute(2, 0, 1))
    assert arrange(x, ("a", "b", "c"), "axcb").shape == (2, 1, 4, 3)

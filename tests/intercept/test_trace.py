"""Where the token axes go when scores are reshaped and permuted."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from recorded import random
from regard.intercept.trace import permutation, permuted_axes, reshaped_axes

PRIMES = (2, 3, 5, 7)


@given(st.permutations(range(4)))
def test_permuted_axes_follow_their_sizes(order: list[int]) -> None:
    moved = torch.empty(PRIMES).permute(order)
    rows, columns = permuted_axes((-2, -1), order)
    assert rows is not None
    assert columns is not None
    assert (moved.shape[rows], moved.shape[columns]) == PRIMES[-2:]


@pytest.mark.parametrize(
    ("before", "after", "axes"),
    [
        ((2, 3, 5, 7), (6, 5, 7), (-2, -1)),
        ((6, 5, 7), (2, 3, 5, 7), (-2, -1)),
        ((2, 3, 5, 7), (1, 2, 3, 5, 7), (-2, -1)),
        ((2, 3, 5, 7), (2, 3, 5, 7, 1), (-3, -2)),
        ((2, 3, 5, 7), (2, 15, 7), (None, -1)),
        ((2, 3, 5, 7), (2, 3, 35), (None, None)),
        ((1, 1, 5, 7), (5, 7), (-2, -1)),
        ((2, 3, 6, 7), (2, 3, 2, 3, 7), (None, -1)),
        ((4, 4, 4, 4), (16, 4, 4), (-2, -1)),
        ((4, 4, 4, 4), (4, 16, 4), (None, -1)),
    ],
)
def test_reshaped_axes(before: Any, after: Any, axes: Any) -> None:
    assert math.prod(before) == math.prod(after)
    assert reshaped_axes((-2, -1), before, after) == axes


@pytest.mark.parametrize(
    ("function", "args", "kwargs"),
    [
        (Tensor.transpose, (1, 3), {}),
        (Tensor.permute, (3, 0, 1, 2), {}),
        (Tensor.permute, ((3, 0, 1, 2),), {}),
        (Tensor.permute, (), {"dims": (1, 0, 3, 2)}),
        (torch.movedim, (1, -1), {}),
        (Tensor.swapaxes, (0, 2), {}),
        (Tensor.mT.__get__, (), {}),  # type: ignore[attr-defined]
    ],
)
def test_permutation_is_the_one_that_the_call_makes(
    function: Callable[..., Tensor], args: Any, kwargs: Any
) -> None:
    x = random(*PRIMES)
    order = permutation(function, args, kwargs, 4)
    assert torch.equal(function(x, *args, **kwargs), x.permute(order))

"""Recipes: the whole tensor as it was made, and rows of it without the rest."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from recorded import random
from regard.kept import Kept
from regard.recipe import Ingredient, Recipe, RecipeOp, folded, split_back


def recipe(op: RecipeOp, *inputs: Ingredient, shape: tuple[int, ...], **options: object) -> Recipe:
    if op == "reshape":
        options["shape"] = shape
    return Recipe(op, inputs, shape, torch.float32, options)


def grid_bias() -> Recipe:
    """q with a table for rows and one for columns, added on a grid of 3 x 4 (SAM)."""
    q, tall, wide = Kept(random(2, 3, 4, 5)), Kept(random(3, 3, 5)), Kept(random(4, 4, 5))
    by_row = recipe("einsum", q, tall, shape=(2, 3, 4, 3), equation="bhwc,hkc->bhwk")
    by_column = recipe("einsum", q, wide, shape=(2, 3, 4, 4), equation="bhwc,wkc->bhwk")
    by_row = recipe("reshape", by_row, shape=(2, 3, 4, 3, 1))
    by_column = recipe("reshape", by_column, shape=(2, 3, 4, 1, 4))
    total = recipe("add", by_row, by_column, shape=(2, 3, 4, 3, 4))
    return recipe("reshape", total, shape=(1, 2, 12, 12))


def table_bias() -> Recipe:
    """A table that an index spreads, moved and squashed (Swin v2)."""
    index = Kept(torch.arange(49).reshape(7, 7) % 11)
    made = recipe("gather", Kept(random(11, 3)), index, shape=(7, 7, 3), axis=0)
    made = recipe("permute", made, shape=(3, 7, 7), dims=[2, 0, 1])
    made = recipe("mul", recipe("sigmoid", made, shape=(3, 7, 7)), 16, shape=(3, 7, 7))
    mask = Kept(random(4, 1, 7, 7))
    return recipe("add", made, mask, shape=(4, 3, 7, 7))


def headed_table() -> Recipe:
    """A table whose second axis is spread (LeViT)."""
    index = Kept(torch.arange(42).reshape(6, 7) % 5)
    return recipe("gather", Kept(random(3, 5)), index, shape=(3, 6, 7), axis=1)


@pytest.mark.parametrize("make", [grid_bias, table_bias, headed_table])
@pytest.mark.parametrize("axis", [-2, -1, -3])
def test_rows_are_the_rows_of_the_whole(make: Callable[[], Recipe], axis: int) -> None:
    made = make()
    whole, rows = made.get(), torch.tensor([made.shape[axis] - 1, 0, 1])
    part = made.rows(rows, axis)
    assert tuple(whole.shape) == made.shape
    # a product over fewer rows may add in another order
    torch.testing.assert_close(part, whole.index_select(axis, rows), atol=1e-6, rtol=0)


def test_rows_of_an_axis_that_is_not_there_are_the_whole() -> None:
    made = recipe("add", Kept(random(1, 4)), Kept(random(3, 1, 1)), shape=(3, 1, 4))
    assert torch.equal(made.rows(torch.tensor([5, 6]), -2), made.get())


def test_nothing_large_is_made_for_a_few_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(self: Recipe) -> Tensor:
        raise AssertionError("the whole tensor was made")

    made = [grid_bias(), table_bias(), headed_table()]
    monkeypatch.setattr(Recipe, "get", never)
    for one in made:
        one.rows(torch.tensor([1, 2]), -2)


def test_what_is_folded_back_is_the_split_tensor_reshaped() -> None:
    part = random(2, 3, 4, 3, 1)
    made = folded(Kept(part), (2, 3, 4, 3, 4), (2, 12, 12))
    whole = part.expand(2, 3, 4, 3, 4).reshape(2, 12, 12)
    assert torch.equal(made.get(), whole)
    assert torch.equal(made.rows(torch.tensor([7, 11]), -2), whole[:, [7, 11]])


@pytest.mark.parametrize(
    ("before", "after", "axis", "possible"),
    [
        ((6, 4), (6, 2, 2), 0, True),
        ((6, 4), (2, 3, 4), 0, False),  # half of an axis is no choice along it
        ((2, 1, 3, 4), (6, 4, 1), 0, True),
        ((1, 6), (6, 1, 1), 0, True),
        ((2, 3), (3, 2), 0, False),
        ((0, 3), (3, 0), 0, False),
    ],
)
def test_a_choice_is_followed_back_through_a_reshape(
    before: tuple[int, ...], after: tuple[int, ...], axis: int, possible: bool
) -> None:
    where: list[Tensor | None] = [None] * len(after)
    where[axis] = torch.tensor([0])
    assert (split_back(before, after, where) is not None) == possible


@pytest.mark.parametrize(("before", "after"), [((2, 1, 3, 4), (6, 4, 1)), ((6, 4), (2, 3, 4))])
def test_rows_behind_any_reshape(before: tuple[int, ...], after: tuple[int, ...]) -> None:
    made = recipe("reshape", Kept(random(*before)), shape=after)
    where: list[Tensor | None] = [torch.tensor([1, 0]), *[None] * (len(after) - 1)]
    assert torch.equal(made.take(where), made.get()[[1, 0]])

"""Which module is running, and how many heads it declares."""

import pytest
import torch
from torch import Tensor, nn

from regard.intercept.heads import Arrangement, inner_axes
from regard.intercept.stack import HEAD_COUNTS, ModuleStack


class Asking(nn.Module):
    """Writes down what the stack says while it runs."""

    def __init__(self, seen: list[tuple[str, int | None]]) -> None:
        super().__init__()
        self.seen = seen
        self.stack: list[ModuleStack] = []

    def forward(self, x: Tensor) -> Tensor:
        (stack,) = self.stack
        self.seen.append((stack.top.path, stack.head_count()))
        return x


@pytest.mark.parametrize("name", HEAD_COUNTS)
def test_heads_are_declared_by_the_module_or_one_around_it(name: str) -> None:
    seen: list[tuple[str, int | None]] = []
    asking = Asking(seen)
    model = nn.Sequential(nn.Sequential(nn.Sequential(nn.Sequential(asking)), asking))
    setattr(model[0], name, 3)
    stack = ModuleStack(model)
    asking.stack.append(stack)
    stack.attach()
    model(torch.ones(1))
    stack.detach()
    assert seen == [("0.0.0.0", None), ("0.0.0.0", 3)], "three modules up is too far away"
    model(torch.ones(1))
    assert seen[2:] == [("", None)] * 2, "detached"


def test_a_bool_is_no_head_count() -> None:
    model = nn.Module()
    model.num_heads = True  # type: ignore[assignment]
    assert ModuleStack(model).head_count() is None


@pytest.mark.parametrize(
    ("leading", "heads", "expected"),
    [
        ((), None, (1, 1)),
        ((6,), 3, (2, 3)),
        ((6,), 4, (6, 1)),
        ((6,), None, (6, 1)),
        ((2, 3), 3, (2, 3)),
        ((2, 3), None, (2, 3)),
        ((3, 2), 3, (2, 3)),
        ((2, 4, 3), 3, (8, 3)),
        ((2, 4, 3), None, (6, 4)),
        ((3, 3, 3), 3, (9, 3)),
    ],
)
def test_heads_among_leading_axes(
    leading: tuple[int, ...], heads: int | None, expected: tuple[int, int]
) -> None:
    arranged = Arrangement.of(leading, heads)
    assert (arranged.batch, arranged.heads) == expected
    x = torch.arange(float(torch.Size(leading).numel() * 10)).reshape(*leading, 5, 2)
    assert arranged.apply(x).shape == (*expected, 5, 2)
    assert sorted(arranged.apply(x).flatten().tolist()) == x.flatten().tolist()


def test_of_two_axes_with_the_head_count_the_second_is_the_head_axis() -> None:
    assert Arrangement.of((3, 3), 3).order == (0, 1)
    assert Arrangement.of((3, 3, 3), 3).order == (0, 2, 1)


def test_of_several_axes_with_the_head_count_the_one_cut_out_of_channels_is_the_head_axis() -> None:
    """As many windows as heads, as in the second stage of a small MaxViT."""
    tokens = torch.zeros(2, 4, 9, 4 * 8)  # images, windows, tokens, channels
    q = tokens.reshape(2, 4, 9, 4, 8).transpose(2, 3)  # images, windows, heads, tokens
    inner = inner_axes(q.stride()[:-2], q.stride(-2))
    assert inner == (2,)
    assert Arrangement.of(q.shape[:-2], 4, inner).order == (0, 1, 2)
    assert inner_axes(q.contiguous().stride()[:-2], 8) == ()
    by_time = torch.zeros(9, 4, 4, 8).permute(1, 2, 0, 3)  # batch, heads, tokens
    inner = inner_axes(by_time.stride()[:-2], by_time.stride(-2))
    assert Arrangement.of(by_time.shape[:-2], 4, inner).order == (0, 1)

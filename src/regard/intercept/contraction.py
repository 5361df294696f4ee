"""Matrix products in one notation: matmul, bmm and einsum as labelled contractions."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from string import ascii_letters
from typing import Any

from torch import Tensor

Labels = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Contraction:
    """A product of two tensors, one label per axis.

    Attributes:
        a: First tensor.
        b: Second tensor.
        a_labels: Labels of its axes.
        b_labels: Labels of its axes.
        out_labels: Labels of the result's axes.
        batch: Labels of axes that run along in parallel, in the order of the result.
    """

    a: Tensor
    b: Tensor
    a_labels: Labels
    b_labels: Labels
    out_labels: Labels
    batch: Labels

    @property
    def contracted(self) -> list[str]:
        """Labels that are summed over, in the order of the first tensor."""
        return [x for x in self.a_labels if x in self.b_labels and x not in self.out_labels]

    def own(self, labels: Labels) -> list[str]:
        """Labels of one tensor that only it hands on to the result."""
        return [x for x in labels if x in self.out_labels and x not in self.batch]

    @property
    def is_plain(self) -> bool:
        """No label repeats within a tensor, and none is summed within one."""
        used = {*self.out_labels, *self.contracted}
        sides = (self.a_labels, self.b_labels, self.out_labels)
        return all(len(set(x)) == len(x) and used.issuperset(x) for x in sides)


def of_matmul(a: Tensor, b: Tensor) -> Contraction | None:
    """`a @ b`; batch axes align from the right, and a vector has the inner axis alone."""
    if min(a.dim(), b.dim()) < 1 or max(a.dim(), b.dim()) < 2:
        return None
    row, inner, column = "<", "-", ">"
    if b.dim() == 1:
        rows = (*ascii_letters[: a.dim() - 2], row)
        return Contraction(a, b, (*rows, inner), (inner,), rows, ())
    if a.dim() == 1:
        batch = tuple(ascii_letters[: b.dim() - 2])
        return Contraction(a, b, (inner,), (*batch, inner, column), (*batch, column), ())
    depth = max(a.dim(), b.dim()) - 2
    batch = tuple(ascii_letters[:depth])
    return Contraction(
        a,
        b,
        (*batch[depth - (a.dim() - 2) :], row, inner),
        (*batch[depth - (b.dim() - 2) :], inner, column),
        (*batch, row, column),
        batch,
    )


def of_einsum(equation: str, operands: Sequence[Tensor]) -> Contraction | None:
    """A two-operand einsum with its ellipses and implied output written out."""
    if len(operands) != 2:
        return None
    inputs, arrow, output = equation.replace(" ", "").partition("->")
    terms = inputs.split(",")
    dots = [
        tensor.dim() - len(term.replace("...", ""))
        for term, tensor in zip(terms, operands, strict=True)
    ]
    free = [x for x in ascii_letters if x not in equation][: max(dots)]
    a, b = (
        _labels(term, free[len(free) - n :] if n else [])
        for term, n in zip(terms, dots, strict=True)
    )
    if arrow:
        out = _labels(output, free)
    else:
        single = sorted(x for x in {*a, *b} - set(free) if (a + b).count(x) == 1)
        out = (*free, *single)
    shared = tuple(x for x in out if x in a and x in b)
    return Contraction(operands[0], operands[1], a, b, out, shared)


def _labels(term: str, ellipsis: Sequence[str]) -> Labels:
    before, dots, after = term.partition("...")
    return (*before, *(ellipsis if dots else ()), *after)


def arrange(tensor: Tensor, labels: Labels, wanted: Sequence[str]) -> Tensor:
    """The tensor with its axes in the wanted order; a label that it lacks becomes length 1."""
    have = [x for x in wanted if x in labels]
    tensor = tensor.permute([labels.index(x) for x in have])
    for place, label in enumerate(wanted):
        if label not in labels:
            tensor = tensor.unsqueeze(place)
    return tensor


def of_call(func: Callable[..., Any], args: Sequence[Any]) -> Contraction | None:
    """The contraction that a torch call computes; None where it is not one of two tensors."""
    name = getattr(func, "__name__", "")
    if name == "einsum":
        if not isinstance(args[0], str):
            return None
        operands = args[1] if isinstance(args[1], (list, tuple)) else args[1:]
        return of_einsum(args[0], operands)
    a, b = (args[1], args[2]) if name in ("baddbmm", "addmm") else (args[0], args[1])
    if name == "__rmatmul__":
        a, b = b, a
    if not (isinstance(a, Tensor) and isinstance(b, Tensor)):
        return None
    return of_matmul(a, b)

"""Weights that meet values in calls that are no matrix product by name.

`F.linear` with activations for its weight; and a product element by element, whose sum over the
keys completes it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from string import ascii_letters
from typing import Any

from torch import Tensor

from regard.intercept.alive import WhileAlive
from regard.intercept.contraction import Contraction, Labels
from regard.intercept.recorder import Recorder
from regard.intercept.trace import Trace
from regard.intercept.values import ValueProducts, as_it_is

ONES = (
    "its softmax runs over another axis than the sum: over an axis of one entry, every weight is 1"
)


class Weighing:
    """Finds such products, and hands them to `ValueProducts`."""

    def __init__(self, recorder: Recorder, values: ValueProducts) -> None:
        self._recorder = recorder
        self._values = values
        self._weighed = WhileAlive[Weighed]()

    def clear(self) -> None:
        """Forget everything."""
        self._weighed.clear()

    def observe(
        self,
        name: str,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        place: int,
        trace: Trace,
        out: Tensor,
    ) -> bool:
        """Whether a call was a product with the values, and is recorded.

        Args:
            name: Of the torch call.
            args: Its positional arguments.
            kwargs: Its keyword arguments.
            place: Which of the arguments is followed.
            trace: Of that argument.
            out: The result.
        """
        if name == "sum":
            return self._summed(args, kwargs, out)
        if not trace.is_weights:
            return False
        if name == "linear" and len(args) > 1 and place == 0 and trace.key_axis == -1:
            return self._linear(args, kwargs, trace, out)
        if name in ("mul", "multiply") and len(args) == 2 and isinstance(args[1 - place], Tensor):
            weighed = Weighed(trace, args[place], args[1 - place])
            if weighed.has_channels:
                self._weighed.set(out, weighed)
        return False

    def _linear(
        self, args: Sequence[Any], kwargs: Mapping[str, Any], trace: Trace, out: Tensor
    ) -> bool:
        values, bias = args[1], kwargs.get("bias", args[2] if len(args) > 2 else None)
        if trace.q is None or bias is not None or self._recorder.keeper.is_weight(values):
            return False
        c = of_linear(args[0], values)
        return self._values.meet(trace, c, c.a_labels, out) is not None

    def _summed(self, args: Sequence[Any], kwargs: Mapping[str, Any], out: Tensor) -> bool:
        weighed = self._weighed.get(args[0])
        completed = None if weighed is None else weighed.summed(args, kwargs)
        if completed is None:
            return False
        trace, c, axis = completed
        if trace.key_axis is None:
            self._recorder.miss(ONES)
            return False
        kept = out.dim() > len(c.out_labels)
        shaped = (lambda out: out.squeeze(axis)) if kept else as_it_is
        return self._values.meet(trace, c, c.a_labels, out, shaped) is not None


def of_linear(weights: Tensor, values: Tensor) -> Contraction:
    """`F.linear(weights, values)`: a product with the values' transpose."""
    lead = tuple(ascii_letters[: weights.dim() - 1])
    return Contraction(weights, values, (*lead, "-"), (">", "-"), (*lead, ">"), ())


@dataclass(frozen=True, slots=True)
class Weighed:
    """Weights times values, element by element, before the sum over the keys.

    Attributes:
        trace: Of the weights.
        weights: As they were multiplied.
        values: Likewise.
    """

    trace: Trace
    weights: Tensor
    values: Tensor

    @property
    def has_channels(self) -> bool:
        """Whether the values have an axis along which the weights are the same."""
        own, others = _aligned(self.weights, self.values)
        return any(a == 1 and b > 1 for a, b in zip(own, others, strict=True))

    def summed(
        self, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> tuple[Trace, Contraction, int] | None:
        """What a sum over one axis completes; None if it is no product of weights with values.

        The weights must lack an axis that the values have: their channels. A product without one
        is an expected value, as of depth bins, and no attention.

        Returns:
            The trace of the weights, the contraction, and the axis of the sum.
        """
        n = max(self.weights.dim(), self.values.dim())
        axis = kwargs.get("dim", args[1] if len(args) > 1 else None)
        if isinstance(axis, (tuple, list)) and len(axis) == 1:
            axis = axis[0]
        if not isinstance(axis, int):
            return None
        axis %= n
        weights, w_labels = _used_axes(self.weights, self.values)
        values, v_labels = _used_axes(self.values, self.weights)
        key = ascii_letters[axis]
        channels = [x for x in v_labels if x not in w_labels]
        if key not in w_labels or key not in v_labels or len(channels) != 1:
            return None
        labels = tuple(x for x in ascii_letters[:n] if x != key)
        shared = tuple(x for x in labels if x in w_labels and x in v_labels)
        c = Contraction(weights, values, w_labels, v_labels, labels, shared)
        axes = (_place(self.trace.axes[0], n, w_labels), _place(self.trace.axes[1], n, w_labels))
        trace = self.trace.moved("reshape", axes=axes, shape=list(weights.shape))
        return trace, c, axis


def _place(axis: int | None, n: int, labels: Labels) -> int | None:
    """Where an axis, counted from the end of n, is among the labels that are left."""
    label = None if axis is None else ascii_letters[n + axis]
    return labels.index(label) - len(labels) if label in labels else None


def _aligned(tensor: Tensor, other: Tensor) -> tuple[list[int], list[int]]:
    """Shapes of both, with as many axes as the larger has."""
    n = max(tensor.dim(), other.dim())
    own, others = ([*[1] * (n - t.dim()), *t.shape] for t in (tensor, other))
    return own, others


def _used_axes(tensor: Tensor, other: Tensor) -> tuple[Tensor, Labels]:
    """The tensor without the axes that it only repeats along the other, and labels of the rest."""
    own, others = _aligned(tensor, other)
    kept = [i for i in range(len(own)) if own[i] > 1 or others[i] == 1]
    return tensor.reshape([own[i] for i in kept]), tuple(ascii_letters[i] for i in kept)

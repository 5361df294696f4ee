"""Softmaxes that a model writes out: exponentials divided by their sum, or exp of a log-softmax.

What came before the exponential is scores; what comes after the division is weights.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from regard.intercept.alive import WhileAlive
from regard.intercept.steps import NOT_CONTINUED, PERMUTE, RESHAPE
from regard.intercept.trace import Trace

Follow = Callable[[Tensor, Trace], None]
UNFINISHED = "a softmax was begun and not finished"
CHANGED = "its exponentials were changed before they were divided by their sum"
SUM_CHANGED = "the sum of its exponentials was changed before the division"


@dataclass(frozen=True, eq=False, slots=True)
class _Exponentials:
    """exp of scores; the trace is the scores'."""

    trace: Trace


@dataclass(frozen=True, eq=False, slots=True)
class _Total:
    """Their sum over one axis, counted from the end."""

    of: _Exponentials
    dim: int
    changed: bool = False


@dataclass(frozen=True, eq=False, slots=True)
class _Logarithms:
    """Scores minus the logarithm of the sum of their exponentials."""

    trace: Trace
    dim: int


_Stage = _Exponentials | _Total | _Logarithms


class WrittenSoftmax:
    """Knows which tensors are stages of a softmax that is being written out."""

    def __init__(self) -> None:
        self._stages = WhileAlive[_Stage]()

    def clear(self) -> None:
        """Forget everything."""
        self._stages.clear()

    def observe(
        self,
        name: str,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        trace: Trace | None,
        out: Tensor,
        follow: Follow,
    ) -> tuple[Trace, int] | None:
        """The scores and the axis of a softmax that this call finishes; None if it finishes none.

        Args:
            name: Of the torch call.
            args: Its positional arguments.
            kwargs: Its keyword arguments.
            trace: Of the first argument.
            out: The result.
            follow: Makes that a stage is observed, too.
        """
        name = name.rstrip("_")
        stages = [self._stages.get(arg) for arg in args[:2]]
        first = stages[0] if stages else None
        if name in ("div", "divide", "true_divide", "truediv") and len(stages) > 1:
            return _divided(first, stages[1])
        if name == "exp":
            if isinstance(first, _Logarithms):
                return first.trace, first.dim
            if trace is not None and trace.q is not None and not trace.is_weights:
                self._stages.set(out, _Exponentials(trace))
        elif name == "log_softmax" and trace is not None and not trace.is_weights:
            dim = kwargs.get("dim", args[1] if len(args) > 1 else None)
            if isinstance(dim, int):
                self._stages.set(out, _Logarithms(trace, dim if dim < 0 else dim - out.dim()))
                follow(out, trace.lose(UNFINISHED))
        elif name == "sum" and isinstance(first, _Exponentials):
            self._total(first, args, kwargs, out, follow)
        elif name not in NOT_CONTINUED and name not in RESHAPE and name not in PERMUTE:
            self._change(first, args, out)
        return None

    def _total(
        self,
        of: _Exponentials,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        out: Tensor,
        follow: Follow,
    ) -> None:
        dim = kwargs.get("dim", args[1] if len(args) > 1 else None)
        dim = dim[0] if isinstance(dim, (tuple, list)) and len(dim) == 1 else dim
        if isinstance(dim, int) and out.dim() == args[0].dim():
            self._stages.set(out, _Total(of, dim if dim < 0 else dim - out.dim()))
            follow(out, of.trace.lose(UNFINISHED))

    def _change(self, stage: _Stage | None, args: Sequence[Any], out: Tensor) -> None:
        """A stage that something else is done to is a stage still, without its program."""
        if stage is None or out.shape != args[0].shape:
            return
        if isinstance(stage, _Exponentials):
            self._stages.set(out, _Exponentials(stage.trace.lose(CHANGED)))
        elif isinstance(stage, _Total):
            self._stages.set(out, _Total(stage.of, stage.dim, changed=True))


def _divided(above: _Stage | None, below: _Stage | None) -> tuple[Trace, int] | None:
    if not isinstance(above, _Exponentials) or not isinstance(below, _Total):
        return None
    if below.of is not above:
        return None
    return above.trace.lose(SUM_CHANGED) if below.changed else above.trace, below.dim

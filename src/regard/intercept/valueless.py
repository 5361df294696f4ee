"""Softmaxes of q·k whose weights meet no values, because the model wants the weights themselves.

DETR's mask head draws masks from them, GroupViT returns them as soft assignments. Others are dead
code: computed and thrown away. A module named after attention that hands such weights on wanted
them; they are recorded when the pass through the model ends, if no values came until then.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from regard.backward import Backward
from regard.intercept.heads import Arrangement
from regard.intercept.recorder import Recorder
from regard.intercept.stack import Frame
from regard.intercept.trace import Fate, Trace

NOTE = "no values met its weights: the model uses them as they are, so nothing can verify them"
Living = Callable[[Fate], list[tuple[Tensor, Trace]]]


@dataclass(frozen=True, slots=True)
class _HandedOn:
    """Weights that a module handed on."""

    frame: Frame
    fate: Fate
    weights: Tensor
    trace: Trace


class ValuelessSoftmaxes:
    """Waits for the values of each softmax, and records those that get none."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._waiting: list[Fate] = []
        self._handed_on: list[_HandedOn] = []

    def wait(self, fate: Fate) -> None:
        """A softmax was taken."""
        self._waiting.append(fate)

    @property
    def is_waiting(self) -> bool:
        """Whether any softmax has not met its values."""
        return bool(self._waiting or self._handed_on)

    def left(self, frame: Frame, living: Living) -> None:
        """A module ended.

        Args:
            frame: The module's.
            living: Gives the tensors that still carry the weights of a softmax.
        """
        self._waiting = [fate for fate in self._waiting if not fate.met_values]
        self._handed_on = [one for one in self._handed_on if not one.fate.met_values]
        if self._recorder.stack.is_called_attention(frame.path):
            inside = [fate for fate in self._waiting if _is_inside(fate.path, frame.path)]
            for fate in inside:
                self._handed_on += [_HandedOn(frame, fate, *found) for found in living(fate)[-1:]]
            self._waiting = [fate for fate in self._waiting if fate not in inside]
        if not self._recorder.stack.is_running:
            self.settle()

    def settle(self) -> None:
        """Record what met no values until now."""
        self._waiting.clear()
        handed_on, self._handed_on = self._handed_on, []
        for one in handed_on:
            if not one.fate.met_values:
                self._recorder.guard(self._record, one)

    def _record(self, one: _HandedOn) -> None:
        with self._recorder.stack.resumed(one.frame):
            placed = _with_key_axis(one.trace, one.weights)
            if placed is None or not self._recorder.wants():
                return
            trace, weights = placed
            assert trace.query_axis is not None
            assert trace.key_axis is not None
            n = weights.dim()
            q, k = trace.query_axis % n, trace.key_axis % n
            leading = [i for i in range(n) if i not in (q, k)]
            heads = self._recorder.stack.head_count()
            arranged = Arrangement.of(tuple(weights.shape[i] for i in leading), heads)
            steps = arranged.steps(q - n, k - n, weights.shape)
            one.fate.met_values = True
            self._recorder.add(
                shape=(arranged.batch, arranged.heads, weights.shape[q], weights.shape[k]),
                scores=trace.scores(steps) if trace.replayable else None,
                weights=lambda: arranged.apply(weights.permute(*leading, q, k)),
                sample=None,
                backward=Backward(None, missing=NOTE) if self._recorder.gradients else None,
                notes=(*trace.notes, *([trace.lost] if trace.lost else []), NOTE),
            )


def _is_inside(path: str, module: str) -> bool:
    """Whether a path is the module's, or of a part of it; around it, dead weights still live."""
    return not module or f"{path}.".startswith(f"{module}.")


def _with_key_axis(trace: Trace, weights: Tensor) -> tuple[Trace, Tensor] | None:
    """The weights with one axis of keys; None where queries or keys are lost.

    Keys that were split into rows and columns are the last axes, and merged again.
    """
    if trace.query_axis is None or trace.q is None or trace.k is None:
        return None
    if trace.key_axis is not None:
        return trace, weights
    count = (trace.k if trace.query_side == 0 else trace.q).shape[-2]
    for start in range(trace.query_axis + 1, 0):
        if math.prod(weights.shape[start:]) == count:
            merged = weights.flatten(start)
            query_axis = trace.query_axis - (start + 1)
            axes = (query_axis, -1) if trace.query_side == 0 else (-1, query_axis)
            return trace.moved("reshape", axes=axes, shape=list(merged.shape)), merged
    return None

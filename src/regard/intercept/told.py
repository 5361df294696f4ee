"""Attention that a model writes out itself, and tells of.

What is written out as products and a softmax is found by watching every call of torch. A model of
ours that puts its weights through the function here is found without.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from regard.attention import ExplicitAttention
from regard.intercept.listening import Function
from regard.intercept.recorder import Recorder


def weigh(weights: Tensor, values: Tensor, note: str) -> Tensor:
    """The values, weighed: (batch, queries, channels).

    Args:
        weights: (batch, queries, keys), without any mask.
        values: (batch, keys, channels).
        note: What a reader of the weights must know.
    """
    return weights @ values


class ToldWeights:
    """Records the calls of `weigh`."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def call(self, function: Function, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Tensor:
        """Run the call and record it."""
        out: Tensor = function(*args, **kwargs)
        if self._recorder.wants():
            self._recorder.guard(self._record, *args, out)
        return out

    def _record(self, weights: Tensor, values: Tensor, note: str, out: Tensor) -> None:
        recorder = self._recorder
        batch, queries, keys = weights.shape
        sample = backward = None
        if recorder.needs_values():
            sample = recorder.sample(_with_head(values), _with_head(out))
            backward = recorder.watch(_with_head(values), out, _with_head, dropout=False)
        recorder.append(
            ExplicitAttention(
                shape=(batch, 1, queries, keys),
                kept_weights=recorder.keeper.keep(_with_head(weights)),
                sample=sample,
                notes=(note,),
                backward=backward,
            )
        )


def _with_head(tensor: Tensor) -> Tensor:
    return tensor.unsqueeze(1)

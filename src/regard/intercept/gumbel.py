"""`F.gumbel_softmax`: opened, so that its noise is one of the steps from q·k to the weights."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from regard.intercept.opened import opened
from regard.intercept.softmax import SoftmaxAttention
from regard.intercept.steps import with_note

NOISE = "Gumbel noise was added to its scores: these are the weights with it"


class GumbelSoftmax:
    """Runs the body of the function under the mode."""

    def __init__(self, softmax: SoftmaxAttention, mode: AbstractContextManager[Any]) -> None:
        self._softmax = softmax
        self._mode = mode

    def functions(self) -> dict[Any, Callable[..., Any]]:
        """The function that is opened."""
        return {F.gumbel_softmax: self.call}

    def call(
        self, func: Callable[..., Tensor], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Tensor:
        """The result of the call."""
        with self._mode:
            out: Tensor = opened(F.gumbel_softmax)(*args, **kwargs)
        trace = self._softmax.following.trace(out)
        if trace is not None:
            self._softmax.following.set(out, with_note(trace, NOISE))
        return out

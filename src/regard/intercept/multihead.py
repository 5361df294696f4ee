"""`nn.MultiheadAttention`: its function is opened, so that what happens inside can be seen.

The module returns weights averaged over heads, or none. `F.multi_head_attention_forward` lets a
mode override it as a whole; here its body runs instead, opened, with the mode switched on. The
inner product, softmax or fused kernel is then caught like any other, head by head, and the
arithmetic is the model's own.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch.nn.functional as F

from regard.intercept.opened import opened
from regard.intercept.recorder import Recorder


class MultiheadFunction:
    """Runs the body of `F.multi_head_attention_forward` under the mode."""

    def __init__(self, recorder: Recorder, mode: AbstractContextManager[Any]) -> None:
        self._recorder = recorder
        self._mode = mode

    def functions(self) -> dict[Any, Callable[..., Any]]:
        """The function that is opened."""
        return {F.multi_head_attention_forward: self.call}

    def call(self, func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """The result of the call; its attention is recorded on the way."""
        frame = self._recorder.stack.top
        before, frame.heads = (
            frame.heads,
            kwargs.get("num_heads", args[4] if len(args) > 4 else None),
        )
        try:
            with self._mode:
                return opened(F.multi_head_attention_forward)(*args, **kwargs)
        finally:
            frame.heads = before

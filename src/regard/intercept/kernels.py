"""The functions in which models compute attention as a whole, listened to instead of every call.

Most models attend in `scaled_dot_product_attention`, in torch's own attention modules, or in a
kernel that transformers or diffusers choose for them. Where that is known of a model, nothing
else needs to be looked at: its other calls run as fast as ever.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch.nn.functional as F
from torch import nn

from regard.intercept import told
from regard.intercept.listening import Listener, Place, listening
from regard.intercept.mode import Interceptor
from regard.intercept.recorder import Recorder
from regard.intercept.sdpa import FusedAttention
from regard.intercept.stack import must_not_record
from regard.intercept.told import ToldWeights

OPENED = (nn.MultiheadAttention, nn.TransformerEncoderLayer, nn.TransformerEncoder)
"""Modules of torch that may take a path of their own, unless a mode is there."""


class Kernels:
    """Listens to the kernels, in the thread that it was made in.

    Args:
        recorder: Where calls are handed in.
        mode: Sees everything; it is on inside of kernels that are more than one function.
    """

    def __init__(self, recorder: Recorder, mode: Interceptor) -> None:
        self._recorder = recorder
        self._mode = mode
        self._is_opened = False
        self._listeners: dict[Place, Listener] = {
            Place(F, "scaled_dot_product_attention"): FusedAttention(recorder).call,
            Place(told, "weigh"): ToldWeights(recorder).call,
            **{Place(kind, "forward"): self._open for kind in OPENED},
        }

    @contextmanager
    def listening(self) -> Iterator[None]:
        """A context in which calls of the kernels are recorded."""
        with listening(self._listeners, self._listener):
            yield

    @contextmanager
    def opened(self) -> Iterator[None]:
        """A context in which every call is seen, as inside of a kernel."""
        if self._is_opened:
            yield
            return
        self._is_opened = True
        try:
            with self._mode:
                yield
        finally:
            self._is_opened = False

    def _open(self, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        with self.opened():
            return function(*args, **kwargs)

    def _listener(self, place: Place) -> Listener:
        record = self._listeners[place]

        def call(function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
            if self._is_opened or self._recorder.is_paused or must_not_record():
                return function(*args, **kwargs)
            return record(function, args, kwargs)

        return call

"""The one mode through which every torch call of the recorded thread passes."""

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from regard.intercept.flex import FlexAttention
from regard.intercept.gumbel import GumbelSoftmax
from regard.intercept.keeper import Written, tensors_in, writer
from regard.intercept.multihead import MultiheadFunction
from regard.intercept.recorder import Recorder
from regard.intercept.sdpa import FusedAttention
from regard.intercept.softmax import SoftmaxAttention
from regard.intercept.stack import must_not_record

Handler = Callable[..., Any]
_is_compiling = torch.compiler.is_compiling

_plain: set[Any] = set()
"""Functions of torch that were seen to neither attend nor overwrite."""

_MOST_PLAIN = 4096


class Mechanism(Protocol):
    """A way in which models compute attention; one file each."""

    def functions(self) -> dict[Any, Handler]:
        """The torch functions that it handles; a handler runs the call and gives its result."""


class Interceptor(TorchFunctionMode):
    """Hands each call to the mechanism that knows it, and runs all others as they are."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__()
        self._recorder = recorder
        self._keeper = recorder.keeper
        self._guard = recorder.guard
        self._recipes = recorder.recipes
        self.softmax = SoftmaxAttention(recorder)
        mechanisms: tuple[Mechanism, ...] = (
            FusedAttention(recorder),
            FlexAttention(recorder),
            MultiheadFunction(recorder, self),
            self.softmax,
            GumbelSoftmax(self.softmax, self),
        )
        self._handlers: dict[Any, Handler] = {}
        for mechanism in mechanisms:
            self._handlers |= mechanism.functions()
        _plain.difference_update(self._handlers)
        self._following = self.softmax.following
        self._traced = self._following.known
        self._writers: dict[Any, Written | None] = {}

    def close(self) -> None:
        """Let go of everything, so that the recording and the model live only as long as asked."""
        self.softmax.clear()
        self._recipes.clear()
        self._handlers.clear()

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func in _plain and not self._traced and not (kwargs and "out" in kwargs):
            recipes = self._recipes
            if func not in (recipes.all_watched if recipes.made else recipes.starting):
                # most calls: as little as possible is done
                return func(*args, **kwargs) if kwargs else func(*args)
            return self._watched(func(*args, **(kwargs or {})), func, args, kwargs or {})
        kwargs = kwargs or {}
        if _is_compiling():
            return func(*args, **kwargs)
        if self._recorder.is_paused or must_not_record():
            return func(*args, **kwargs)
        if kwargs.get("out") is not None:
            self._guard(self._before_out, tensors_in(kwargs["out"]))
        handler = self._handlers.get(func)
        if handler is not None:
            return self._watched(handler(func, args, kwargs), func, args, kwargs)
        self._guard(self._before_write, func, args, kwargs)
        if not self._following:
            return self._watched(func(*args, **kwargs), func, args, kwargs)
        traces = self._following.look_up(func, args)
        if not any(traces):
            return self._watched(func(*args, **kwargs), func, args, kwargs)
        shapes = [tuple(getattr(arg, "shape", ())) for arg in args]
        out = func(*args, **kwargs)
        self._guard(self.softmax.observe, func, args, kwargs, shapes, traces, out)
        return self._watched(out, func, args, kwargs, traced=True)

    def _watched(
        self, out: Any, func: Any, args: Any, kwargs: dict[str, Any], traced: bool = False
    ) -> Any:
        """The result of a call; how it was made is noted where that could be worth keeping."""
        recipes = self._recipes
        if self._recorder.is_paused:
            return out
        if func in recipes.watched and not recipes.ignores(args, out) and not must_not_record():
            self._guard(recipes.observe, func, args, kwargs, out, traced)
        return out

    def _before_write(self, func: Any, args: Any, kwargs: dict[str, Any]) -> None:
        try:
            written = self._writers[func]
        except KeyError:
            written = self._writers[func] = writer(func)
            if written is None and len(_plain) < _MOST_PLAIN:
                _plain.add(func)
        if written is not None:
            tensors = written(args, kwargs)
            self._keeper.before_write(tensors)
            self._recipes.overwritten(tensors)

    def _before_out(self, tensors: list[Tensor]) -> None:
        self._keeper.before_write(tensors)
        self._recipes.overwritten(tensors)
        for tensor in tensors:
            self._following.overwritten(tensor)

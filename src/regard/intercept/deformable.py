"""Deformable attention: whatever takes `sampling_locations` and `attention_weights`.

Models share no function for it, but all of them name these two arguments alike: the `forward` of
modules, functions beside the module's class, functions held by the module, and autograd functions
around a CUDA kernel. They are found by their parameters, run untouched, and their arguments kept.
"""

import inspect
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.autograd import Function

from regard.deformable import DeformableAttention
from regard.intercept.listening import Listener, Place, listening
from regard.intercept.recorder import Recorder
from regard.intercept.softmax import SoftmaxAttention
from regard.intercept.stack import must_not_record

MARKS = {"sampling_locations", "attention_weights"}
FUNCTIONS = {FunctionType, MethodType, staticmethod}

_searched: WeakKeyDictionary[type | ModuleType, "_Found"] = WeakKeyDictionary()
"""What is in classes and files, which have far more names than all modules of a model."""


class DeformableCalls:
    """Records the sampled points of each call."""

    def __init__(self, recorder: Recorder, softmax: SoftmaxAttention) -> None:
        self._recorder = recorder
        self._softmax = softmax
        self._inside = False

    def listening(self) -> AbstractContextManager[None]:
        """A context in which calls of the model's deformable functions are recorded."""
        modules = self._recorder.stack.followed.values()
        found = self._recorder.guard(lambda: list(places(modules)))
        return listening(found or [], self._listener)

    def _listener(self, place: Place) -> Listener:
        parameters = _parameters(place)

        def call(function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
            if self._inside or must_not_record():  # one that calls another is one attention
                return function(*args, **kwargs)
            arguments = dict(zip(parameters, args, strict=False)) | kwargs
            made = self._quietly(self._before, arguments)
            self._inside = True
            try:
                out = function(*args, **kwargs)
            finally:
                self._inside = False
            if made is not None:
                self._quietly(self._after, made, arguments, out)
            return out

        return call

    def _quietly(self, function: Callable[..., Any], *args: Any) -> Any:
        """The function's result; what it asks of torch is not seen by the mode."""
        with torch._C.DisableTorchFunction():
            return self._recorder.guard(function, *args)

    def _before(self, arguments: Mapping[str, Any]) -> DeformableAttention | None:
        """The call, before the model can overwrite its arguments."""
        locations, weights = arguments["sampling_locations"], arguments["attention_weights"]
        self._softmax.following.forget(weights)  # its product with the samples is inside
        if not self._recorder.wants():
            return None
        levels = level_shapes(arguments)
        per_level = points_per_level(arguments, locations, len(levels))
        batch, queries, heads = locations.shape[:3]
        keep = self._recorder.keeper.keep
        points = sum(per_level)
        call = DeformableAttention(
            shape=(batch, heads, queries, sum(h * w for h, w in levels)),
            locations=keep(locations.reshape(batch, queries, heads, points, 2)),
            point_weights=keep(weights.reshape(batch, queries, heads, points)),
            levels_hw=levels,
            points_per_level=per_level,
            nearest=arguments.get("method") == "discrete",
        )
        self._recorder.keeper.settle(call.kept)
        return call

    def _after(self, call: DeformableAttention, arguments: Mapping[str, Any], out: Any) -> None:
        values = _values(call, arguments.get("value"))
        if values is not None and isinstance(out, Tensor) and out.shape[:2] == call.shape[0::2]:
            arrange = partial(_by_heads, call.shape)
            call.sample = self._recorder.sample(values, arrange(out))
            call.backward = self._recorder.watch(values, out, arrange, dropout=False)
        self._recorder.append(call)


def places(modules: Iterable[nn.Module]) -> Iterator[Place]:
    """Where these modules find functions with the two parameters.

    In their classes, so that copies of a module share nothing with it; in themselves; and in the
    files that define their classes.
    """
    classes: dict[type, None] = {}
    for module in modules:
        kind = type(module)
        if kind not in classes:
            classes |= dict.fromkeys(kind.__mro__)
        for name in _marked(vars(module)):
            yield Place(module, name)
    own = [cls for cls in classes if not cls.__module__.startswith(("torch.", "builtins"))]
    files = {cls.__module__: sys.modules.get(cls.__module__) for cls in own}
    for holder in (*own, *files.values()):
        if isinstance(holder, (type, ModuleType)):
            found = _found_in(holder)
            yield from (Place(holder, name) for name in found.functions)
            yield from (Place(getattr(holder, name), "apply") for name in found.kernels)


@dataclass(frozen=True, slots=True)
class _Found:
    """Names in a class or a file: functions with the two parameters, and kernels with a `forward`.

    `state` is another one after names came or went, or the file was loaded again.
    """

    state: tuple[int, int]
    functions: list[str]
    kernels: list[str]


def _found_in(holder: type | ModuleType) -> _Found:
    names = vars(holder)
    state = len(names), id(names.get("__spec__"))
    found = _searched.get(holder)
    if found is None or found.state != state or holder.__name__ == "__main__":
        kernels = _kernels(names) if isinstance(holder, ModuleType) else []
        _searched[holder] = found = _Found(state, _marked(names), kernels)
    return found


def _marked(names: Mapping[str, Any]) -> list[str]:
    """Names of functions with the two parameters; of many names, so types are asked first."""
    if FUNCTIONS.isdisjoint(map(type, names.values())):  # nearly all modules
        return []
    return [n for n, value in names.items() if type(value) in FUNCTIONS and _is_marked(value)]


def _is_marked(value: Any) -> bool:
    function = getattr(value, "__func__", value)
    if hasattr(function, "__wrapped__"):
        function = inspect.unwrap(function)
    code = getattr(function, "__code__", None)
    return code is not None and _takes_marks(code)


def _takes_marks(code: CodeType) -> bool:
    names = code.co_varnames
    if "sampling_locations" not in names:  # nearly all functions, of hundreds
        return False
    return MARKS.issubset(names[: code.co_argcount + code.co_kwonlyargcount])


def _kernels(names: Mapping[str, Any]) -> list[str]:
    """Names of autograd functions whose `forward` has the two parameters, one for each."""
    kernels = {
        value: name
        for name, value in names.items()
        if isinstance(value, type) and issubclass(value, Function)
    }
    return [name for kernel, name in kernels.items() if _is_marked(kernel.forward)]


def _parameters(place: Place) -> list[str]:
    """Names of the positional arguments of a call there."""
    if place.name != "apply":
        return list(inspect.signature(getattr(place.holder, place.name)).parameters)
    kernel: type[Function] = place.holder
    names = list(inspect.signature(kernel.forward).parameters)
    has_context = kernel.setup_context is Function.setup_context
    return names[1:] if has_context else names


def level_shapes(arguments: Mapping[str, Any]) -> tuple[tuple[int, int], ...]:
    """Rows and columns of each level, in the order of the call."""
    found = [value for name, value in arguments.items() if "spatial_shapes" in name]
    given = [value for value in found if value is not None]
    lists = [value for value in given if not isinstance(value, Tensor)]  # need no synchronising
    shapes = (lists or given)[0]
    rows = shapes.tolist() if isinstance(shapes, Tensor) else shapes
    return tuple((int(height), int(width)) for height, width in rows)


def points_per_level(
    arguments: Mapping[str, Any], locations: Tensor, levels: int
) -> tuple[int, ...]:
    """How many points each level has: an axis of their own, or a list beside one axis for all."""
    if locations.dim() == 6:
        return (locations.shape[4],) * levels
    told: Sequence[int] | None = arguments.get("num_points_list")
    return tuple(told) if told else (locations.shape[3] // levels,) * levels


def _values(call: DeformableAttention, value: Any) -> Tensor | None:
    """The values as (batch, heads, keys, d), however this model lays them out."""
    batch, heads, _, keys = call.shape
    if isinstance(value, (list, tuple)):  # one a level: (batch * heads, d, cells)
        value = torch.cat([level.reshape(batch, heads, -1, level.shape[-1]) for level in value], -1)
    if not isinstance(value, Tensor) or value.dim() != 4:
        return None
    if value.shape[:3] == (batch, keys, heads):
        return value.transpose(1, 2)
    as_channels = value.shape[1] == heads and value.shape[3] == keys
    return value.transpose(2, 3) if as_channels else None


def _by_heads(shape: tuple[int, int, int, int], out: Tensor) -> Tensor:
    """An output (batch, queries, heads * d) as (batch, heads, queries, d)."""
    batch, heads, queries, _ = shape
    return out.reshape(batch, queries, heads, -1).transpose(1, 2)

"""Python functions that are listened to while a recording is open.

Where a model computes attention in a function of its own, no torch call tells it. Such a function
is replaced, in each place where the model finds it, by one that tells the recording; the last
recording to end puts everything back. Only the thread of a recording is listened to.
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import wraps
from types import FunctionType
from typing import Any

Function = Callable[..., Any]
Listener = Callable[[Function, tuple[Any, ...], dict[str, Any]], Any]
"""Runs the call that it is given, and returns its result."""

_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class Place:
    """Where a function is found: an attribute of a Python module, a class, or one module."""

    holder: Any
    name: str

    @property
    def key(self) -> tuple[int, str]:
        """Equal for equal places."""
        return id(self.holder), self.name


@dataclass(slots=True)
class _Replaced:
    """A function that was replaced, and who listens to it.

    Attributes:
        place: Where.
        own: What the holder itself had there; empty if it inherited the function.
        listeners: Thread and listener of each open recording, the last one on top.
    """

    place: Place
    own: list[Any]
    listeners: list[tuple[int, Listener]] = field(default_factory=list)

    def put_back(self) -> None:
        if self.own:
            setattr(self.place.holder, self.place.name, self.own[0])
        else:
            delattr(self.place.holder, self.place.name)


_replaced: dict[tuple[int, str], _Replaced] = {}


@contextmanager
def listening(places: Iterable[Place], listener_of: Callable[[Place], Listener]) -> Iterator[None]:
    """A context in which calls at these places, made in this thread, go through listeners."""
    entry = threading.get_ident()
    added: list[tuple[Place, tuple[int, Listener]]] = []
    try:
        for place in places:
            heard = (entry, listener_of(place))
            with _lock:
                _listen(place, heard)
            added.append((place, heard))
        yield
    finally:
        with _lock:
            for place, heard in added:
                _stop(place, heard)


def _listen(place: Place, heard: tuple[int, Listener]) -> None:
    if place.key not in _replaced:
        held = vars(place.holder)
        own = [held[place.name]] if place.name in held else []
        replaced = _Replaced(place, own)
        function = _telling(getattr(place.holder, place.name), replaced.listeners)
        takes_self = bool(own) and isinstance(own[0], FunctionType)
        plain = takes_self or not isinstance(place.holder, type)
        setattr(place.holder, place.name, function if plain else staticmethod(function))
        _replaced[place.key] = replaced
    _replaced[place.key].listeners.append(heard)


def _stop(place: Place, heard: tuple[int, Listener]) -> None:
    replaced = _replaced[place.key]
    replaced.listeners.remove(heard)
    if not replaced.listeners:
        del _replaced[place.key]
        replaced.put_back()


def _telling(original: Function, listeners: list[tuple[int, Listener]]) -> Function:
    """The function, telling those who listen in the thread that calls it."""

    @wraps(original)
    def telling(*args: Any, **kwargs: Any) -> Any:
        thread = threading.get_ident()
        call = original
        for listener in [heard for entry, heard in listeners if entry == thread]:
            call = _through(listener, call)
        return call(*args, **kwargs)

    return telling


def _through(listener: Listener, call: Function) -> Function:
    return lambda *args, **kwargs: listener(call, args, kwargs)

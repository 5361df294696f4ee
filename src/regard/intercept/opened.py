"""Functions of torch that a mode is asked to override as a whole, opened.

Their body runs instead, rebuilt so that it does not ask again: what happens inside can be seen.
"""

from collections.abc import Callable
from functools import cache
from types import FunctionType
from typing import Any

ASKING = ("has_torch_function", "has_torch_function_unary", "has_torch_function_variadic")


@cache
def opened(function: FunctionType) -> Callable[..., Any]:
    """The function, without the question whether somebody overrides it."""
    names = {**function.__globals__, **dict.fromkeys(ASKING, lambda *_: False)}
    body = FunctionType(
        function.__code__, names, function.__name__, function.__defaults__, function.__closure__
    )
    body.__kwdefaults__ = function.__kwdefaults__
    return body

"""Short ways to record a function in a test."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

import regard
from regard import Attention, Recording
from regard.intercept.recorder import Keep


class FunctionAttention(nn.Module):
    """A function as a module whose name says attention."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)


def record_call(
    function: Callable[..., Any], *args: Any, keep: Keep = "qk", **kwargs: Any
) -> Recording:
    """The recording of one call of a function, whose result must not change by it."""
    model = FunctionAttention(function)
    plain = model(*args, **kwargs)
    with regard.record(model, keep=keep) as recording:
        output = model(*args, **kwargs)
    assert torch.equal(output, plain)
    return recording


def only(recording: Recording) -> Attention:
    """The one call of a recording."""
    (call,) = recording
    return call


def random(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    """Normal numbers, the same for the same seed and shape."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)

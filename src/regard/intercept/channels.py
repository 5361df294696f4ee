"""Channel attention: its q·k sums over all tokens, so that its rows and keys are channels.

It runs through the same torch calls as any other attention, also the fused one. What tells it is
what came into the module: as many tokens as the product sums over, and as many channels as the
rows of all heads.

Source: El-Nouby et al. 2021, "XCiT"; Ding et al. 2022, "DaViT".
"""

from itertools import chain
from typing import Any

from torch import Tensor

from regard.intercept.stack import Frame
from regard.kept import Kept

Shape = tuple[int, int, int, int]
CHANNELS = "its weights are between channels, not between places"


def are_channels(frame: Frame, shape: Shape, q: Kept) -> bool:
    """Whether rows and keys of a q·k product are channels.

    Args:
        frame: The module that runs it, with what came into it.
        shape: (batch, heads, rows, keys) of the weights.
        q: First operand of the product, (..., rows, inner).
    """
    batch, heads, rows, keys = shape
    x = _features(frame.inputs)
    for tokens, channels in _tokens_and_channels(x):
        if q.shape[-1] == tokens and batch * heads * rows == channels:
            if tokens not in (rows, keys):
                return True
            if x is not None and x.dim() == 3:  # as many channels as tokens: memory tells
                memory = q.get()
                return memory.stride(-2) < memory.stride(-1)
    return False


def _features(inputs: tuple[Any, Any]) -> Tensor | None:
    """The first tensor of features that came into a module."""
    args, kwargs = inputs
    for value in chain(args, kwargs.values()):
        if isinstance(value, Tensor) and value.dim() in (3, 4) and value.is_floating_point():
            return value
    return None


def _tokens_and_channels(x: Tensor | None) -> list[tuple[int, int]]:
    """What a tensor of features may mean: tokens of a picture, and channels of the whole batch."""
    if x is None:
        return []
    if x.dim() == 3:
        batch, tokens, channels = x.shape
        return [(tokens, batch * channels)]
    batch, a, b, c = x.shape
    return [(b * c, batch * a), (a * b, batch * c)]  # channels first, channels last

"""Arguments of a forward pass: the same random numbers whenever they are made."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

SIDE = 64
"""Height and width of images, in pixels."""


def normal(*shape: int) -> Tensor:
    """Normal numbers."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


def image(channels: int = 3, side: int = SIDE) -> Tensor:
    """An image of noise, (1, channels, side, side)."""
    return normal(1, channels, side, side)


def ids(count: int = 6) -> Tensor:
    """Token ids, (1, count)."""
    return torch.arange(3, 3 + count)[None]


def pixels(side: int = SIDE, **more: Any) -> Callable[[], dict[str, Any]]:
    """An image, and what else there is."""
    return lambda: {"pixel_values": image(side=side), **more}


def pixels_and_text(side: int = SIDE, count: int = 6) -> Callable[[], dict[str, Any]]:
    """An image and a text."""
    return lambda: {"pixel_values": image(side=side), "input_ids": ids(count)}


def frames(count: int = 4, side: int = SIDE, name: str = "pixel_values") -> Any:
    """A video, (1, frames, 3, side, side)."""
    return lambda: {name: normal(1, count, 3, side, side)}


def normals(**shapes: tuple[int, ...]) -> Callable[[], dict[str, Any]]:
    """Random arguments by their shapes."""
    return lambda: {name: normal(*shape) for name, shape in shapes.items()}


def tensors(output: Any) -> list[Tensor]:
    """Every tensor in a model's output."""
    if isinstance(output, Tensor):
        return [output]
    if hasattr(output, "values") and callable(output.values):
        output = list(output.values())
    if isinstance(output, (list, tuple)):
        return [tensor for item in output for tensor in tensors(item)]
    return []


IMAGE_TOKEN = 40
"""Stands in a text where an image belongs."""


def looking(
    count: int, side: int = 64, token: int = IMAGE_TOKEN, **more: Any
) -> Callable[[], dict[str, Any]]:
    """An image, and a text that holds so many places for it."""
    text = torch.tensor([[3, *[token] * count, 5, 6, 7]])
    return lambda: {"pixel_values": image(side=side), "input_ids": text, **more}


def written(**more: Any) -> Callable[[], dict[str, Any]]:
    """An image, and the first words of an answer."""
    return lambda: {"pixel_values": image(), "decoder_input_ids": ids(), **more}

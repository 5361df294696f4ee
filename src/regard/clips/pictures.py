"""Frames of a clip with what an instance was seen by laid over them."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from regard.clips.clip import ClipAttention
from regard.render import Look, draw_overlay

Mask = np.ndarray[Any, np.dtype[np.bool_]]

OUTLINE_RGB = (255, 255, 255)
"""Colour of the line around an instance's mask; a dark one runs around it."""

_SHADOW_RGB = (20, 20, 20)
_GROUND_RGB = (255, 255, 255)
_TOP_SHARE = 0.995
_SMALL_PX = 240


def draw_instance(
    clip: ClipAttention, index: int, *, cmap: str = "inferno", **options: Any
) -> Iterator[Image.Image]:
    """Every frame of a clip with the attention behind one instance over it, all of one size.

    One scale holds for all frames, so that they compare. Frames outside of the instance's life
    have no attention to show: they come without, in grey.

    Args:
        clip: Of `regard.video`.
        index: Which instance.
        cmap: A matplotlib colour map.
        options: As for `VideoAttention.heat`, such as ``layers`` or ``mixing``.
    """
    row = clip.instance(index).row
    look = Look(cmap=cmap, high=_shared_high(clip, row, clip.frames_of(index), options))
    size_wh = _size_wh(clip, look)
    for place, frame in enumerate(clip.images()):
        heat = clip.attention.heat(row, place, **options)
        if heat is None:
            yield _on_ground(frame.image.convert("L").convert("RGB"), size_wh)
            continue
        mask = clip.masks(place, [row])[0].numpy()
        picture = draw_overlay(outlined(frame.image, mask), heat.numpy(), look=look)
        yield _on_ground(picture.image, size_wh)


def outlined(image: Image.Image, mask: Mask) -> Image.Image:
    """The image with a line around the mask; bool (height, width) of its size."""
    pixels = np.array(image)
    inner = mask & ~_shrunk(mask)
    pixels[_grown(mask) & ~mask] = _SHADOW_RGB
    pixels[inner] = OUTLINE_RGB
    return Image.fromarray(pixels)


def _grown(mask: Mask) -> Mask:
    padded = np.pad(mask, 1)
    return mask | padded[2:, 1:-1] | padded[:-2, 1:-1] | padded[1:-1, 2:] | padded[1:-1, :-2]


def _shrunk(mask: Mask) -> Mask:
    return ~_grown(~mask)


def _size_wh(clip: ClipAttention, look: Look) -> tuple[int, int]:
    """Size of a picture with its legend."""
    height, width = clip.attention.view.original_hw
    black = np.zeros((height, width, 3), np.uint8)
    return draw_overlay(black, np.ones((height, width)), look=look).size_wh


def _on_ground(image: Image.Image, size_wh: tuple[int, int]) -> Image.Image:
    """The picture at the top left of a white one."""
    if image.size == size_wh:
        return image
    ground = Image.new("RGB", size_wh, _GROUND_RGB)
    ground.paste(image)
    return ground


def _shared_high(
    clip: ClipAttention, row: int, frames: Iterable[int], options: dict[str, Any]
) -> float:
    """Upper end of the scale for all frames, in times the even share.

    The largest over frames of the 99.5th percentile over places.
    """
    small = options | {"size_hw": _small_hw(clip.attention.view.original_hw)}
    maps = (clip.attention.heat(row, frame, **small) for frame in frames)
    return max((_high(heat) for heat in maps if heat is not None), default=1.0)


def _small_hw(size_hw: tuple[int, int]) -> tuple[int, int]:
    """The same proportions; enough to see every cell."""
    scale = min(1.0, _SMALL_PX / max(size_hw))
    height, width = (max(1, round(side * scale)) for side in size_hw)
    return height, width


def _high(heat: Tensor) -> float:
    seen = heat[~heat.isnan()]
    return float(torch.quantile(seen, _TOP_SHARE) * seen.numel())

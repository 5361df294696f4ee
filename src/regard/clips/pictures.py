"""Frames of a video with what an instance was seen by laid over them."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from regard.render import Look, draw_overlay
from regard.runs.recorded_video import RecordedVideo

Mask = np.ndarray[Any, np.dtype[np.bool_]]

OUTLINE_RGB = (255, 255, 255)
"""Colour of the line around an instance's mask; a dark one runs around it."""

_SHADOW_RGB = (20, 20, 20)
_TOP_SHARE = 0.995
_SMALL_PX = 240


def draw_instance(
    video: RecordedVideo, index: int, *, cmap: str = "inferno", **options: Any
) -> Iterator[Image.Image]:
    """Every frame of a video with the attention behind one instance over it, all of one size.

    One scale holds for all frames, so that they compare. Frames outside of the instance's life
    have no attention to show: they come without, in grey.

    Args:
        video: Of a run.
        index: Which instance.
        cmap: A matplotlib colour map.
        options: As for `RecordedVideo.heat`, such as ``layers`` or ``mixing``.
    """
    instance = video.instance(index)
    look = Look(cmap=cmap, high=_shared_high(video, instance.row, instance.life, options))
    for place, frame in enumerate(video.frames()):
        heat = video.heat(instance.row, place, **options)
        if heat is None:
            grey = frame.image.convert("L").convert("RGB")
            nothing = np.zeros((grey.height, grey.width), np.float32)
            yield draw_overlay(grey, nothing, look=look).image
            continue
        drawn = outlined(frame.image, instance.masks(place))
        yield draw_overlay(drawn, heat.numpy(), look=look).image


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


def _shared_high(
    video: RecordedVideo, row: int, frames: Iterable[int], options: dict[str, Any]
) -> float:
    """Upper end of the scale for all frames, in times the even share.

    The largest over frames of the 99.5th percentile over places.
    """
    small = options | {"size_hw": _small_hw(video.size_hw)}
    maps = (video.heat(row, frame, **small) for frame in frames)
    return max((_high(heat) for heat in maps if heat is not None), default=1.0)


def _small_hw(size_hw: tuple[int, int]) -> tuple[int, int]:
    """The same proportions; enough to see every cell."""
    scale = min(1.0, _SMALL_PX / max(size_hw))
    height, width = (max(1, round(side * scale)) for side in size_hw)
    return height, width


def _high(heat: Tensor) -> float:
    seen = heat[~heat.isnan()]
    return float(torch.quantile(seen, _TOP_SHARE) * seen.numel())

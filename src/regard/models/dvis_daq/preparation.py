"""From a frame to the tensor that the model was trained on, with the geometry of every step."""

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from regard.geometry import ViewTransform
from regard.models.dvis_daq.settings import Settings

DIVISIBILITY_PX = 32
"""Inputs are padded, at the bottom and right, to a multiple of this."""


def prepare_frame(frame: Image.Image, settings: Settings) -> tuple[Tensor, ViewTransform]:
    """A frame as the model takes it: (3, height, width), and where its pixels went.

    Source: detectron2's ``ResizeShortestEdge`` and ``ImageList``. Zeros are added after the
    normalisation, so padding is mean grey to the model; it is not masked out.
    """
    width, height = frame.size
    size_hw = resized_hw((height, width), settings)
    if size_hw != (height, width):
        frame = frame.resize((size_hw[1], size_hw[0]), Image.Resampling.BILINEAR)
    view = view_of((height, width), settings)
    bottom, right = (whole - side for whole, side in zip(view.input_hw, size_hw, strict=True))
    pixels = normalised(torch.from_numpy(np.array(frame)).permute(2, 0, 1), settings)
    return torch.nn.functional.pad(pixels, (0, right, 0, bottom)), view


def view_of(size_hw: tuple[int, int], settings: Settings) -> ViewTransform:
    """Where the pixels of the model's input lie on a frame of this size."""
    resized = resized_hw(size_hw, settings)
    bottom, right = (-side % DIVISIBILITY_PX for side in resized)
    return ViewTransform.identity(size_hw).resize(resized).pad(bottom=bottom, right=right)


def resized_hw(size_hw: tuple[int, int], settings: Settings) -> tuple[int, int]:
    """Size that a frame is resized to, its shape kept."""
    scale = settings.short_side_px / min(size_hw)
    sides = [side * scale for side in size_hw]
    if max(sides) > settings.long_side_px:
        shrink = settings.long_side_px / max(sides)
        sides = [side * shrink for side in sides]
    height, width = (max(1, int(side + 0.5)) for side in sides)
    return height, width


def normalised(pixels: Tensor, settings: Settings) -> Tensor:
    """RGB bytes (3, height, width) as the model takes them."""
    mean = torch.tensor(settings.pixel_mean)[:, None, None]
    std = torch.tensor(settings.pixel_std)[:, None, None]
    return (pixels.float() - mean) / std

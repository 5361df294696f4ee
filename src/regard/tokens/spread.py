"""How the weight of grid cells spreads over pixels, one axis at a time.

A grid of cells, a picture and the map between them are all axis-aligned, so the share of each
cell in each pixel is a product of one number for the row and one for the column. Two small
matrices therefore say everything: ``rows @ weights @ columns.T``.
"""

import functools
import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from regard.geometry import TOLERANCE_PX

Between = Literal["cells", "linear"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """One axis of a grid of cells, under a picture. Lengths are in model-input pixels."""

    cells: int
    stride: float
    end: float
    """Where the last cell ends: cells reach from 0 to here, the last one may be cut short."""
    photo: tuple[float, float]
    """The stretch of ``[0, end]`` that is photo, not padding."""
    pixels: int
    """Pixels of the picture that is drawn."""
    origin: float
    """Where the first of these pixels begins."""
    step: float
    """Length of one of these pixels."""


def cell_edges(axis: Axis) -> Tensor:
    """Edges of the cells, ``(cells + 1,)`` float64, input pixels."""
    return (torch.arange(axis.cells + 1, dtype=torch.float64) * axis.stride).clamp(max=axis.end)


def photo_share(axis: Axis) -> Tensor:
    """Share of each cell that is photo, ``(cells,)`` float64 in [0, 1]."""
    edges = cell_edges(axis)
    return edges.clamp(*axis.photo).diff() / edges.diff()


def seen_pixels(axis: Axis) -> slice:
    """The pixels that hold any of the photo under the cells."""
    first, last = ((edge - axis.origin) / axis.step for edge in axis.photo)
    start = max(math.floor(first + TOLERANCE_PX), 0)
    return slice(start, max(math.ceil(last - TOLERANCE_PX), start))


@functools.lru_cache(maxsize=16)
def spread_matrix(axis: Axis, between: Between) -> Tensor:
    """Density of a unit of weight on each cell, ``(pixels, cells)`` float64, per pixel.

    The frames of a film have the same few axes; the matrix is not to be written to.
    """
    return _overlap(axis) if between == "cells" else _interpolation(axis)


def _overlap(axis: Axis) -> Tensor:
    """Part of each cell that lies in each pixel and is photo; columns sum to `photo_share`."""
    edges = cell_edges(axis)
    photo = edges.clamp(*axis.photo)
    pixels = axis.origin + torch.arange(axis.pixels + 1, dtype=torch.float64) * axis.step
    start = torch.maximum(pixels[:-1, None], photo[:-1])
    stop = torch.minimum(pixels[1:, None], photo[1:])
    return (stop - start).clamp(min=0) / edges.diff()


def _interpolation(axis: Axis) -> Tensor:
    """Linear interpolation between cell centres, constant beyond the first and the last."""
    centres = axis.origin + (torch.arange(axis.pixels, dtype=torch.float64) + 0.5) * axis.step
    position = (centres / axis.stride - 0.5).clamp(0, axis.cells - 1)
    distance = position[:, None] - torch.arange(axis.cells, dtype=torch.float64)
    return (1 - distance.abs()).clamp(min=0) * axis.step / cell_edges(axis).diff()

"""Recipes for the levels of a feature pyramid, which deformable attention samples."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from regard.deformable import DeformableAttention
from regard.errors import GeometryError
from regard.geometry import size_text
from regard.layouts.grids import STRIDES
from regard.layouts.scene import Scene, Size, ceil_div
from regard.tokens.pyramid import PyramidTokens


@dataclass(frozen=True)
class Levels:
    """Maps of one stride after another, each row by row.

    A deformable call says how large its levels are; elsewhere (the fusion of Grounding DINO) they
    are measured: the finest level first, each half as large as the one before.
    """

    def __call__(self, scene: Scene, count: int) -> PyramidTokens:
        """The layout."""
        told = scene.call.levels_hw if isinstance(scene.call, DeformableAttention) else None
        levels = told or _halving(scene.input_hw, count)
        return PyramidTokens.from_levels(scene.view(), levels)


def _halving(input_hw: Size, count: int) -> tuple[Size, ...]:
    for levels in _runs(input_hw):
        if sum(map(math.prod, levels)) == count:
            return levels
    raise GeometryError(f"no levels of halving size make {count} cells of {size_text(input_hw)}")


def _runs(input_hw: Size) -> Iterator[tuple[Size, ...]]:
    """Every run of maps that begins at a usual stride, fine to coarse."""
    maps = [ceil_div(input_hw, (stride, stride)) for stride in STRIDES]
    for first in range(len(maps)):
        for last in range(first, len(maps)):
            yield tuple(maps[first : last + 1])

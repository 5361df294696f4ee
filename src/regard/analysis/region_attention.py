"""How much of an attention map falls into regions of a frame: masks, boxes, named parts.

The mass of a region is its share of the attention on the frame. Large regions get much of any
attention, so its lift is the mass over the region's share of the area that the model saw: 1 where
attention does not care for the region, 3 where it is three times as dense as on average.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from regard.errors import GeometryError

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class RegionAttention:
    """Attention of one map within one region."""

    mass: float
    """Share of the attention, 0 to 1; NaN where the map is empty."""
    lift: float
    """Mass over share of area; NaN where the region is empty."""
    area: float
    """Share of the pixels that the model saw, 0 to 1."""


def region_attention(heat: npt.ArrayLike, region: Mask) -> RegionAttention:
    """Attention of a map within a region.

    Args:
        heat: (height, width) weight of each pixel; NaN where the model did not see.
        region: bool (height, width).

    Raises:
        GeometryError: The sizes differ.
    """
    values = np.asarray(heat, dtype=np.float64)
    if values.shape != region.shape:
        raise GeometryError(f"a map of {values.shape} and a region of {region.shape} pixels")
    seen = ~np.isnan(values)
    whole = float(np.nansum(values))
    inside = region & seen
    mass = float(values[inside].sum()) / whole if whole > 0 else np.nan
    area = float(inside.sum() / seen.sum()) if seen.any() else np.nan
    return RegionAttention(mass=mass, lift=mass / area if area > 0 else np.nan, area=area)


def weighted_mean(values: Sequence[float], weights: npt.ArrayLike) -> float:
    """Mean over frames by their importance; frames without a value are left out.

    Args:
        values: (frames,); NaN where there is none.
        weights: (frames,), not negative.

    Returns:
        NaN where no frame of any weight has a value.
    """
    numbers, counted = np.asarray(values, dtype=np.float64), np.asarray(weights, dtype=np.float64)
    there = ~np.isnan(numbers) & (counted > 0)
    if not there.any():
        return float("nan")
    return float((numbers[there] * counted[there]).sum() / counted[there].sum())


def box_mask(box_xyxy: Sequence[float], size_hw: tuple[int, int]) -> Mask:
    """Pixels whose centres lie in a box.

    >>> box_mask((1, 0, 3, 1), (2, 4)).tolist()
    [[False, True, True, False], [False, False, False, False]]
    """
    x0, y0, x1, y1 = box_xyxy
    height, width = size_hw
    down, across = np.arange(height) + 0.5, np.arange(width) + 0.5
    return np.asarray(((down >= y0) & (down < y1))[:, None] & ((across >= x0) & (across < x1)))

"""Outlines of objects as polygons, as annotations of data sets may have them."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from regard.datasets.mask_runs import MaskRuns, read_runs
from regard.errors import MissingDependency


def check_polygons(polygons: Sequence[Any], size_hw: tuple[int, int]) -> None:
    """Refuse what a mask library would hang on: infinite, far outside, or no polygon at all.

    Args:
        polygons: Lists of x0, y0, x1, y1, ... in pixels.
        size_hw: Of the picture.

    Raises:
        ValueError: See above.
    """
    reach = 2 * max(size_hw)
    for polygon in polygons:
        numbers = [float(value) for value in polygon]
        if not all(map(math.isfinite, numbers)):
            raise ValueError(f"{numbers} where {len(numbers)} finite numbers are expected")
        if len(numbers) < 6 or len(numbers) % 2 or max(map(abs, numbers)) > reach:
            raise ValueError("a polygon of fewer than 3 points, or far outside the image")


def polygon_runs(polygons: Sequence[Any], size_hw: tuple[int, int]) -> MaskRuns:
    """The mask that polygons enclose together, drawn as COCO draws it.

    Raises:
        ValueError: A polygon that is none.
        MissingDependency: faster-coco-eval is not installed.
    """
    check_polygons(polygons, size_hw)
    try:
        from faster_coco_eval.core import mask as library
    except ImportError as error:
        raise MissingDependency(
            "annotations with polygons need faster-coco-eval: pip install 'regard[evaluate]'"
        ) from error
    numbers = [np.asarray(polygon, dtype=np.float64).tolist() for polygon in polygons]
    return read_runs(library.merge(library.frPyObjects(numbers, *size_hw)), size_hw)

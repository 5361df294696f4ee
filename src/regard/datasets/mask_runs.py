"""Masks as the runs of their pixels: compared with each other without ever being drawn.

Places go down the columns, as in COCO's run lengths; `regard.datasets.rle` reads and writes those.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from regard.datasets.rle import Mask, read_run_lengths

Places = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class MaskRuns:
    """The runs of a mask, in places down the columns."""

    size_hw: tuple[int, int]
    """Height and width in pixels."""
    starts: Places
    """First place of each run, rising."""
    ends: Places
    """The place after its last one."""

    @cached_property
    def area_px(self) -> int:
        """Pixels of the mask."""
        return int((self.ends - self.starts).sum())

    def mask(self) -> Mask:
        """The mask itself, bool (height, width)."""
        edges = np.stack([self.starts, self.ends], axis=1).reshape(-1)
        lengths = np.diff(np.concatenate([[0], edges, [math.prod(self.size_hw)]]))
        values = np.arange(len(lengths)) % 2 == 1
        return np.repeat(values, lengths).reshape(self.size_hw[::-1]).T

    def before(self, places: Places) -> Places:
        """How many pixels of the mask lie before each place; the same shape as ``places``."""
        if not len(self.starts):
            return np.zeros_like(places)
        run = np.searchsorted(self.starts, places, side="right") - 1
        first = np.maximum(run, 0)
        length = self.ends[first] - self.starts[first]
        within = np.clip(places - self.starts[first], 0, length)
        return np.asarray(np.where(run < 0, 0, self._before_runs[first] + within))

    def shared_px(self, other: "MaskRuns") -> int:
        """Pixels that two masks of one size have in common; exact."""
        return int((self.before(other.ends) - self.before(other.starts)).sum())

    @cached_property
    def _before_runs(self) -> Places:
        lengths = self.ends - self.starts
        return np.asarray(np.cumsum(lengths) - lengths)


def read_runs(stored: Any, size_hw: tuple[int, int] | None = None) -> MaskRuns:
    """The runs of a mask that is stored as COCO's run lengths.

    Args:
        stored: ``{"size": [height, width], "counts": text or list}``.
        size_hw: Size that it must have; None takes what it says.

    Raises:
        FormatError: It is nothing of the kind, or its runs do not fill its size exactly.
    """
    size, lengths = read_run_lengths(stored, size_hw)
    edges = np.cumsum(lengths)
    ends = edges[1::2]
    starts = edges[0::2][: len(ends)]
    there = ends > starts
    return MaskRuns(size, starts[there], ends[there])


def runs_of(mask: Mask) -> MaskRuns:
    """The runs of a mask (height, width)."""
    flat = np.concatenate([[False], np.asarray(mask, bool).T.reshape(-1), [False]])
    edges = np.flatnonzero(flat[1:] != flat[:-1]).astype(np.int64)
    height, width = mask.shape
    return MaskRuns((height, width), edges[0::2], edges[1::2])

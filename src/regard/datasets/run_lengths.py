"""Masks as COCO's run lengths: read with suspicion, compared without ever being drawn.

Pixels go down the columns; runs of zeros and ones take turns, zeros first. In a file the lengths
are a list, or a string of 6-bit digits (5 bits of value, one that says "more follows", characters
from "0" on), in which every length from the fourth on is a difference to the one two before.
Source: cocodataset/cocoapi, common/maskApi.c.

The mask libraries trust their input: lengths that do not fill the picture are read from memory that
is not theirs. Here everything is checked before it is used.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]
Places = npt.NDArray[np.int64]

LARGEST_PIXELS = 2**28
"""Of one picture; larger sizes are refused before anything is made of them."""

_FIRST_CHARACTER = 48
_VALUE_BITS = 5
_VALUE, _SIGN, _MORE = 0x1F, 0x10, 0x20
_LONGEST_DIGITS = 7  # 35 bits: more than any length that fits a picture


@dataclass(frozen=True, eq=False)
class MaskRuns:
    """The runs of ones of a mask, in places down the columns."""

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
        """The mask itself, (height, width)."""
        steps = np.zeros(math.prod(self.size_hw) + 1, np.int8)
        np.add.at(steps, self.starts, 1)
        np.add.at(steps, self.ends, -1)
        return steps[:-1].cumsum(dtype=np.int8).astype(bool).reshape(self.size_hw[::-1]).T

    def before(self, places: Places) -> Places:
        """How many pixels of the mask lie before each place; the same shape as ``places``."""
        if not len(self.starts):
            return np.zeros_like(places)
        run = np.searchsorted(self.starts, places, side="right") - 1
        first = np.maximum(run, 0)
        length = self.ends[first] - self.starts[first]
        within = np.clip(places - self.starts[first], 0, length)
        return np.where(run < 0, 0, self._before_runs[first] + within)

    def shared_px(self, other: "MaskRuns") -> int:
        """Pixels that two masks of one size have in common; exact."""
        return int((self.before(other.ends) - self.before(other.starts)).sum())

    @cached_property
    def _before_runs(self) -> Places:
        lengths = self.ends - self.starts
        return np.cumsum(lengths) - lengths


def read_runs(rle: Any, size_hw: tuple[int, int] | None = None) -> MaskRuns:
    """The runs of a mask in a JSON file, compressed or not.

    Args:
        rle: Object with ``size`` (height, width) and ``counts`` (a list or a string).
        size_hw: What the size must be; None for whatever it says.

    Raises:
        ValueError: It is no such object, has another size, or lengths that are negative or do not
            fill the picture exactly.
    """
    if not isinstance(rle, Mapping) or "size" not in rle or "counts" not in rle:
        raise ValueError("a mask that is no object with size and counts")
    size = rle["size"]
    if not isinstance(size, (list, tuple)) or len(size) != 2 or not all(map(_is_whole, size)):
        raise ValueError(f"a mask of size {size!r}; expected [height, width]")
    if size_hw is not None and tuple(size) != size_hw:
        raise ValueError(f"a mask of {list(size)}, the frame is {list(size_hw)}")
    height, width = size
    if not 0 < height * width <= LARGEST_PIXELS or min(size) < 1:
        raise ValueError(f"a mask of {height} x {width} pixels; the most is {LARGEST_PIXELS:,}")
    counts = rle["counts"]
    if isinstance(counts, (str, bytes)):
        lengths = _decompressed(counts, height * width)
    elif isinstance(counts, list) and all(map(_is_whole, counts)):
        lengths = counts
    else:
        raise ValueError("run lengths that are neither a string nor a list of whole numbers")
    if min(lengths, default=0) < 0 or sum(lengths) != height * width:
        raise ValueError(
            f"run lengths of {sum(lengths):,} pixels in all, the smallest {min(lengths, default=0)}"
            f"; expected {height * width:,} and none negative"
        )
    edges = np.cumsum(np.array(lengths, dtype=np.int64))
    ends = edges[1::2]
    starts = edges[0::2][: len(ends)]
    there = ends > starts
    return MaskRuns((height, width), starts[there], ends[there])


def runs_of(mask: Mask) -> MaskRuns:
    """The runs of a mask (height, width)."""
    flat = np.concatenate([[False], np.asarray(mask, bool).T.reshape(-1), [False]])
    edges = np.flatnonzero(flat[1:] != flat[:-1]).astype(np.int64)
    height, width = mask.shape
    return MaskRuns((height, width), edges[0::2], edges[1::2])


def uncompressed(runs: MaskRuns) -> dict[str, Any]:
    """Run lengths as a JSON list.

    >>> uncompressed(runs_of(np.array([[True, False], [True, False]])))
    {'size': [2, 2], 'counts': [0, 2, 2]}
    """
    edges = np.stack([runs.starts, runs.ends], axis=1).reshape(-1)
    whole = math.prod(runs.size_hw)
    counts = np.diff(np.concatenate([[0], edges, [whole]])).tolist()
    ends_in_one = len(edges) > 0 and edges[-1] == whole
    return {"size": list(runs.size_hw), "counts": counts[:-1] if ends_in_one else counts}


def compressed(runs: MaskRuns) -> dict[str, Any]:
    """Run lengths as COCO's string, which result files mostly have.

    >>> compressed(runs_of(np.eye(3, dtype=bool)))
    {'size': [3, 3], 'counts': '013000'}
    """
    lengths = uncompressed(runs)["counts"]
    differences = [length - (lengths[i - 2] if i > 2 else 0) for i, length in enumerate(lengths)]
    return {"size": list(runs.size_hw), "counts": "".join(map(_digits, differences))}


def _digits(value: int) -> str:
    characters = []
    while True:
        digit, value = value & _VALUE, value >> _VALUE_BITS
        is_last = value == (-1 if digit & _SIGN else 0)
        characters.append(chr(_FIRST_CHARACTER + (digit if is_last else digit | _MORE)))
        if is_last:
            return "".join(characters)


def _decompressed(text: str | bytes, pixels: int) -> list[int]:
    lengths: list[int] = []
    value = shift = 0
    for code in text.encode() if isinstance(text, str) else text:
        digit = code - _FIRST_CHARACTER
        if not 0 <= digit < 64 or shift >= _VALUE_BITS * _LONGEST_DIGITS:
            raise ValueError(f"run lengths with a sign {chr(code)!r} that is not of COCO's digits")
        value |= (digit & _VALUE) << shift
        shift += _VALUE_BITS
        if digit & _MORE:
            continue
        if digit & _SIGN:
            value -= 1 << shift
        lengths.append(value + (lengths[-2] if len(lengths) > 2 else 0))
        if not 0 <= lengths[-1] <= pixels:
            raise ValueError(f"a run of {lengths[-1]:,} pixels in a frame of {pixels:,}")
        value = shift = 0
    if shift:
        raise ValueError("run lengths that end in the middle of a number")
    return lengths


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)

"""Masks as COCO's run lengths, packed into text, and back.

Runs go down the columns and start with zeros. In text each run is a number in pieces of five bits,
lowest first, a sixth bit saying that more follow; from the third run on the number is the
difference to the run two before.

Source: the format of pycocotools (``maskApi.c``, ``rleToString``).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from regard.datasets.run_lengths import run_lengths
from regard.errors import FormatError

Mask = np.ndarray[Any, np.dtype[np.bool_]]
Lengths = np.ndarray[Any, np.dtype[np.int64]]
PIXEL_LIMIT = 2**28
"""Masks of more pixels are refused."""

_FIRST = 48  # the character "0"
_MORE, _SIGN = 32, 16
_MAX_PIECES = 7  # 35 bits: more than any mask has pixels


def encode_mask(mask: Mask) -> dict[str, Any]:
    """A bool mask (height, width) as ``{"size": [height, width], "counts": text}``.

    >>> import numpy as np
    >>> encode_mask(np.array([[True, False], [True, True]]))
    {'size': [2, 2], 'counts': '021O'}
    """
    return {"size": list(mask.shape), "counts": _pack(run_lengths(mask)["counts"])}


def decode_mask(stored: Any, size_hw: tuple[int, int] | None = None) -> Mask:
    """The mask of run lengths, as text or as a list of numbers.

    Args:
        stored: ``{"size": [height, width], "counts": text or list}``.
        size_hw: Size that it must have; None takes what it says.

    Raises:
        FormatError: It is nothing of the kind, or its runs do not fill its size exactly.
    """
    (height, width), runs = read_run_lengths(stored, size_hw)
    values = np.arange(len(runs)) % 2 == 1
    return np.repeat(values, runs).reshape(width, height).T


def read_run_lengths(
    stored: Any, size_hw: tuple[int, int] | None = None
) -> tuple[tuple[int, int], Lengths]:
    """Size of a mask, and its run lengths, which fill it exactly, (runs,).

    Args:
        stored: As for `decode_mask`.
        size_hw: Size that it must have; None takes what it says.

    Raises:
        FormatError: As for `decode_mask`.
    """
    height, width = _size(stored, size_hw)
    counts = stored.get("counts")
    if isinstance(counts, (str, bytes)):
        counts = _unpack(counts)
    return (height, width), _checked(counts, height * width)


def _pack(runs: Sequence[int]) -> str:
    values = np.array(runs, np.int64)
    values[3:] -= np.array(runs, np.int64)[1:-2]
    pieces = np.zeros((len(values), _MAX_PIECES), np.uint8)
    is_there = np.zeros(pieces.shape, bool)
    goes_on = np.ones(len(values), bool)
    for place in range(_MAX_PIECES):
        is_there[:, place] = goes_on
        piece, values = values & 31, values >> 5
        goes_on = goes_on & (values != np.where(piece & _SIGN, -1, 0))
        pieces[:, place] = _FIRST + piece + _MORE * goes_on
    return pieces[is_there].tobytes().decode("ascii")


def _unpack(text: str | bytes) -> Lengths:
    """All numbers at once: a text has thousands of pieces."""
    raw = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    pieces = np.frombuffer(raw, np.uint8).astype(np.int64) - _FIRST
    if not pieces.size:
        return pieces
    ends = np.flatnonzero(pieces & _MORE == 0)
    starts = np.concatenate([[0], ends[:-1] + 1])
    if pieces.min() < 0 or pieces.max() >= 64:
        raise FormatError(f"run lengths {text[:40]!r} are not in COCO's text form")
    if not ends.size or ends[-1] != len(pieces) - 1:
        raise FormatError(f"run lengths {text[:40]!r} end in the middle of a number")
    counts = ends + 1 - starts[: len(ends)]
    if counts.max() > _MAX_PIECES:
        raise FormatError(f"run lengths {text[:40]!r} are not in COCO's text form")
    shifts = 5 * (np.arange(len(pieces)) - np.repeat(starts, counts))
    values = np.add.reduceat((pieces & 31) << shifts, starts)
    values -= np.where(pieces[ends] & _SIGN, 1 << 5 * counts, 0)
    values[1::2] = values[1::2].cumsum()  # from the fourth on a number is a difference
    values[2::2] = values[2::2].cumsum()
    return values


def _size(stored: Any, size_hw: tuple[int, int] | None) -> tuple[int, int]:
    size = stored.get("size") if isinstance(stored, dict) else None
    whole = isinstance(size, list) and len(size) == 2 and all(type(side) is int for side in size)
    if not whole or size is None or min(size) < 1 or size[0] * size[1] > PIXEL_LIMIT:
        raise FormatError(
            f"a mask has size {size!r}, expected [height, width] of at most {PIXEL_LIMIT:,} pixels"
        )
    found = (size[0], size[1])
    if size_hw is not None and found != tuple(size_hw):
        raise FormatError(f"a mask has size {found}, expected {tuple(size_hw)} as its picture")
    return found


def _checked(counts: Any, pixels: int) -> Lengths:
    lengths = counts if isinstance(counts, np.ndarray) else _listed(counts, pixels)
    if lengths is None or not lengths.size or lengths.min() < 0 or lengths.sum() != pixels:
        raise FormatError(
            f"the run lengths of a mask do not fill it: expected whole numbers from 0 on, {pixels} "
            "in sum"
        )
    return lengths


def _listed(counts: Any, pixels: int) -> Lengths | None:
    """A list of numbers that may be run lengths; None if it is something else."""
    if not isinstance(counts, list) or not all(type(count) is int for count in counts):
        return None
    return np.array(counts, np.int64) if all(0 <= count <= pixels for count in counts) else None

"""Masks as COCO's uncompressed run lengths."""

from typing import Any

import numpy as np
import numpy.typing as npt


def run_lengths(mask: npt.NDArray[np.bool_]) -> dict[str, Any]:
    """A mask (height, width) as runs down the columns, starting with zeros.

    >>> run_lengths(np.array([[True, False], [True, False]]))
    {'size': [2, 2], 'counts': [0, 2, 2]}
    """
    flat = mask.T.reshape(-1)
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    counts = np.diff(np.concatenate([[0], edges, [flat.size]])).tolist()
    if flat.size and flat[0]:
        counts = [0, *counts]
    return {"size": list(mask.shape), "counts": counts}

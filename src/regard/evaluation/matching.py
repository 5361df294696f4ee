"""Which prediction counts for which object: greedy, best score first, as COCO does it.

A prediction takes the object with which it overlaps most, among those that are free and real; only
where there is none, one that is to be ignored (a crowd, or outside of the range of sizes). Of equal
overlaps the later object wins. A crowd can be taken any number of times.
Source: cocodataset/cocoapi, cocoeval.py; youtubevos/cocoapi, ytvoseval.py, `evaluateVid`.
"""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Places = npt.NDArray[np.int64]

NOBODY = -1

_ALMOST_ONE = 1 - 1e-10


def match(overlaps: Floats, thresholds: Floats, ignored: Flags, crowds: Flags) -> Places:
    """The object that each prediction takes, (thresholds, predictions); or `NOBODY`.

    Args:
        overlaps: (predictions, objects), best prediction first.
        thresholds: Least overlaps.
        ignored: (objects,) those that do not count.
        crowds: (objects,) those that many predictions may take.
    """
    least = np.minimum(thresholds, _ALMOST_ONE)[:, None]
    every, last = np.arange(len(least)), overlaps.shape[1] - 1
    taken = np.zeros((len(least), last + 1), bool)
    found = np.full((len(least), len(overlaps)), NOBODY, np.int64)
    for place, row in enumerate(overlaps):
        free = (row >= least) & (~taken | crowds)
        if not free.any():
            continue
        real = free & ~ignored
        chosen = np.where(real.any(1, keepdims=True), real, free)
        best = last - np.where(chosen, row, -1.0)[:, ::-1].argmax(1)
        takes = chosen.any(1)
        found[takes, place] = best[takes]
        taken[every[takes], best[takes]] = True
    return found

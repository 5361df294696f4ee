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


def match(overlaps: Floats, threshold: float, ignored: Flags, crowds: Flags) -> Places:
    """The object that each prediction takes, (predictions,); `NOBODY` where it takes none.

    Args:
        overlaps: (predictions, objects), best prediction first.
        threshold: Least overlap.
        ignored: (objects,) those that do not count.
        crowds: (objects,) those that many predictions may take.
    """
    taken = np.zeros(overlaps.shape[1], bool)
    found = np.full(len(overlaps), NOBODY, np.int64)
    least = min(threshold, _ALMOST_ONE)
    for place, row in enumerate(overlaps):
        free = (row >= least) & (~taken | crowds)
        chosen = free & ~ignored if (free & ~ignored).any() else free
        if chosen.any():
            values = np.where(chosen, row, -1.0)
            best = len(values) - 1 - int(values[::-1].argmax())
            found[place], taken[best] = best, True
    return found

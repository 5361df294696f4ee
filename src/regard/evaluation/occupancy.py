"""How much of the space of parts is right: intersection over union of what they fill."""

import numpy as np
import numpy.typing as npt

from regard.errors import InputError, MissingDependency

Flags = npt.NDArray[np.bool_]


def part_ious(found: Flags, truth: Flags) -> tuple[npt.NDArray[np.float64], list[int]]:
    """Intersection over union of each true part with the found part that is matched to it.

    Parts have no order, so they are matched one to one such that the sum is largest.

    Args:
        found: (parts found, points), which points each fills.
        truth: (true parts, points).

    Returns:
        (true parts,), 0 where no part is left to match, and the index of the match of each true
        part, -1 where there is none.

    Raises:
        InputError: Different points.
        MissingDependency: scipy is not installed.
    """
    if found.ndim != 2 or truth.ndim != 2 or found.shape[1] != truth.shape[1]:
        raise InputError(
            f"found {found.shape} and true {truth.shape} parts; expected (parts, points) each, "
            "over the same points"
        )
    try:
        from scipy.optimize import linear_sum_assignment
    except ImportError as error:
        raise MissingDependency("matching needs scipy; pip install 'regard[video]'") from error
    both = truth.astype(np.float64) @ found.T.astype(np.float64)
    either = truth.sum(1)[:, None] + found.sum(1)[None] - both
    iou = both / np.maximum(either, 1)
    rows, columns = linear_sum_assignment(-iou)
    values, matched = np.zeros(len(truth)), [-1] * len(truth)
    for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
        values[row], matched[row] = iou[row, column], column
    return values, matched

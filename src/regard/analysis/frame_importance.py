"""How the importance of a video's frames is spread: on few or on many, on which.

All take the weight of each frame, (frames,), not negative; only their shares matter.
"""

import math

import numpy as np
import numpy.typing as npt

from regard.errors import InputError

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]


def shares(weights: npt.ArrayLike) -> Floats:
    """Each frame's share of the whole, (frames,), 1 in sum.

    Raises:
        InputError: No frames, or weights that are negative, not finite or all zero.
    """
    values = np.asarray(weights, dtype=np.float64)
    if values.ndim != 1 or not values.size or not np.isfinite(values).all() or values.min() < 0:
        raise InputError(
            f"frame weights of shape {values.shape} from {_range(values)}; expected one number, "
            "not negative, for each frame"
        )
    if not values.sum() > 0:
        raise InputError(f"the weights of all {values.size} frames are zero")
    return np.asarray(values / values.sum())


def by_importance(weights: npt.ArrayLike) -> Places:
    """Frames, most important first; of equal ones the earlier."""
    return np.argsort(-shares(weights), kind="stable")


def frames_to_reach(weights: npt.ArrayLike, share: float) -> int:
    """How many of the most important frames hold this share of the whole.

    >>> frames_to_reach([0.5, 0.3, 0.2], 0.75)
    2

    Args:
        weights: (frames,)
        share: 0 to 1.
    """
    summed = np.cumsum(-np.sort(-shares(weights)))
    return min(int(np.searchsorted(summed, share * summed[-1])) + 1, len(summed))


def top_frames(weights: npt.ArrayLike, share: float, at_most: int | None = None) -> Places:
    """The most important frames that hold this share together, most important first.

    Args:
        weights: (frames,)
        share: 0 to 1.
        at_most: Most frames to give; they then hold less.
    """
    count = frames_to_reach(weights, share)
    return by_importance(weights)[: count if at_most is None else min(count, at_most)]


def effective_frames(weights: npt.ArrayLike) -> float:
    """How many equally important frames would be spread as widely: exp of the entropy.

    >>> round(effective_frames([1, 1, 0, 0]), 12)
    2.0
    """
    values = shares(weights)
    there = values[values > 0]
    return math.exp(-float((there * np.log(there)).sum()))


def share_within(weights: npt.ArrayLike, chosen: npt.ArrayLike) -> float:
    """Share of the whole that the chosen frames hold.

    Args:
        weights: (frames,)
        chosen: bool (frames,)
    """
    return float(shares(weights)[np.asarray(chosen, dtype=bool)].sum())


def frames_to_cover(weights: npt.ArrayLike, chosen: npt.ArrayLike, share: float) -> int | None:
    """How many of the most important frames one must look at to see a share of the chosen ones.

    >>> frames_to_cover([0.1, 0.4, 0.3, 0.2], [True, False, True, False], 0.5)
    2

    Args:
        weights: (frames,)
        chosen: bool (frames,), such as those that an object is annotated in.
        share: Share of the chosen frames, 0 to 1.

    Returns:
        None if no frame is chosen.
    """
    ordered = np.asarray(chosen, dtype=bool)[by_importance(weights)]
    if not ordered.any():
        return None
    needed = max(1, math.ceil(share * int(ordered.sum())))
    return int(np.searchsorted(np.cumsum(ordered), needed)) + 1


def stretched(weights: npt.ArrayLike) -> Floats:
    """From 0 for the least important frame to 1 for the most; 0.5 everywhere if all are equal."""
    values = np.asarray(weights, dtype=np.float64)
    low, high = float(values.min()), float(values.max())
    return np.full_like(values, 0.5) if high == low else np.asarray((values - low) / (high - low))


def _range(values: Floats) -> str:
    return f"{values.min():g} to {values.max():g}" if values.size else "none"

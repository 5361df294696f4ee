"""Whether two runs look at different frames: Jensen-Shannon divergence and permutation tests.

For two distributions over the frames of a video, JSD = (KL(a | m) + KL(b | m)) / 2 with
m = (a + b) / 2, in bits: 0 where they are equal, 1 where they share no frame. The statistic over
many videos is its mean. Two questions, each with the permutations that answer it:

"swap": are the runs further apart than runs whose weights are exchangeable? In every frame the
    weights of a and b change places with probability 1/2 and are scaled to 1 in sum again;
    p = (1 + n_as_large) / (1 + n). This is the test of the DVIS attention pipeline, and it is no
    valid one: JSD is a sum over frames of a function that does not care which run is which, so a
    swap changes it by the scaling alone, and scaling makes it smaller. Runs that have nothing to do
    with each other get small p-values, the smaller the more videos there are.
"shift": do the runs agree on frames more than by chance? The weights of b move around the video by
    a random number of frames, which keeps how smooth they are; p = (1 + n_as_small) / (1 + n).

Sources: Lin 1991, "Divergence Measures Based on the Shannon Entropy"; Phipson and Smyth 2010,
"Permutation P-values Should Never Be Zero".
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from regard.analysis.frame_importance import Floats, shares
from regard.errors import InputError

Null = Literal["swap", "shift"]
"""What a permutation does; see the module."""

_AT_ONCE = 2**22
"""Weights that are permuted at a time."""
_ROUNDING = 1e-12
"""A permutation that changes nothing is as large as what was observed."""


@dataclass(frozen=True, kw_only=True)
class PermutationTest:
    """What came of a test."""

    divergences: tuple[float, ...]
    """Of each pair, in bits."""
    observed: float
    """Their mean."""
    null: Floats = field(repr=False)
    """Mean of each permutation, (permutations,)."""
    p_value: float
    permutations: int
    """How many were made."""
    seed: int
    kind: Null

    def quantiles(self, at: Sequence[float] = (0.05, 0.5, 0.95)) -> list[float]:
        """Quantiles of `null`."""
        found: list[float] = np.quantile(self.null, at).tolist()
        return found


def jensen_shannon(a: npt.ArrayLike, b: npt.ArrayLike) -> float:
    """Jensen-Shannon divergence of two sets of frame weights, 0 to 1 (bits).

    >>> jensen_shannon([1, 0], [0, 1])
    1.0

    Raises:
        InputError: They are not weights of the same number of frames.
    """
    first, second = shares(a), shares(b)
    if first.shape != second.shape:
        raise InputError(
            f"weights of {len(first)} frames against {len(second)}; compare runs over the same "
            "frames"
        )
    return float(_divergence(first, second))


def permutation_test(
    pairs: Sequence[tuple[npt.ArrayLike, npt.ArrayLike]],
    *,
    permutations: int,
    seed: int,
    kind: Null = "swap",
) -> PermutationTest:
    """Whether the mean divergence of pairs is what chance would make it.

    Args:
        pairs: Frame weights of the first and the second run for each video.
        permutations: How many to make; the least p-value is 1 / (permutations + 1).
        seed: Of NumPy's default generator; the same seed gives the same result.
        kind: See the module.

    Raises:
        InputError: No pairs, or pairs that do not fit.
    """
    if not pairs or permutations < 1 or kind not in get_args(Null):
        raise InputError(
            f"{len(pairs)} pairs and {permutations} permutations of kind {kind!r}; expected some, "
            f"and a kind of {get_args(Null)}"
        )
    divergences = [jensen_shannon(a, b) for a, b in pairs]
    draw = np.random.default_rng(seed)
    null = np.zeros(permutations)
    for a, b in pairs:
        null += _permuted(shares(a), shares(b), permutations, draw, kind)
    null /= len(pairs)
    observed = float(np.mean(divergences))
    is_extreme = null >= observed - _ROUNDING if kind == "swap" else null <= observed + _ROUNDING
    return PermutationTest(
        divergences=tuple(divergences),
        observed=observed,
        null=null,
        p_value=(1 + int(is_extreme.sum())) / (1 + permutations),
        permutations=permutations,
        seed=seed,
        kind=kind,
    )


def _permuted(
    a: Floats, b: Floats, permutations: int, draw: np.random.Generator, kind: Null
) -> Floats:
    found = []
    step = max(1, _AT_ONCE // len(a))
    for start in range(0, permutations, step):
        count = min(step, permutations - start)
        if kind == "swap":
            swap = draw.random((count, len(a))) < 0.5
            first, second = _scaled(np.where(swap, b, a)), _scaled(np.where(swap, a, b))
        else:
            moves = draw.integers(len(a), size=(count, 1))
            first, second = a, b[(np.arange(len(a)) + moves) % len(a)]
        found.append(_divergence(first, second))
    return np.concatenate(found)


def _scaled(weights: Floats) -> Floats:
    """Rows to 1 in sum; one that is zero (all weight went to the other) stays so."""
    total = weights.sum(-1, keepdims=True)
    return np.asarray(np.divide(weights, total, out=np.zeros_like(weights), where=total > 0))


def _divergence(a: Floats, b: Floats) -> Floats:
    middle = (a + b) / 2
    return np.asarray(np.clip((_relative(a, middle) + _relative(b, middle)) / 2, 0, 1))


def _relative(a: Floats, middle: Floats) -> Floats:
    ratio = np.divide(a, middle, out=np.ones_like(middle), where=a > 0)
    return np.asarray((a * np.log2(ratio)).sum(-1))

"""Two runs over the same videos: do the same frames count?"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from regard.analysis.divergence import PermutationTest, permutation_test
from regard.errors import SelectionError

TopEntries = Mapping[str, Mapping[str, Any]]
"""Of `top_prediction`, by video."""


def compare_runs(
    own: TopEntries, other: TopEntries, *, permutations: int, seed: int
) -> tuple[dict[str, Any], dict[str, PermutationTest]]:
    """The summary of a comparison, and its tests by name.

    Scrambled videos are compared frame by frame in their original order.

    Args:
        own: Best instance of each video of the first run.
        other: The same of the second.
        permutations: How many are made.
        seed: Of the permutations.

    Raises:
        SelectionError: No video is in both runs with the same number of frames.
    """
    both = [video for video in own if video in other]
    pairs = {
        video: (_weights(own[video]), _weights(other[video]))
        for video in both
        if own[video]["num_frames"] == other[video]["num_frames"]
    }
    if not pairs:
        raise SelectionError(
            f"no video is in both runs with weights for the same frames; they have {list(own)[:8]} "
            f"and {list(other)[:8]}"
        )
    tests = {
        kind: permutation_test(
            list(pairs.values()), permutations=permutations, seed=seed, kind=kind
        )
        for kind in ("swap", "shift")
    }
    divergences = tests["swap"].divergences
    return {
        "videos": dict(zip(pairs, map(_number, divergences), strict=True)),
        "mean_divergence_bits": _number(tests["swap"].observed),
        "of_other_lengths": [video for video in both if video not in pairs],
        "only_in_first": [video for video in own if video not in other],
        "only_in_second": [video for video in other if video not in own],
        "tests": {kind: _told(test) for kind, test in tests.items()},
    }, tests


def _told(test: PermutationTest) -> dict[str, Any]:
    at = (0.025, 0.05, 0.5, 0.95, 0.975)
    return {
        "p_value": test.p_value,
        "n_permutations": test.permutations,
        "seed": test.seed,
        "null_mean": _number(test.null.mean()),
        "null_quantiles": {
            f"{100 * q:g}": _number(value) for q, value in zip(at, test.quantiles(at), strict=True)
        },
    }


def _weights(entry: Mapping[str, Any]) -> np.ndarray:
    return np.array(entry["activation_vector_unnormalized"])


def _number(value: Any) -> float:
    return float(f"{float(value):.9g}")

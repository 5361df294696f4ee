"""Jensen-Shannon divergence and its permutation test."""

import itertools
import math
from typing import Any

import numpy as np
import pytest

from regard.analysis.divergence import Null, jensen_shannon, permutation_test
from regard.errors import InputError


def test_cases_by_hand() -> None:
    assert jensen_shannon([1, 2, 1], [2, 4, 2]) == 0
    assert jensen_shannon([1, 1, 0, 0], [0, 0, 5, 5]) == 1
    # a = (1, 0), b = (1/2, 1/2), m = (3/4, 1/4)
    by_hand = (math.log2(4 / 3) + 0.5 * math.log2(2 / 3) + 0.5 * math.log2(2)) / 2
    assert jensen_shannon([1, 0], [1, 1]) == pytest.approx(by_hand, abs=1e-15)


def test_it_is_the_square_of_scipys_distance() -> None:
    distance = pytest.importorskip("scipy.spatial.distance")
    draw = np.random.default_rng(0)
    for _ in range(20):
        a, b = draw.random(17) ** 4, draw.random(17) ** 4
        expected = distance.jensenshannon(a, b, base=2) ** 2
        assert jensen_shannon(a, b) == pytest.approx(expected, abs=1e-14)


def test_the_p_value_is_the_share_of_permutations_that_are_as_far_apart() -> None:
    """Against all 2^4 ways to swap, each as likely as another."""
    a, b = np.array([0.7, 0.1, 0.1, 0.1]), np.array([0.1, 0.2, 0.3, 0.4])
    every = []
    for swap in itertools.product([False, True], repeat=4):
        first, second = np.where(swap, b, a), np.where(swap, a, b)
        every.append(jensen_shannon(first, second))
    expected = np.mean(np.array(every) >= jensen_shannon(a, b) - 1e-12)
    found = permutation_test([(a, b)], permutations=4000, seed=1)
    deviation = math.sqrt(expected * (1 - expected) / 4000)
    assert found.p_value == pytest.approx(expected, abs=4 * deviation)
    assert set(np.round(found.null, 9)) == set(np.round(every, 9))


def test_the_number_of_permutations_is_stated_truly() -> None:
    """The script that this stands for made 10 and wrote 5000."""
    found = permutation_test([([1, 2], [2, 1])], permutations=10, seed=42)
    assert (found.permutations, len(found.null), found.seed) == (10, 10, 42)
    assert found.p_value >= 1 / 11
    assert (found.p_value * 11) == pytest.approx(round(found.p_value * 11))


def test_the_seed_decides_and_equal_runs_differ_by_nothing() -> None:
    pairs: list[tuple[Any, Any]] = [
        (np.arange(1, 40), np.arange(40, 1, -1)),
        ([1, 1, 2], [2, 1, 1]),
    ]
    first, again = (permutation_test(pairs, permutations=50, seed=3) for _ in range(2))
    assert np.array_equal(first.null, again.null)
    assert not np.array_equal(first.null, permutation_test(pairs, permutations=50, seed=4).null)
    assert first.observed == pytest.approx(np.mean(first.divergences))
    assert first.quantiles([0, 1]) == [first.null.min(), first.null.max()]
    same = permutation_test([([1, 2], [1, 2])], permutations=9, seed=0)
    assert (same.observed, same.p_value) == (0, 1)


def test_large_numbers_of_permutations_are_made_in_pieces() -> None:
    frames = np.arange(1, 50_001)
    found = permutation_test([(frames, frames[::-1])], permutations=100, seed=0)
    assert len(set(found.null)) == 100


def test_a_swap_changes_a_divergence_by_its_scaling_alone() -> None:
    """So it says little of how different the runs are."""
    draw = np.random.default_rng(0)
    a, b = draw.random(400) ** 2, draw.random(400) ** 2
    found = permutation_test([(a, b)], permutations=200, seed=7)
    assert found.null.std() < 0.02 * found.observed


def test_swaps_find_any_runs_different_and_shifts_do_not() -> None:
    """Runs whose weights are drawn alike and have nothing to do with each other, again and again.

    The p-values of a valid test are spread evenly: one of twenty is below 0.05.
    """
    draw = np.random.default_rng(5)
    found: dict[Null, list[float]] = {"swap": [], "shift": []}
    for seed in range(60):
        pairs = [(draw.random(40) ** 2, draw.random(40) ** 2) for _ in range(8)]
        for kind, values in found.items():
            test = permutation_test(pairs, permutations=99, seed=seed, kind=kind)
            values.append(test.p_value)
    assert max(found["swap"]) <= 0.05
    assert np.mean(np.array(found["shift"]) <= 0.05) <= 0.15
    assert 0.3 < np.median(found["shift"]) < 0.7


def test_shifts_tell_runs_that_agree_from_runs_that_do_not() -> None:
    place = np.arange(60)
    peak, other = np.exp(-((place - 20) ** 2) / 8), np.exp(-((place - 45) ** 2) / 8)
    agreeing = permutation_test([(peak, peak + 0.01)], kind="shift", permutations=999, seed=0)
    assert agreeing.p_value <= 0.03  # one shift of sixty changes nothing
    apart = permutation_test([(peak, other)], kind="shift", permutations=999, seed=0)
    assert apart.p_value > 0.3


def test_runs_over_other_frames_are_refused() -> None:
    with pytest.raises(InputError, match="weights of 2 frames against 3"):
        jensen_shannon([1, 2], [1, 2, 3])
    with pytest.raises(InputError, match="0 pairs"):
        permutation_test([], permutations=5, seed=0)

"""COCO's protocol for average precision and recall, over whatever is compared.

A `Comparison` is one place in which predictions of one class meet objects of that class: a picture,
a frame, or a whole video. How much they overlap is its business. From there the numbers follow:
precision at 101 recalls, for 10 thresholds, 4 ranges of size, and the best 1, 10 or 100 predictions
of each place; means leave out classes without an object.
Source: cocodataset/cocoapi, cocoeval.py, `accumulate` and `summarize`.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from regard.evaluation.average_precision import NAMES
from regard.evaluation.matching import NOBODY, Flags, Floats, match

THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0.0, 1.0, 101)
BEST = (1, 10, 100)
LARGEST_AREA_PX = 1e5**2


@dataclass(frozen=True, kw_only=True, eq=False)
class Comparison:
    """Predictions and objects of one class in one place."""

    category_id: int
    scores: Floats
    """(predictions,)"""
    areas_px: Floats
    """(predictions,)"""
    true_areas_px: Floats
    """(objects,)"""
    crowds: Flags
    """(objects,)"""
    overlaps: Floats
    """(predictions, objects), 0 to 1."""


@dataclass(frozen=True, kw_only=True)
class Numbers:
    """COCO's twelve numbers, over all classes and for each."""

    values: Mapping[str, float]
    """By the names in `regard.evaluation.average_precision.NAMES`; NaN where there is no object."""
    by_category: Mapping[int, Mapping[str, float]]
    """The same for each class."""


def measure(
    comparisons: Iterable[Comparison], category_ids: Iterable[int], area_limits_px: Sequence[float]
) -> Numbers:
    """The numbers of all comparisons.

    Args:
        comparisons: Each is looked at once, so they may be made on the way.
        category_ids: Classes of the data set.
        area_limits_px: Where small objects end, and where large ones begin.
    """
    small, large = area_limits_px
    ranges = [(0, LARGEST_AREA_PX), (0, small), (small, large), (large, LARGEST_AREA_PX)]
    decided: dict[int, list[list[_Decided]]] = {c: [[] for _ in ranges] for c in category_ids}
    for comparison in comparisons:
        for bucket, limits in zip(decided[comparison.category_id], ranges, strict=True):
            bucket.append(_decide(comparison, limits))
    by_category = {c: _curves(buckets) for c, buckets in sorted(decided.items())}
    return Numbers(
        values=_twelve(list(by_category.values())),
        by_category={c: _twelve([curves]) for c, curves in by_category.items()},
    )


@dataclass(frozen=True, eq=False)
class _Decided:
    """What became of one comparison in one range of sizes; predictions best first."""

    scores: Floats
    right: Flags  # (thresholds, predictions)
    wrong: Flags
    objects: int


@dataclass(frozen=True, eq=False)
class _Curves:
    """Of one class: NaN where it has no object."""

    precision: Floats  # (ranges, thresholds, recalls), of the best 100
    recall: Floats  # (ranges, best, thresholds)


def _decide(comparison: Comparison, limits_px: tuple[float, float]) -> _Decided:
    order = np.argsort(-comparison.scores, kind="stable")[: BEST[-1]]
    ignored = comparison.crowds | _outside(comparison.true_areas_px, limits_px)
    outside = _outside(comparison.areas_px[order], limits_px)
    overlaps = comparison.overlaps[order]
    taken = match(overlaps, THRESHOLDS, ignored, comparison.crowds)
    alone = taken == NOBODY
    of_ignored = ~alone & np.append(ignored, False)[taken]
    return _Decided(
        scores=comparison.scores[order],
        right=~alone & ~of_ignored,
        wrong=alone & ~outside,
        objects=int((~ignored).sum()),
    )


def _outside(areas: Floats, limits: tuple[float, float]) -> Flags:
    return np.asarray((areas < limits[0]) | (areas > limits[1]))


def _curves(buckets: Sequence[Sequence[_Decided]]) -> _Curves:
    precision = np.full((len(buckets), len(THRESHOLDS), len(RECALLS)), math.nan)
    recall = np.full((len(buckets), len(BEST), len(THRESHOLDS)), math.nan)
    for place, bucket in enumerate(buckets):
        objects = sum(each.objects for each in bucket)
        if not objects:
            continue
        for number, best in enumerate(BEST):
            right, wrong = _ranked(bucket, best)
            recall[place, number] = right[:, -1] / objects if right.shape[1] else 0.0
        for threshold in range(len(THRESHOLDS)):
            precision[place, threshold] = _at_recalls(right[threshold], wrong[threshold], objects)
    return _Curves(precision, recall)


def _ranked(bucket: Sequence[_Decided], best: int) -> tuple[Floats, Floats]:
    """How many are right, and wrong, among the first predictions, (thresholds, predictions)."""
    scores = np.concatenate([each.scores[:best] for each in bucket])
    order = np.argsort(-scores, kind="stable")
    right = np.concatenate([each.right[:, :best] for each in bucket], axis=1)[:, order]
    wrong = np.concatenate([each.wrong[:, :best] for each in bucket], axis=1)[:, order]
    return right.cumsum(1).astype(np.float64), wrong.cumsum(1).astype(np.float64)


def _at_recalls(right: Floats, wrong: Floats, objects: int) -> Floats:
    """Precision at each of `RECALLS`: the best that is reached at this recall or above."""
    precision = right / (right + wrong + np.spacing(1))
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    places = np.searchsorted(right / objects, RECALLS, side="left")
    return np.append(envelope, 0.0)[np.minimum(places, len(envelope))]


def _twelve(curves: Sequence[_Curves]) -> dict[str, float]:
    precision = np.stack([each.precision for each in curves])  # (classes, ranges, thresholds, ...)
    recall = np.stack([each.recall for each in curves])  # (classes, ranges, best, thresholds)
    at_half, at_three_quarters = 0, 5
    numbers = [
        precision[:, 0],
        precision[:, 0, at_half],
        precision[:, 0, at_three_quarters],
        *(precision[:, place] for place in (1, 2, 3)),
        *(recall[:, 0, number] for number in range(len(BEST))),
        *(recall[:, place, -1] for place in (1, 2, 3)),
    ]
    return dict(zip(NAMES, map(_mean, numbers), strict=True))


def _mean(values: Floats) -> float:
    there = values[~np.isnan(values)]
    return float(there.mean()) if there.size else math.nan

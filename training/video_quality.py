"""How good a model is on clips that it has not seen: YTVIS average precision."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

Masks = np.ndarray[Any, np.dtype[np.bool_]]

_THRESHOLDS = np.linspace(0.5, 0.95, 10)
_RECALLS = np.linspace(0, 1, 101)


@dataclass(frozen=True, kw_only=True)
class Instance:
    """An instance of a clip, found or true."""

    clip: int
    label: int
    masks: Masks
    """(frames, height, width)."""
    score: float = 1.0


def average_precision(found: Iterable[Instance], true: Iterable[Instance]) -> dict[str, float]:
    """AP over thresholds 0.5 to 0.95, and at 0.5 and 0.75; from 0 to 100, mean of classes."""
    found, true = list(found), list(true)
    by_threshold = np.zeros(len(_THRESHOLDS))
    labels = sorted({instance.label for instance in true})
    for label in labels:
        of_label = sorted((one for one in found if one.label == label), key=lambda one: -one.score)
        wanted = [one for one in true if one.label == label]
        overlaps = np.array([[overlap(one, other) for other in wanted] for one in of_label])
        for place, threshold in enumerate(_THRESHOLDS):
            by_threshold[place] += _precision(overlaps, len(wanted), threshold)
    by_threshold *= 100 / max(1, len(labels))
    return {
        "AP": float(by_threshold.mean()),
        "AP50": float(by_threshold[0]),
        "AP75": float(by_threshold[5]),
    }


def overlap(found: Instance, true: Instance) -> float:
    """Intersection over union in space and time."""
    if found.clip != true.clip:
        return 0.0
    union = (found.masks | true.masks).sum()
    return float((found.masks & true.masks).sum() / union) if union else 0.0


def _precision(overlaps: Masks, wanted: int, threshold: float) -> float:
    """Precision averaged over recalls, for one class and threshold."""
    if not len(overlaps):
        return 0.0
    taken = np.zeros(wanted, bool)
    right = np.zeros(len(overlaps), bool)
    for index, row in enumerate(overlaps):
        free = np.where(taken, -1.0, row)
        best = int(free.argmax())
        if free[best] >= threshold:
            taken[best] = right[index] = True
    hits = right.cumsum()
    precision = hits / np.arange(1, len(hits) + 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    places = np.searchsorted(hits / wanted, _RECALLS, side="left")
    return float(np.append(precision, 0.0)[places].mean())

"""Panoptic quality: how well segments match those of the ground truth.

PQ = sum of IoU over matched pairs / (matches + wrong / 2 + missed / 2) = SQ * RQ, for each class,
then averaged over classes. Two segments of one class match if their IoU is above 0.5.
Source: Kirillov et al. 2019, "Panoptic Segmentation", section 4; crowds and unlabelled pixels as
in cocodataset/panopticapi.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from regard.datasets.coco_panoptic import Ids, LabelledSegment, PanopticFile
from regard.errors import FormatError

_UNLABELLED = 0
_MATCH = 0.5


@dataclass(frozen=True, kw_only=True)
class ClassQuality:
    """Panoptic quality of one class."""

    category_id: int
    matched: int
    wrong: int
    missed: int
    iou_sum: float

    @property
    def pq(self) -> float:
        """Panoptic quality, 0 to 1."""
        return self.iou_sum / (self.matched + self.wrong / 2 + self.missed / 2)

    @property
    def sq(self) -> float:
        """Segmentation quality: mean IoU of matched segments; 0 without any."""
        return self.iou_sum / self.matched if self.matched else 0.0

    @property
    def rq(self) -> float:
        """Recognition quality: F1 of matching."""
        return self.matched / (self.matched + self.wrong / 2 + self.missed / 2)


@dataclass(frozen=True, kw_only=True)
class PanopticQuality:
    """Panoptic quality of a set of pictures."""

    classes: tuple[ClassQuality, ...]
    """Of the classes that occur, in the ground truth or in the predictions."""
    images: int
    """How many pictures were compared."""

    def mean(self, category_ids: Iterable[int] | None = None) -> tuple[float, float, float]:
        """PQ, SQ and RQ averaged over classes; NaN where none occurs.

        Args:
            category_ids: Classes to average over, such as the things; None for all.
        """
        wanted = None if category_ids is None else set(category_ids)
        rows = [c for c in self.classes if wanted is None or c.category_id in wanted]
        if not rows:
            return (float("nan"),) * 3
        pq, sq, rq = (sum(values) / len(rows) for values in zip(*map(_three, rows), strict=True))
        return pq, sq, rq


def panoptic_quality(predictions: PanopticFile, truth: PanopticFile) -> PanopticQuality:
    """Panoptic quality of predictions, for every picture of the ground truth.

    Raises:
        FormatError: A picture is missing, is of another size, a category is unknown, or a file is
            damaged.
    """
    missing = [i for i in truth.images if i not in predictions.images]
    if missing:
        raise FormatError(
            f"{predictions.path} lacks {len(missing)} of the {len(truth.images)} images of "
            f"{truth.path}, such as {missing[0]!r}; predict them all, or cut the ground truth"
        )
    _require_known_classes(predictions, truth)
    tally = _Tally()
    for image_id, true in truth.images.items():
        predicted = predictions.images[image_id]
        ids, true_ids = predicted.ids(), true.ids()
        if ids.shape != true_ids.shape:
            raise FormatError(
                f"{predicted.png} is {ids.shape[1]} x {ids.shape[0]} px, the ground truth "
                f"{true_ids.shape[1]} x {true_ids.shape[0]}; predict on the original size"
            )
        tally.add(ids, predicted.segments, true_ids, true.segments)
    return tally.quality(len(truth.images))


def _require_known_classes(predictions: PanopticFile, truth: PanopticFile) -> None:
    if not truth.categories:
        return  # the file does not say which there are
    for image in predictions.images.values():
        for segment in image.segments:
            if segment.category_id not in truth.categories:
                raise FormatError(
                    f"{predictions.path}: segment {segment.id} is of category "
                    f"{segment.category_id}, which {truth.path} does not have; expected one of "
                    f"{', '.join(map(str, sorted(truth.categories)))}"
                )


class _Tally:
    def __init__(self) -> None:
        self.iou: defaultdict[int, float] = defaultdict(float)
        self.matched: Counter[int] = Counter()
        self.wrong: Counter[int] = Counter()
        self.missed: Counter[int] = Counter()

    def add(
        self,
        ids: Ids,
        segments: Sequence[LabelledSegment],
        true_ids: Ids,
        true_segments: Sequence[LabelledSegment],
    ) -> None:
        """Count one picture."""
        shared = _shared(true_ids, ids)
        area: Counter[int] = Counter()
        true_area: Counter[int] = Counter()
        for (true_id, own_id), pixels in shared.items():
            true_area[true_id] += pixels
            area[own_id] += pixels
        met: set[int] = set()
        for true in true_segments:
            matched = False
            for own in segments:
                pixels = shared.get((true.id, own.id), 0)
                if true.is_crowd or true.category_id != own.category_id or not pixels:
                    continue
                unlabelled = shared.get((_UNLABELLED, own.id), 0)
                iou = pixels / (area[own.id] + true_area[true.id] - pixels - unlabelled)
                if iou > _MATCH:  # above a half, there is one match at most
                    self.matched[own.category_id] += 1
                    self.iou[own.category_id] += iou
                    met.add(own.id)
                    matched = True
            if not matched and not true.is_crowd:
                self.missed[true.category_id] += 1
        crowds = {s.category_id: s.id for s in true_segments if s.is_crowd}
        for own in segments:
            if own.id in met:
                continue
            excused = shared.get((_UNLABELLED, own.id), 0)
            if own.category_id in crowds:
                excused += shared.get((crowds[own.category_id], own.id), 0)
            if excused / area[own.id] <= _MATCH:
                self.wrong[own.category_id] += 1

    def quality(self, images: int) -> PanopticQuality:
        """What was counted."""
        found = sorted({*self.matched, *self.wrong, *self.missed})
        classes = tuple(
            ClassQuality(
                category_id=c,
                matched=self.matched[c],
                wrong=self.wrong[c],
                missed=self.missed[c],
                iou_sum=self.iou[c],
            )
            for c in found
        )
        return PanopticQuality(classes=classes, images=images)


def _shared(true_ids: Ids, ids: Ids) -> dict[tuple[int, int], int]:
    """Pixels that each pair of segments shares."""
    base = int(ids.max()) + 1
    pairs, pixels = np.unique(true_ids * base + ids, return_counts=True)
    return {divmod(int(pair), base): int(count) for pair, count in zip(pairs, pixels, strict=True)}


def _three(row: ClassQuality) -> tuple[float, float, float]:
    return row.pq, row.sq, row.rq

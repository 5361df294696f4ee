"""What a model loses by its masks, its classes and its scores: average precision after swaps.

One part of every prediction at a time is replaced, by the ground truth or by what another run
predicted, and average precision is measured again; the difference is what this part costs.

A: masks of the object that a prediction overlaps most. A2: masks of the other run.
B: class of that object. B2: classes of the other run.
C: scores of the other run; without one, the overlap with the object if the class is right, else 0.
D: classes and scores of the other run.

Predictions of two runs belong together by the rank of their score within a video; those beyond the
shorter list stay as they are. Videos whose frames are in another order in the other run (scrambled
ones) are matched by the names of their frames. In a video with one object every prediction is of
that object, however little they overlap; predictions of videos without objects are left out of A
and B.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from regard.datasets.ytvis_tracks import MaskTrack, TruthVideo, VideoId, YtvisTruth
from regard.errors import FormatError
from regard.evaluation.matching import Floats
from regard.evaluation.track_overlap import compare
from regard.evaluation.track_precision import video_precision

UNCHANGED, REFERENCE = "unchanged", "reference"

SWAPS = {
    UNCHANGED: "unchanged",
    "A": "A: annotated masks",
    "A2": "A2: masks of the other run",
    "B": "B: annotated classes",
    "B2": "B2: classes of the other run",
    "C": "C: scores of the other run, or deserved ones",
    "D": "D: classes and scores of the other run",
    REFERENCE: "the other run itself",
}
"""What each swap is, for people."""


@dataclass(frozen=True, kw_only=True)
class SwapTest:
    """Average precision over videos with some part of all predictions replaced."""

    precision: Mapping[str, float]
    """By the letters of the module; "unchanged" is the run itself, "reference" the other one."""

    def gains(self) -> dict[str, float]:
        """What each swap adds to average precision."""
        own = self.precision[UNCHANGED]
        others = {name: ap for name, ap in self.precision.items() if name != UNCHANGED}
        return {name: ap - own for name, ap in others.items()}


def swap_test(
    tracks: Sequence[MaskTrack],
    truth: YtvisTruth,
    reference: Sequence[MaskTrack] | None = None,
    reference_truth: YtvisTruth | None = None,
) -> SwapTest:
    """Measure all swaps that the input allows.

    Args:
        tracks: Predictions.
        truth: Annotations of their videos.
        reference: Predictions of the other run.
        reference_truth: Annotations that these belong to, where that is another file, such as the
            data set before it was scrambled.

    Raises:
        FormatError: A mask that is none; videos of the runs that have other frames.
    """
    changed: dict[str, Sequence[MaskTrack]] = {UNCHANGED: tracks}
    changed |= _by_truth(tracks, truth, with_scores=reference is None)
    if reference is not None:
        there = _reordered(reference, reference_truth or truth, truth)
        changed[REFERENCE] = there
        changed |= _by_reference(tracks, there)
    return SwapTest(precision={name: _precision(of, truth) for name, of in changed.items()})


def _precision(tracks: Sequence[MaskTrack], truth: YtvisTruth) -> float:
    compared = [
        compare([t for t in tracks if t.video_id == v.id], truth.of(v.id), len(v.file_names))
        for v in truth.videos.values()
    ]
    return video_precision(compared, truth.categories).values["AP"]


def _by_truth(
    tracks: Sequence[MaskTrack], truth: YtvisTruth, *, with_scores: bool
) -> dict[str, list[MaskTrack]]:
    masks, classes, scores = [], [], []
    for video in truth.videos.values():
        own, objects = [t for t in tracks if t.video_id == video.id], truth.of(video.id)
        overlaps = compare(own, objects, len(video.file_names)).of_video()
        scores += [_scored(t, row, objects) for t, row in zip(own, overlaps, strict=True)]
        if not objects:
            continue
        best = [objects[place] for place in overlaps.argmax(1)]
        masks += [replace(t, segmentations=o.segmentations) for t, o in zip(own, best, strict=True)]
        classes += [replace(t, category_id=o.category_id) for t, o in zip(own, best, strict=True)]
    return {"A": masks, "B": classes} | ({"C": scores} if with_scores else {})


def _scored(track: MaskTrack, overlaps: Floats, objects: Sequence[MaskTrack]) -> MaskTrack:
    """A track with the score that it deserves."""
    if not objects:
        return replace(track, score=0.0)
    best = int(np.argmax(overlaps))
    is_right = objects[best].category_id == track.category_id
    return replace(track, score=float(overlaps[best]) if is_right else 0.0)


def _by_reference(
    tracks: Sequence[MaskTrack], reference: Sequence[MaskTrack]
) -> dict[str, list[MaskTrack]]:
    pairs = _ranked(tracks, reference)
    return {
        "A2": [t if r is None else replace(t, segmentations=r.segmentations) for t, r in pairs],
        "B2": [t if r is None else replace(t, category_id=r.category_id) for t, r in pairs],
        "C": [t if r is None else replace(t, score=r.score) for t, r in pairs],
        "D": [
            t if r is None else replace(t, category_id=r.category_id, score=r.score)
            for t, r in pairs
        ],
    }


def _ranked(
    tracks: Sequence[MaskTrack], reference: Sequence[MaskTrack]
) -> list[tuple[MaskTrack, MaskTrack | None]]:
    """Each track with the one of the same rank in the same video; None beyond the last."""
    ranks: dict[VideoId, list[MaskTrack]] = {}
    for track in sorted(reference, key=lambda t: -t.score):
        ranks.setdefault(track.video_id, []).append(track)
    left = {video: iter(of) for video, of in ranks.items()}
    nobody: list[MaskTrack] = []
    ordered = sorted(tracks, key=lambda t: -t.score)
    return [(track, next(left.get(track.video_id, iter(nobody)), None)) for track in ordered]


def _reordered(tracks: Sequence[MaskTrack], own: YtvisTruth, wanted: YtvisTruth) -> list[MaskTrack]:
    """Tracks of one data set with their frames in the order of another."""
    places: dict[VideoId, list[int]] = {}
    for video_id, video in wanted.videos.items():
        if video_id in own.videos:
            places[video_id] = _places(own.videos[video_id], video)
    return [
        replace(t, segmentations=[t.segmentations[place] for place in places[t.video_id]])
        for t in tracks
        if t.video_id in places
    ]


def _places(own: TruthVideo, wanted: TruthVideo) -> list[int]:
    if own.file_names == wanted.file_names:
        return list(range(len(own.file_names)))
    place = {name: number for number, name in enumerate(own.file_names)}
    if len(place) != len(own.file_names) or set(place) != set(wanted.file_names):
        raise FormatError(
            f"video {wanted.id!r} has other frames in the two runs, such as {own.file_names[0]!r} "
            f"and {wanted.file_names[0]!r}; compare runs over the same frames, in any order"
        )
    return [place[name] for name in wanted.file_names]

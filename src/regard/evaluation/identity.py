"""Whether predicted tracks keep to their objects: identity switches, MOTA, MOTP, IDF1.

In each frame objects and tracks are matched one to one where their masks overlap by half: first
those that were matched in the frame before, then the others by the largest sum of overlaps. An
identity switch is an object that is matched to another track than the last time. Classes do not
count here: a fish that is called an eel is still followed.
Sources: Bernardin and Stiefelhagen 2008, "Evaluating Multiple Object Tracking Performance: The
CLEAR MOT Metrics"; Ristani et al. 2016, "Performance Measures and a Data Set for Multi-Target,
Multi-Camera Tracking" (IDF1).
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from regard.datasets.ytvis_tracks import MaskTrack
from regard.errors import MissingDependency
from regard.evaluation.matching import Floats, Places
from regard.evaluation.track_overlap import TrackOverlap

LEAST_OVERLAP = 0.5


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Counts over frames of objects and tracks."""

    objects: int = 0
    """Masks of objects, over all frames."""
    predictions: int = 0
    """Masks of tracks, over all frames."""
    matched: int = 0
    overlap_sum: float = 0.0
    """Of what is matched."""
    switches: int = 0
    """Times that an object was matched to another track than before."""
    fragments: int = 0
    """Times that an object was matched again after frames in which it was there, but was not."""
    kept: int = 0
    """Masks matched under the best assignment of whole tracks to whole objects."""

    @property
    def mota(self) -> float:
        """1 minus the share of misses, wrong predictions and switches; can be negative."""
        missed, wrong = self.objects - self.matched, self.predictions - self.matched
        return 1 - (missed + wrong + self.switches) / self.objects if self.objects else math.nan

    @property
    def motp(self) -> float:
        """Mean overlap of what is matched."""
        return self.overlap_sum / self.matched if self.matched else math.nan

    @property
    def idf1(self) -> float:
        """Share of masks that whole tracks and whole objects have in common, as F1."""
        both = self.objects + self.predictions
        return 2 * self.kept / both if both else math.nan

    def __add__(self, other: Self) -> "Identity":
        names = self.__dataclass_fields__
        return Identity(**{name: getattr(self, name) + getattr(other, name) for name in names})


def confident(tracks: Iterable[MaskTrack], threshold: float) -> list[MaskTrack]:
    """Tracks that a person would look at: of the best class of each row, scored high enough."""
    best: dict[tuple[object, object], MaskTrack] = {}
    for number, track in enumerate(tracks):
        key = (track.video_id, ("no row", number) if track.row is None else track.row)
        if track.score >= threshold and (key not in best or best[key].score < track.score):
            best[key] = track
    return list(best.values())


def identity(videos: Iterable[TrackOverlap]) -> Identity:
    """Counts over videos. Crowds count as objects like others.

    Raises:
        MissingDependency: SciPy is not installed.
    """
    return sum((_of_video(video) for video in videos), Identity())


def _of_video(video: TrackOverlap) -> Identity:
    overlaps = video.of_frames().transpose(2, 1, 0)  # (frames, objects, tracks)
    there = video.true_areas_px.T > 0  # (frames, objects)
    last: dict[int, int] = {}  # the track that each object was matched to last
    before: dict[int, int] = {}  # ... in the frame before
    lost: set[int] = set()
    matched = switches = fragments = 0
    overlap_sum = 0.0
    for frame, values in enumerate(overlaps):
        now = _matches(values, before)
        for thing, track in now.items():
            switches += thing in last and last[thing] != track
            fragments += thing in lost
            overlap_sum += values[thing, track]
        matched += len(now)
        lost -= now.keys()
        lost |= {thing for thing in last if there[frame, thing] and thing not in now}
        last |= now
        before = now
    return Identity(
        objects=int(there.sum()),
        predictions=int((video.areas_px > 0).sum()),
        matched=matched,
        overlap_sum=overlap_sum,
        switches=switches,
        fragments=fragments,
        kept=_kept(overlaps),
    )


def _matches(values: Floats, before: dict[int, int]) -> dict[int, int]:
    """The track of each object in a frame; those of the frame before have the first right."""
    found = {o: t for o, t in before.items() if values[o, t] >= LEAST_OVERLAP}
    free = values.copy()
    free[list(found)] = 0
    free[:, list(found.values())] = 0
    free[free < LEAST_OVERLAP] = 0
    pairs = zip(*assigned(free), strict=True)
    return found | {int(o): int(t) for o, t in pairs if free[o, t] > 0}


def _kept(overlaps: Floats) -> int:
    shared = (overlaps >= LEAST_OVERLAP).sum(0).astype(np.float64)
    return int(shared[assigned(shared)].sum())


def assigned(values: Floats) -> tuple[Places, Places]:
    """Rows and columns, one to one, with the largest sum of values (rows, columns).

    Raises:
        MissingDependency: SciPy is not installed.
    """
    try:
        from scipy.optimize import linear_sum_assignment
    except ImportError as error:
        raise MissingDependency(
            "following identities needs SciPy: pip install 'regard[evaluate]'"
        ) from error
    rows, columns = linear_sum_assignment(values, maximize=True)
    return rows, columns


def without(video: TrackOverlap, chosen: Sequence[MaskTrack]) -> TrackOverlap:
    """The comparison of a video with the chosen ones of its found tracks only."""
    kept = {id(track) for track in chosen}
    places = np.array([i for i, t in enumerate(video.found) if id(t) in kept], dtype=np.int64)
    return TrackOverlap(
        found=[video.found[i] for i in places],
        true=video.true,
        shared_px=video.shared_px[places],
        areas_px=video.areas_px[places],
        true_areas_px=video.true_areas_px,
        mean_areas_px=video.mean_areas_px[places],
        true_mean_areas_px=video.true_mean_areas_px,
    )

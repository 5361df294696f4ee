"""How steadily tracks follow the objects that are theirs, over time.

Tracks and objects of a video are paired one to one by the largest sum of their mean overlaps over
frames, in which frames without either count as agreement. For each pair: how well it overlaps, how
much that wavers, in how many of the object's frames the track is there, how often it breaks off.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from regard.datasets.ytvis_tracks import VideoId
from regard.evaluation.identity import assigned
from regard.evaluation.matching import Flags
from regard.evaluation.track_overlap import TrackOverlap


@dataclass(frozen=True, kw_only=True)
class Pair:
    """An object and the track that is its."""

    video_id: VideoId
    object: int
    """Place among the objects of the video."""
    score: float
    """Of the track."""
    overlap: float
    """Mean over frames of the intersection over union; 1 where both are absent."""
    stability: float
    """1 minus the standard deviation of that over frames; higher is steadier."""
    completeness: float
    """Share of the object's frames in which the track has a mask."""
    breaks: int
    """Times that the track has no mask right after a frame with one."""
    frames: int
    """Of the video."""


@dataclass(frozen=True, kw_only=True)
class Consistency:
    """Means over pairs; NaN without any."""

    pairs: tuple[Pair, ...]

    def mean(self, name: str) -> float:
        """Mean of one of the numbers of `Pair`."""
        values = [getattr(pair, name) for pair in self.pairs]
        return float(np.mean(values)) if values else math.nan


def consistency(videos: Iterable[TrackOverlap]) -> Consistency:
    """Pairs of all videos.

    Raises:
        MissingDependency: SciPy is not installed.
    """
    return Consistency(pairs=tuple(pair for video in videos for pair in _pairs(video)))


def _pairs(video: TrackOverlap) -> Iterator[Pair]:
    agreed = video.unions_px == 0
    overlaps = np.where(agreed, 1.0, video.of_frames())
    means = video.of_video("frame mean")
    for place, thing in zip(*assigned(means), strict=True):
        values = overlaps[place, thing]
        there, true = video.areas_px[place] > 0, video.true_areas_px[thing] > 0
        yield Pair(
            video_id=video.true[thing].video_id,
            object=int(thing),
            score=video.found[place].score,
            overlap=float(values.mean()),
            stability=1 - float(values.std()),
            completeness=float((there & true).sum() / true.sum()) if true.any() else math.nan,
            breaks=_breaks(there),
            frames=len(values),
        )


def _breaks(there: Flags) -> int:
    return int((there[:-1] & ~there[1:]).sum())

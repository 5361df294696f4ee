"""Everything that a result file of a video data set is measured by, in one call."""

import dataclasses
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from regard.datasets.ytvis_tracks import YtvisTruth, read_results, read_truth
from regard.evaluation.coco_protocol import Numbers
from regard.evaluation.consistency import Consistency, consistency
from regard.evaluation.identity import Identity, confident, identity, without
from regard.evaluation.track_overlap import compare
from regard.evaluation.track_precision import frame_precision, video_precision

DEFAULT_THRESHOLD = 0.3
"""Score from which on a predicted track counts for identities and consistency."""

CONSISTENCY_NAMES = ("overlap", "stability", "completeness", "breaks")
"""Numbers of `Pair` that have a mean."""


@dataclass(frozen=True, kw_only=True)
class VideoEvaluation:
    """How good predicted tracks are against annotated ones."""

    videos: int
    results: int
    other_classes: int
    """Results of classes that the annotations do not list; they count for no average precision."""
    categories: Mapping[int, str]
    video: Numbers
    """Over whole videos, as the official YouTube-VIS evaluation."""
    frame_mean: Numbers
    """Over whole videos, overlap being the mean over frames; see `track_overlap`."""
    frame: Numbers
    """Frame by frame."""
    threshold: float
    """Least score of the tracks below."""
    identity: Identity
    consistency: Consistency
    best_scores: Mapping[int | str, float]
    """Score of the best result of each video; 0 where there is none."""

    def to_json(self) -> dict[str, Any]:
        """All numbers; null where there is none."""
        kinds = {"video": self.video, "frame_mean": self.frame_mean, "frame": self.frame}
        return {
            "videos": self.videos,
            "results": self.results,
            "results_of_other_classes": self.other_classes,
            "average_precision": {name: _told(kind.values) for name, kind in kinds.items()},
            "classes": [
                {"category_id": number, "category": name}
                | {kind: _told(of.by_category[number]) for kind, of in kinds.items()}
                for number, name in self.categories.items()
            ],
            "threshold": self.threshold,
            "identity": dataclasses.asdict(self.identity)
            | _told({name: getattr(self.identity, name) for name in ("mota", "motp", "idf1")}),
            "consistency": _told({name: self.consistency.mean(name) for name in CONSISTENCY_NAMES}),
            "best_scores": {str(video): score for video, score in self.best_scores.items()},
            "pairs": [_told(dataclasses.asdict(pair)) for pair in self.consistency.pairs],
        }


def evaluate_videos(
    results: str | os.PathLike[str] | Sequence[Mapping[str, Any]],
    annotations: str | os.PathLike[str] | YtvisTruth,
    *,
    threshold: float = DEFAULT_THRESHOLD,
) -> VideoEvaluation:
    """Measure the results of a video data set.

    Args:
        results: A YTVIS result file, or its rows.
        annotations: The annotated YTVIS file.
        threshold: Least score of a track that counts for identities and consistency; average
            precision takes all.

    Raises:
        FormatError: A file that is damaged, or files that do not fit each other.
        MissingDependency: SciPy is not installed.
    """
    truth = annotations if isinstance(annotations, YtvisTruth) else read_truth(annotations)
    tracks = read_results(results, truth)
    compared = [
        compare(
            [track for track in tracks if track.video_id == video.id],
            truth.of(video.id),
            len(video.file_names),
        )
        for video in truth.videos.values()
    ]
    chosen = confident(tracks, threshold)
    looked_at = [without(video, chosen) for video in compared]
    return VideoEvaluation(
        videos=len(truth.videos),
        results=len(tracks),
        other_classes=sum(track.category_id not in truth.categories for track in tracks),
        categories=truth.categories,
        video=video_precision(compared, truth.categories),
        frame_mean=video_precision(compared, truth.categories, "frame mean"),
        frame=frame_precision(compared, truth.categories),
        threshold=threshold,
        identity=identity(looked_at),
        consistency=consistency(looked_at),
        best_scores={
            video: max((track.score for track in tracks if track.video_id == video), default=0.0)
            for video in truth.videos
        },
    )


def _told(values: Mapping[str, Any]) -> dict[str, Any]:
    """As JSON, which has no NaN."""
    return {
        name: None if isinstance(value, float) and math.isnan(value) else value
        for name, value in values.items()
    }

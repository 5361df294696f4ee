"""Average precision of tracks over videos, as the YouTube-VIS evaluation measures it, or by frame.

Over videos a track counts as right if its masks overlap those of an object of its class over all
frames; small objects have a mean area below 128² pixels, large ones above 256². By frame each mask
counts for itself, as in a data set of pictures, with COCO's limits 32² and 96².
Source: youtubevos/cocoapi, ytvoseval.py. One difference: an annotation with id 0, which the
official code takes for "no match", can be matched here.
"""

from collections.abc import Iterable, Iterator

import numpy as np

from regard.evaluation.coco_protocol import Comparison, Numbers, measure
from regard.evaluation.track_overlap import Overlap, TrackOverlap

VIDEO_AREA_LIMITS_PX = (128.0**2, 256.0**2)
FRAME_AREA_LIMITS_PX = (32.0**2, 96.0**2)


def video_precision(
    videos: Iterable[TrackOverlap], category_ids: Iterable[int], overlap: Overlap = "volume"
) -> Numbers:
    """COCO's numbers with videos in the place of pictures.

    Args:
        videos: Of every annotated video, also those without a prediction.
        category_ids: Classes of the data set; predictions of other classes do not count.
        overlap: "volume" as the official evaluation, or "frame mean".
    """
    known = set(category_ids)
    comparisons = (each for video in videos for each in _of_video(video, known, overlap))
    return measure(comparisons, known, VIDEO_AREA_LIMITS_PX)


def frame_precision(videos: Iterable[TrackOverlap], category_ids: Iterable[int]) -> Numbers:
    """COCO's numbers with each frame as a picture of its own."""
    known = set(category_ids)
    comparisons = (each for video in videos for each in _of_frames(video, known))
    return measure(comparisons, known, FRAME_AREA_LIMITS_PX)


def _of_video(video: TrackOverlap, known: set[int], overlap: Overlap) -> Iterator[Comparison]:
    overlaps = video.of_video(overlap)
    for category in sorted(known):
        found, true = _of_class(video, category)
        if len(found) or len(true):
            yield Comparison(
                category_id=category,
                scores=np.array([video.found[i].score for i in found]),
                areas_px=video.mean_areas_px[found],
                true_areas_px=video.true_mean_areas_px[true],
                crowds=np.array([video.true[i].is_crowd for i in true], dtype=bool),
                overlaps=overlaps[np.ix_(found, true)],
            )


def _of_frames(video: TrackOverlap, known: set[int]) -> Iterator[Comparison]:
    overlaps = video.of_frames()
    for category in sorted(known):
        all_found, all_true = _of_class(video, category)
        for frame in range(overlaps.shape[-1]):
            found = all_found[video.areas_px[all_found, frame] > 0]
            true = all_true[video.true_areas_px[all_true, frame] > 0]
            if len(found) or len(true):
                yield Comparison(
                    category_id=category,
                    scores=np.array([video.found[i].score for i in found]),
                    areas_px=video.areas_px[found, frame],
                    true_areas_px=video.true_areas_px[true, frame],
                    crowds=np.array([video.true[i].is_crowd for i in true], dtype=bool),
                    overlaps=overlaps[..., frame][np.ix_(found, true)],
                )


def _of_class(video: TrackOverlap, category: int) -> tuple[np.ndarray, np.ndarray]:
    """Places of the found and the true tracks of a class."""
    found = [i for i, track in enumerate(video.found) if track.category_id == category]
    true = [i for i, track in enumerate(video.true) if track.category_id == category]
    return np.array(found, dtype=np.int64), np.array(true, dtype=np.int64)

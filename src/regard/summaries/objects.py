"""Annotated objects of the videos of a run, and which instance is which of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from regard.datasets.scramble import original_order
from regard.datasets.ytvis_tracks import MaskTrack, YtvisTruth
from regard.errors import FormatError
from regard.evaluation.track_overlap import compare
from regard.runs import RecordedInstance, RecordedVideo


@dataclass(frozen=True, kw_only=True)
class Match:
    """The object that an instance overlaps most."""

    object: int
    """Place among the objects of the video."""
    overlap: float
    """Of both over the whole video, as the YouTube-VIS evaluation measures it."""
    is_right: bool
    """Whether it is of the class that the instance is said to be."""

    def to_json(self) -> dict[str, Any]:
        """As it stands in a summary."""
        return {"index": self.object, "overlap": self.overlap, "is_right": self.is_right}


class Objects:
    """Annotated objects of one video, in the frames that were run.

    Args:
        video: Of the run.
        truth: Annotations of its data set.

    Raises:
        FormatError: The annotations are of other frames, or lack the video.
    """

    def __init__(self, video: RecordedVideo, truth: YtvisTruth) -> None:
        found = next((v for v in truth.videos.values() if str(v.id) == video.id), None)
        if found is None:
            raise FormatError(
                f"{truth.path} has no video {video.id!r}; give the annotations of the data set "
                "that was run"
            )
        places = video.frame_indices
        if found.size_hw != video.size_hw or max(places) >= len(found.file_names):
            raise FormatError(
                f"{truth.path}: video {video.id!r} has {len(found.file_names)} frames of "
                f"{found.size_hw}, the run's has frame {max(places)} and {video.size_hw}"
            )
        self.names = [found.file_names[place] for place in places]
        self.tracks = [_cut(track, places) for track in truth.of(found.id)]
        self._categories = truth.categories
        self._frames = len(places)

    def present(self, place: int) -> list[int]:
        """Frames, among those that were run, in which an object has a mask."""
        return [f for f, mask in enumerate(self.tracks[place].segmentations) if mask is not None]

    @property
    def annotated(self) -> list[int]:
        """Frames in which any object has a mask."""
        return sorted({frame for place in range(len(self.tracks)) for frame in self.present(place)})

    def category(self, place: int) -> str:
        """Class of an object."""
        return self._categories[self.tracks[place].category_id]

    def match(self, instance: RecordedInstance) -> Match | None:
        """The object that an instance overlaps most; None if it overlaps none."""
        own = MaskTrack(
            video_id=0,
            category_id=instance.category_id,
            score=instance.score,
            is_crowd=False,
            row=instance.row,
            where=f"the masks of row {instance.row}",
            size_hw=instance.size_hw,
            segmentations=instance.rles,
        )
        overlaps = compare([own], self.tracks, self._frames).of_video()[0]
        if not overlaps.size or overlaps.max() == 0:
            return None
        best = int(np.argmax(overlaps))
        return Match(
            object=best,
            overlap=float(overlaps[best]),
            is_right=self.tracks[best].category_id == instance.category_id,
        )

    def to_json(self) -> list[dict[str, Any]]:
        """Class and frames of each object."""
        return [
            {
                "category": self.category(place),
                "category_id": track.category_id,
                "frames": self.present(place),
            }
            for place, track in enumerate(self.tracks)
        ]


def run_order(video: RecordedVideo) -> list[int] | None:
    """The original place of each frame of a scrambled video; None for one that is in order.

    The order is read from the numbers in the names of the frames, where they have any.
    """
    if video.frame_names is None:
        return None
    try:
        order = original_order(video.frame_names)
    except FormatError:
        return None
    return None if order == sorted(order) else order


def frames_with_fish(objects: dict[str, Objects]) -> dict[str, Any]:
    """`val_frames_with_fish.json` of the DVIS attention pipeline, of all objects of a video.

    There a second annotation of a video overwrote the first.
    """
    return {
        video: {
            "num_frames_with_fish": len(of.annotated),
            "frame_indices": of.annotated,
            "file_names": [of.names[frame] for frame in of.annotated],
        }
        for video, of in objects.items()
        if of.tracks
    }


def _cut(track: MaskTrack, places: Sequence[int]) -> MaskTrack:
    return replace(
        track,
        segmentations=[track.segmentations[place] for place in places],
        stated_areas_px=None,
    )

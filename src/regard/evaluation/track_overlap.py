"""How much tracks of masks overlap, frame by frame and over a whole video.

Over a video the official YouTube-VIS evaluation adds up the shared pixels of all frames and divides
by the sum of the unions: the intersection over union of two volumes. The mean over frames, which
some scripts take instead, counts a frame in which both are absent as full agreement.
Source: youtubevos/cocoapi, ytvoseval.py, `computeIoU`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from regard.datasets.mask_runs import MaskRuns
from regard.datasets.ytvis_tracks import MaskTrack, mean_area_px
from regard.evaluation.matching import Floats

Overlap = Literal["volume", "frame mean"]
"""How two tracks are compared over a video; see the module."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TrackOverlap:
    """Found and true tracks of one video, compared in every frame."""

    found: Sequence[MaskTrack]
    true: Sequence[MaskTrack]
    shared_px: Floats
    """(found, true, frames)"""
    areas_px: Floats
    """(found, frames); 0 where absent, as with an empty mask."""
    true_areas_px: Floats
    """(true, frames)"""
    mean_areas_px: Floats
    """(found,), over the frames with a mask."""
    true_mean_areas_px: Floats
    """(true,), of the areas that the annotations state, where they do."""

    @property
    def unions_px(self) -> Floats:
        """Pixels of either, (found, true, frames)."""
        return self.areas_px[:, None] + self.true_areas_px[None] - self.shared_px

    def of_frames(self) -> Floats:
        """Intersection over union in each frame, (found, true, frames); 0 where both are absent."""
        return _ratio(self.shared_px, self.unions_px)

    def of_video(self, overlap: Overlap = "volume") -> Floats:
        """Overlap over the whole video, (found, true)."""
        if overlap == "volume":
            return _ratio(self.shared_px.sum(-1), self.unions_px.sum(-1))
        agreed = self.unions_px == 0  # both are absent
        return np.asarray(np.where(agreed, 1.0, self.of_frames()).mean(-1))


def compare(found: Sequence[MaskTrack], true: Sequence[MaskTrack], frames: int) -> TrackOverlap:
    """Compare the tracks of one video.

    Raises:
        FormatError: A mask that is none, or is not of the video's size.
    """
    masks, true_masks = [track.masks() for track in found], [track.masks() for track in true]
    shared = np.zeros((len(found), len(true), frames))
    for frame in range(frames):
        there = [(i, runs) for i, of in enumerate(true_masks) if (runs := of[frame]) is not None]
        if not there:
            continue
        owners = np.concatenate([np.full(len(runs.starts), i) for i, runs in there])
        starts = np.concatenate([runs.starts for _, runs in there])
        ends = np.concatenate([runs.ends for _, runs in there])
        for place, of in enumerate(masks):
            if (own := of[frame]) is not None:
                pixels = own.before(ends) - own.before(starts)
                shared[place, :, frame] = np.bincount(owners, pixels, minlength=len(true))
    return TrackOverlap(
        found=found,
        true=true,
        shared_px=shared,
        areas_px=_areas(masks, frames),
        true_areas_px=_areas(true_masks, frames),
        mean_areas_px=_means(found, masks),
        true_mean_areas_px=_means(true, true_masks),
    )


_Masks = Sequence[Sequence[MaskRuns | None]]


def _areas(masks: _Masks, frames: int) -> Floats:
    rows = [[0.0 if each is None else float(each.area_px) for each in of] for of in masks]
    return np.array(rows, dtype=np.float64).reshape(len(masks), frames)


def _means(tracks: Sequence[MaskTrack], masks: _Masks) -> Floats:
    areas = [mean_area_px(track, of) for track, of in zip(tracks, masks, strict=True)]
    return np.array(areas, dtype=np.float64)


def _ratio(shared: Floats, union: Floats) -> Floats:
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)

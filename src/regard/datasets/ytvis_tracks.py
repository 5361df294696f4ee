"""Annotated and predicted tracks in the YouTube-VIS format, which OVIS shares.

Annotations: one JSON with ``videos``, ``categories`` and ``annotations``; each annotation is one
object of one video with a mask, or null, for every frame. Results: a JSON list of objects with
``video_id``, ``category_id``, ``score`` and ``segmentations``. Masks stay as they were read until
somebody asks for those of a track, so that a data set of any size fits.
Source: https://youtube-vos.org/dataset/vis.
"""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from regard.datasets.json_files import read_json
from regard.datasets.mask_runs import MaskRuns, read_runs
from regard.datasets.polygons import polygon_runs
from regard.datasets.rle import PIXEL_LIMIT
from regard.errors import FormatError

VideoId = int | str


@dataclass(frozen=True, kw_only=True)
class TruthVideo:
    """A video as the annotations list it."""

    id: VideoId
    size_hw: tuple[int, int]
    """Height and width of its frames."""
    file_names: tuple[str, ...] = field(repr=False)
    """One a frame."""


@dataclass(frozen=True, kw_only=True, eq=False)
class MaskTrack:
    """One object over the frames of a video, annotated or predicted."""

    video_id: VideoId
    category_id: int
    score: float
    """1 for an annotation."""
    is_crowd: bool
    """A group that nobody told apart."""
    row: int | None
    """Row of the model's output that it came from; two classes of one row are one object."""
    where: str
    """What errors call it."""
    size_hw: tuple[int, int]
    segmentations: Sequence[Any] = field(repr=False)
    """One a frame, as in the file; None where the object is absent."""
    stated_areas_px: Sequence[Any] | None = field(default=None, repr=False)
    """Areas that the annotation states."""

    def masks(self) -> tuple[MaskRuns | None, ...]:
        """Its mask in each frame; read anew on every call.

        Raises:
            FormatError: A mask that is none, or is not of the video's size.
        """
        try:
            return tuple(map(self._mask, self.segmentations))
        except (TypeError, ValueError) as error:
            raise FormatError(f"{self.where}: {error}") from error

    def _mask(self, segmentation: Any) -> MaskRuns | None:
        if segmentation is None or segmentation == []:
            return None
        if isinstance(segmentation, list):
            return polygon_runs(segmentation, self.size_hw)
        return read_runs(segmentation, self.size_hw)

    @property
    def frames(self) -> list[int]:
        """Frames that it has a mask in."""
        return [place for place, each in enumerate(self.segmentations) if each]


@dataclass(frozen=True, kw_only=True)
class YtvisTruth:
    """What a YTVIS file annotates."""

    path: Path
    videos: Mapping[VideoId, TruthVideo] = field(repr=False)
    """By id, in the order of the file."""
    categories: Mapping[int, str] = field(repr=False)
    """Names by id."""
    tracks: tuple[MaskTrack, ...] = field(repr=False)

    def of(self, video_id: VideoId) -> list[MaskTrack]:
        """The annotated tracks of a video."""
        return [track for track in self.tracks if track.video_id == video_id]


def read_truth(path: str | os.PathLike[str]) -> YtvisTruth:
    """Annotations of a data set.

    Raises:
        FormatError: It is no annotated YTVIS file, or parts of it contradict each other.
    """
    path = Path(path)
    content = read_json(path)
    lacking = [
        name
        for name in ("videos", "categories", "annotations")
        if not (isinstance(content, dict) and isinstance(content.get(name), list))
        or (name != "annotations" and not content[name])
    ]
    if lacking:
        raise FormatError(
            f"{path} has no list of {', '.join(lacking)}; expected an annotated YTVIS file"
        )
    try:
        _refuse_twice("video", [_id(entry, "id") for entry in content["videos"]])
        _refuse_twice("category", [entry["id"] for entry in content["categories"]])
        videos = {_id(entry, "id"): _video(entry) for entry in content["videos"]}
        names = {_whole(entry, "id"): str(entry["name"]) for entry in content["categories"]}
        rows = content["annotations"]
        _refuse_twice("annotation", [row["id"] for row in rows if "id" in row])
    except (KeyError, TypeError, ValueError) as error:
        raise FormatError(f"{path}: {_told(error)}") from error
    tracks = []
    for number, row in enumerate(rows):
        where = f"{path}, annotation {number}"
        try:
            track = _track(row, videos, where)
            if track.category_id not in names:
                raise ValueError(f"category_id {track.category_id} is not among the categories")
            tracks.append(track)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise FormatError(f"{where}: {_told(error)}") from error
    return YtvisTruth(path=path, videos=videos, categories=names, tracks=tuple(tracks))


def read_results(
    source: str | os.PathLike[str] | Sequence[Mapping[str, Any]], truth: YtvisTruth
) -> list[MaskTrack]:
    """Predicted tracks.

    Args:
        source: A YTVIS result file, or its rows.
        truth: Annotations of the same videos.

    Raises:
        FormatError: It is no such file, or does not fit the annotations.
    """
    is_path = isinstance(source, (str, os.PathLike))
    name = str(source) if is_path else "the results"
    rows = read_json(Path(source)) if isinstance(source, (str, os.PathLike)) else list(source)
    if not isinstance(rows, list):
        raise FormatError(f"{name} holds a JSON {type(rows).__name__}; expected a list of results")
    tracks = []
    for number, row in enumerate(rows):
        where = f"{name}, result {number}"
        try:
            tracks.append(_track(row, truth.videos, where, score=_score(row["score"])))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise FormatError(
                f"{where}: {_told(error)}; expected video_id, category_id, score and segmentations "
                f"of a video in {truth.path}"
            ) from error
    return tracks


def _track(
    row: Any, videos: Mapping[VideoId, TruthVideo], where: str, score: float | None = None
) -> MaskTrack:
    if not isinstance(row, dict):
        raise TypeError(f"a JSON {type(row).__name__} instead of an object")
    video_id = _id(row, "video_id")
    if video_id not in videos:
        raise ValueError(f"video_id {video_id!r} is not among the annotated videos")
    video, masks = videos[video_id], row["segmentations"]
    if not isinstance(masks, list) or len(masks) != len(video.file_names):
        held = f"{len(masks)}" if isinstance(masks, list) else "no list of"
        raise ValueError(
            f"{held} segmentations for the {len(video.file_names)} frames of video {video_id!r}"
        )
    areas = row.get("areas") if score is None else None
    if areas is not None and (
        not isinstance(areas, list)
        or len(areas) != len(masks)
        or not all(each is None or _score(each) >= 0 for each in areas)
    ):
        raise ValueError("areas that are not one number, not negative, or null, for each frame")
    return MaskTrack(
        video_id=video_id,
        category_id=_whole(row, "category_id"),
        score=1.0 if score is None else score,
        is_crowd=score is None and bool(row.get("iscrowd", 0)),
        row=_row(row),
        where=where,
        size_hw=video.size_hw,
        segmentations=masks,
        stated_areas_px=areas,
    )


def mean_area_px(track: MaskTrack, masks: Sequence[MaskRuns | None]) -> float:
    """Mean area over the frames in which a track has any; 0 if in none.

    Args:
        track: Areas that an annotation states are taken at its word, as the official code does.
        masks: Its masks, which count where no areas are stated.
    """
    areas = track.stated_areas_px
    if areas is None:
        areas = [None if mask is None else mask.area_px for mask in masks]
    there = [area for area in areas if area]
    return float(np.mean(there)) if there else 0.0


def _video(entry: Mapping[str, Any]) -> TruthVideo:
    names = entry["file_names"]
    if not isinstance(names, list) or not names or not all(isinstance(n, str) for n in names):
        raise ValueError(f"video {entry['id']!r} has no list of file_names")
    size_hw = (_whole(entry, "height"), _whole(entry, "width"))
    if min(size_hw) < 1 or math.prod(size_hw) > PIXEL_LIMIT:
        raise ValueError(f"video {entry['id']!r} has frames of {size_hw[0]} x {size_hw[1]} pixels")
    return TruthVideo(id=_id(entry, "id"), size_hw=size_hw, file_names=tuple(names))


def _refuse_twice(what: str, ids: Sequence[Any]) -> None:
    seen: set[Any] = set()
    for each in ids:
        if each in seen:
            raise ValueError(f"{what} id {each!r} occurs twice")
        seen.add(each)


def _id(entry: Mapping[str, Any], key: str) -> VideoId:
    value = entry[key]
    return value if isinstance(value, str) else _whole(entry, key)


def _whole(entry: Mapping[str, Any], key: str) -> int:
    value = entry[key]
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{key} is {value!r}, expected a whole number")
    return value


def _row(entry: Mapping[str, Any]) -> int | None:
    """Results of the DVIS attention pipeline call it refiner_id."""
    key = "refiner_id" if "refiner_id" in entry else "row"
    return None if entry.get(key) is None else _whole(entry, key)


def _score(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"{value!r} where a finite number is expected")
    return float(value)


def _told(error: Exception) -> str:
    return f"it has no {error}" if isinstance(error, KeyError) else str(error)

"""How much of the attention of an instance falls into masks, boxes and named regions.

Regions come from a file: an annotated YTVIS file whose categories are the names of regions, or

    {"regions": [
      {"name": "glass", "box_xyxy": [0, 0, 640, 80]},
      {"name": "fin", "video": "12", "boxes_xyxy": [[4, 8, 90, 60], null, ...]},
      {"name": "head", "video": "12", "segmentations": [{"size": ..., "counts": ...}, null, ...]}
    ]}

in pixels of the original frames. ``box_xyxy`` holds for every frame, the others are one a frame of
the source; without ``video`` a region is in every video. Several of one name are one region.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from regard.analysis.region_attention import (
    Mask,
    RegionAttention,
    box_mask,
    region_attention,
    weighted_mean,
)
from regard.datasets.json_files import read_json
from regard.datasets.mask_runs import read_runs
from regard.datasets.polygons import polygon_runs
from regard.datasets.ytvis_tracks import read_truth
from regard.errors import FormatError
from regard.runs import RecordedInstance, RecordedVideo
from regard.summaries.objects import Objects

OWN_MASK = "own mask"
OBJECT = "annotated object"
OTHER_OBJECTS = "other annotated objects"
"""Regions that need no file."""


@dataclass(frozen=True, kw_only=True)
class Region:
    """A place in a video."""

    name: str
    video: str | None
    """None for every video."""
    box_xyxy: tuple[float, ...] | None = None
    """Of every frame."""
    by_frame: Sequence[Any] | None = field(default=None, repr=False)
    """Boxes, run lengths or polygons, one a frame of the source; None where it is not."""
    where: str
    """What errors call it."""

    def mask(self, frame: int, size_hw: tuple[int, int]) -> Mask | None:
        """Where it is in a frame of the source; None where it is not.

        Raises:
            FormatError: There is no such frame, or what stands there is no region.
        """
        if self.box_xyxy is not None:
            return box_mask(self.box_xyxy, size_hw)
        assert self.by_frame is not None
        if frame >= len(self.by_frame):
            raise FormatError(f"{self.where} has {len(self.by_frame)} frames, none of them {frame}")
        stored = self.by_frame[frame]
        try:
            if not stored:
                return None
            if isinstance(stored, dict):
                return read_runs(stored, size_hw).mask()
            if isinstance(stored[0], list):
                return polygon_runs(stored, size_hw).mask()
            return box_mask(_box(stored), size_hw)
        except (TypeError, ValueError) as error:
            raise FormatError(f"{self.where}, frame {frame}: {error}") from error


def read_regions(path: Path) -> list[Region]:
    """The regions of a file; see the module.

    Raises:
        FormatError: It is no such file.
    """
    content = read_json(path)
    if isinstance(content, dict) and "videos" in content:
        return _annotated(path)
    rows = content.get("regions") if isinstance(content, dict) else None
    if not isinstance(rows, list) or not rows:
        raise FormatError(
            f"{path} lists no regions; expected an annotated YTVIS file, or 'regions'"
        )
    return [_region(row, f"{path}, region {number}") for number, row in enumerate(rows)]


def region_summary(
    video: RecordedVideo,
    instance: RecordedInstance,
    regions: Sequence[Region],
    objects: Objects | None,
    frame_weights: Sequence[float] | None,
) -> dict[str, Any]:
    """Attention of an instance within each region, frame by frame and on the whole.

    Args:
        video: Of a run.
        instance: One of its instances.
        regions: Of a file.
        objects: Annotated objects of the video.
        frame_weights: Importance of each frame, for the weighted means.

    Raises:
        SelectionError: The attention was not kept, or the run does not say where it lies.
    """
    places = _places(video, instance, regions, objects)
    measured: dict[str, list[tuple[int, RegionAttention]]] = {name: [] for name in places}
    for frame in instance.life:
        heat = video.heat(instance.row, frame)
        if heat is None:
            continue
        values = heat.numpy()
        for name, mask_of in places.items():
            mask = mask_of(frame)
            if mask is not None:
                measured[name].append((frame, region_attention(values, mask)))
    return {name: _told(found, frame_weights) for name, found in measured.items()}


def _places(
    video: RecordedVideo,
    instance: RecordedInstance,
    regions: Sequence[Region],
    objects: Objects | None,
) -> dict[str, Callable[[int], Mask | None]]:
    """For each name the mask of a frame of the run."""
    found: dict[str, Callable[[int], Mask | None]] = {
        OWN_MASK: lambda frame: instance.masks(frame) if instance.rles[frame] else None
    }
    if objects is not None:
        match = objects.match(instance)
        masks = [track.masks() for track in objects.tracks]
        own = [] if match is None else [masks.pop(match.object)]
        found[OBJECT] = lambda frame: _united([m for of in own if (m := of[frame])])
        found[OTHER_OBJECTS] = lambda frame: _united([m for of in masks if (m := of[frame])])
    here = [region for region in regions if region.video in (None, video.id)]
    for name in dict.fromkeys(region.name for region in here):
        found[name] = _named([region for region in here if region.name == name], video)
    return found


def _named(regions: Sequence[Region], video: RecordedVideo) -> Callable[[int], Mask | None]:
    def mask(frame: int) -> Mask | None:
        place = video.frame_indices[frame]
        masks = [m for r in regions if (m := r.mask(place, video.size_hw)) is not None]
        return np.logical_or.reduce(masks) if masks else None

    return mask


def _united(runs: Sequence[Any]) -> Mask | None:
    return np.logical_or.reduce([each.mask() for each in runs]) if runs else None


def _told(
    found: Sequence[tuple[int, RegionAttention]], frame_weights: Sequence[float] | None
) -> dict[str, Any]:
    frames = [frame for frame, _ in found]
    result: dict[str, Any] = {"frames": frames}
    for name in ("mass", "lift", "area"):
        values = [getattr(each, name) for _, each in found]
        result[name] = [_number(value) for value in values]
        result[f"mean_{name}"] = _number(weighted_mean(values, [1.0] * len(values)))
        if frame_weights is not None:
            weights = [frame_weights[frame] for frame in frames]
            result[f"mean_{name}_by_importance"] = _number(weighted_mean(values, weights))
    return result


def _annotated(path: Path) -> list[Region]:
    truth = read_truth(path)
    return [
        Region(
            name=truth.categories[track.category_id],
            video=str(track.video_id),
            by_frame=track.segmentations,
            where=track.where,
        )
        for track in truth.tracks
    ]


def _region(row: Any, where: str) -> Region:
    kinds = ("box_xyxy", "boxes_xyxy", "segmentations")
    if not isinstance(row, Mapping) or not isinstance(row.get("name"), str):
        raise FormatError(f"{where} has no name")
    given = [kind for kind in kinds if row.get(kind) is not None]
    if len(given) != 1 or not isinstance(row[given[0]], list):
        raise FormatError(f"{where} has {given or 'nothing'}; expected one list of {kinds}")
    video = None if row.get("video") is None else str(row["video"])
    if given == ["box_xyxy"]:
        try:
            box = _box(row["box_xyxy"])
        except (TypeError, ValueError) as error:
            raise FormatError(f"{where}: {error}") from error
        return Region(name=row["name"], video=video, box_xyxy=box, where=where)
    return Region(name=row["name"], video=video, by_frame=row[given[0]], where=where)


def _box(values: Any) -> tuple[float, ...]:
    numbers = tuple(float(value) for value in values)
    if len(numbers) != 4 or not all(map(np.isfinite, numbers)):
        raise ValueError(f"a box {values!r}; expected x0, y0, x1, y1")
    return numbers


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(f"{value:.6g}")

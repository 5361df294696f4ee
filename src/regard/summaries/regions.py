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

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from regard.analysis.region_attention import (
    Mask,
    RegionAttention,
    box_mask,
    region_attention,
    weighted_mean,
)
from regard.datasets.json_files import read_json
from regard.datasets.mask_runs import MaskRuns, read_runs
from regard.datasets.polygons import polygon_runs
from regard.datasets.ytvis_tracks import read_truth
from regard.errors import FormatError, SelectionError
from regard.runs import RecordedInstance, RecordedVideo
from regard.summaries.objects import Objects

OWN_MASK = "own mask"
OBJECT = "annotated object"
OTHER_OBJECTS = "other annotated objects"
ANY_OBJECT = "annotated objects"
"""Regions that need no file."""

Place = Callable[[int], Mask | None]
"""The mask of a region in a frame of the run; None where it is not."""


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


def instance_regions(
    video: RecordedVideo,
    instance: RecordedInstance,
    regions: Sequence[Region],
    objects: Objects | None,
    frame_weights: Sequence[float] | None,
) -> dict[str, Any]:
    """Attention of an instance within its mask, annotated objects and regions of a file.

    Args:
        video: Of a run.
        instance: One of its instances.
        regions: Of a file.
        objects: Annotated objects of the video.
        frame_weights: Importance of each frame, for the weighted means.

    Raises:
        SelectionError: The attention was not kept, or the run does not say where it lies.
    """
    match = None if objects is None else objects.match(instance)
    places = _of_file(video, regions)
    places[OWN_MASK] = lambda frame: instance.masks(frame) if instance.rles[frame] else None
    if objects is not None:
        masks = [track.masks() for track in objects.tracks]
        own = [] if match is None else [masks.pop(match.object)]
        places[OBJECT] = lambda frame: _united(own, frame)
        places[OTHER_OBJECTS] = lambda frame: _united(masks, frame)
    return measured(
        places, instance.life, lambda frame: video.heat(instance.row, frame), frame_weights
    )


def query_regions(
    video: RecordedVideo, query: int, regions: Sequence[Region], objects: Objects | None
) -> dict[str, Any]:
    """Attention of an object query of every frame within annotated objects and regions of a file.

    Raises:
        SelectionError: There is no such query, its attention was not kept, or the run does not say
            where it lies.
    """
    places = _of_file(video, regions)
    if objects is not None:
        masks = [track.masks() for track in objects.tracks]
        places[ANY_OBJECT] = lambda frame: _united(masks, frame)
    return measured(places, range(video.frame_count), lambda frame: query_heat(video, query, frame))


def query_heat(video: RecordedVideo, query: int, frame: int) -> Tensor:
    """Weight of each pixel for an object query, mean of the kept layers, (height, width)."""
    if not video.decoder_layers:
        raise SelectionError(f"video {video.id!r} kept no layer of the predictor")
    maps = []
    for layer in video.decoder_layers:
        weights = video.decoder(layer, frame)[query].flatten()
        maps.append(video.attention.layout(layer).to_pixels(weights))
    return torch.stack(maps).mean(0)


def measured(
    places: Mapping[str, Place],
    frames: Iterable[int],
    heat_of: Callable[[int], Tensor | None],
    frame_weights: Sequence[float] | None = None,
) -> dict[str, Any]:
    """Attention within each place, frame by frame and on the whole.

    Args:
        places: Masks by name.
        frames: Which frames.
        heat_of: Map of a frame; None where there is none.
        frame_weights: Importance of each frame, for the weighted means.
    """
    found: dict[str, list[tuple[int, RegionAttention]]] = {name: [] for name in places}
    for frame in frames:
        heat = heat_of(frame)
        if heat is None:
            continue
        values = heat.double().numpy()
        for name, mask_of in places.items():
            if (mask := mask_of(frame)) is not None:
                found[name].append((frame, region_attention(values, mask)))
    return {name: _told(each, frame_weights) for name, each in found.items()}


def _of_file(video: RecordedVideo, regions: Sequence[Region]) -> dict[str, Place]:
    here = [region for region in regions if region.video in (None, video.id)]
    names = dict.fromkeys(region.name for region in here)
    return {name: _named([r for r in here if r.name == name], video) for name in names}


def _named(regions: Sequence[Region], video: RecordedVideo) -> Place:
    def mask(frame: int) -> Mask | None:
        place = video.frame_indices[frame]
        masks = [m for r in regions if (m := r.mask(place, video.size_hw)) is not None]
        return np.logical_or.reduce(masks) if masks else None

    return mask


def _united(tracks: Sequence[Sequence[MaskRuns | None]], frame: int) -> Mask | None:
    masks = [runs.mask() for track in tracks if (runs := track[frame]) is not None]
    return np.logical_or.reduce(masks) if masks else None


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

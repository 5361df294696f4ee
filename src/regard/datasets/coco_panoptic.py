"""COCO's panoptic format: a PNG of segment ids for each picture, and one JSON for all.

The id of a pixel is R + 256 G + 65536 B; 0 is no segment.
Source: https://cocodataset.org/#format-data, section 4.
"""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from torch import Tensor

from regard.datasets.segment_png import segment_png
from regard.errors import FormatError
from regard.segmentation.categories import Categories
from regard.segmentation.instances import boxes_around
from regard.segmentation.segments import Segmentation

Ids = npt.NDArray[np.int64]

_LIMIT_BYTES = 2 * 2**30
_LARGEST_ID = 256**3 - 1


@dataclass(frozen=True, kw_only=True)
class LabelledSegment:
    """A segment as a panoptic file describes it."""

    id: int
    """Value in the PNG."""
    category_id: int
    """Number of its class in the data set."""
    is_crowd: bool = False
    """A region of many objects that nobody told apart."""


@dataclass(frozen=True, kw_only=True)
class PanopticImage:
    """One picture of a panoptic file; its PNG is read when it is asked for."""

    image_id: int | str
    png: Path
    segments: tuple[LabelledSegment, ...]

    def ids(self) -> Ids:
        """(height, width) id of each pixel.

        Raises:
            FormatError: The PNG is missing or damaged, or its ids are not those of the JSON.
        """
        ids = _read_png(self.png)
        told, there = {s.id for s in self.segments}, set(np.unique(ids).tolist()) - {0}
        if there != told:
            raise FormatError(
                f"{self.png} has the segment ids {_few(there - told)} that its JSON lacks, and "
                f"lacks {_few(told - there)}; take both files from one source"
            )
        return ids


@dataclass(frozen=True, kw_only=True)
class PanopticFile:
    """A panoptic JSON with the folder of its PNGs."""

    path: Path
    images: Mapping[int | str, PanopticImage]
    """By image id."""
    categories: Mapping[int, tuple[str, bool]]
    """Number -> name, and whether it is a thing; empty where the file does not say."""


def panoptic_png(segmentation: Segmentation) -> bytes:
    """The PNG of a segmentation."""
    return segment_png(segmentation.ids.numpy())


def panoptic_annotation(
    segmentation: Segmentation, image_id: int | str, file_name: str
) -> dict[str, Any]:
    """The JSON object of one picture.

    Args:
        segmentation: Its segments; ids are those of the PNG.
        image_id: The data set's id of the picture.
        file_name: Name of the PNG.
    """
    return {
        "image_id": image_id,
        "file_name": file_name,
        "segments_info": [
            {
                "id": segment.id,
                "category_id": segmentation.categories.dataset_ids[segment.label],
                "isthing": int(segment.is_thing),
                "iscrowd": 0,
                "score": round(segment.score, 6),
                "area": segment.area_px,
                "bbox": _box_xywh(segmentation.mask(segment)),
            }
            for segment in segmentation.segments
        ],
    }


def panoptic_json(annotations: Iterable[Mapping[str, Any]], categories: Categories) -> bytes:
    """The JSON of many pictures."""
    named = [
        {"id": number, "name": name, "isthing": int(thing)}
        for number, name, thing in zip(
            categories.dataset_ids, categories.names, categories.is_thing, strict=True
        )
        if name
    ]
    content = {"annotations": list(annotations), "categories": named}
    return json.dumps(content, indent=1).encode()


def read_panoptic(path: str | os.PathLike[str], pngs: Path | None = None) -> PanopticFile:
    """A panoptic JSON.

    Args:
        path: The JSON.
        pngs: Folder of its PNGs; by default the folder beside the JSON that has its name, else
            the JSON's own folder.

    Raises:
        FormatError: It is no panoptic JSON.
    """
    path = Path(path)
    content = _read_json(path)
    beside = path.with_suffix("")
    folder = pngs or (beside if beside.is_dir() else path.parent)
    try:
        images = [_image(row, folder) for row in content["annotations"]]
        categories = {
            int(row["id"]): (str(row.get("name", row["id"])), bool(row.get("isthing", 1)))
            for row in content.get("categories", [])
        }
    except (KeyError, TypeError, ValueError) as error:
        raise FormatError(
            f"{path} is no panoptic JSON ({type(error).__name__}: {error}); expected annotations "
            "with image_id, file_name and segments_info"
        ) from error
    found = {image.image_id: image for image in images}
    if len(found) != len(images):
        raise FormatError(f"{path} describes an image twice; expected one annotation for each")
    return PanopticFile(path=path, images=found, categories=categories)


def _image(row: Mapping[str, Any], folder: Path) -> PanopticImage:
    name = str(row["file_name"])
    if Path(name).name != name:
        raise ValueError(f"file_name {name!r} leads out of the folder")
    segments = tuple(
        LabelledSegment(
            id=_checked_id(each["id"]),
            category_id=int(each["category_id"]),
            is_crowd=bool(each.get("iscrowd", 0)),
        )
        for each in row["segments_info"]
    )
    if len({s.id for s in segments}) != len(segments):
        raise ValueError(f"segments of image {row['image_id']!r} share an id")
    png = folder / Path(name).with_suffix(".png")
    return PanopticImage(image_id=row["image_id"], png=png, segments=segments)


def _checked_id(value: Any) -> int:
    if not 1 <= int(value) <= _LARGEST_ID:
        raise ValueError(f"segment id {value}, expected 1 to {_LARGEST_ID}")
    return int(value)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _LIMIT_BYTES:
            raise ValueError(f"{path.stat().st_size:,} bytes, over {_LIMIT_BYTES:,}")
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise FormatError(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(content, dict):
        raise FormatError(f"{path} holds a JSON {type(content).__name__}; expected an object")
    return content


def _read_png(path: Path) -> Ids:
    try:
        with Image.open(path, formats=["PNG"]) as png:
            pixels = np.asarray(png.convert("RGB"), dtype=np.int64)
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise FormatError(f"{path} cannot be read as a PNG of segment ids: {error}") from error
    return np.asarray(pixels @ np.array([1, 256, 65536]), dtype=np.int64)


def _box_xywh(mask: Tensor) -> list[int]:
    x0, y0, x1, y1 = (int(edge) for edge in boxes_around(mask[None])[0])
    return [x0, y0, x1 - x0, y1 - y0]


def _few(ids: set[int]) -> str:
    shown = ", ".join(str(i) for i in sorted(ids)[:5])
    return f"{{{shown}{', ...' if len(ids) > 5 else ''}}}"

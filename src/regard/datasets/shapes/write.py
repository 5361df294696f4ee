"""The generated world as files of COCO, COCO panoptic and YTVIS.

Pictures are PNGs, so their pixels are those of `photo` and `clip`. A JSON is written after its
pictures: where it is, all of them are.
"""

import io
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from regard.atomic import write_atomically
from regard.datasets.run_lengths import run_lengths
from regard.datasets.segment_png import segment_png
from regard.datasets.shapes.background import STUFF
from regard.datasets.shapes.canvas import Pixels
from regard.datasets.shapes.clip import Clip, Identity, clip
from regard.datasets.shapes.kinds import KINDS
from regard.datasets.shapes.photo import Mask, Scene, ShapeObject, box_around, photo
from regard.errors import MediaError

THING_CATEGORIES = [
    {"id": i, "name": name, "isthing": 1, "supercategory": "shape"}
    for i, name in enumerate(KINDS, 1)
]
STUFF_CATEGORIES = [
    {"id": i, "name": name, "isthing": 0, "supercategory": "background"}
    for i, name in enumerate(STUFF, len(KINDS) + 1)
]


def write_coco(
    folder: str | os.PathLike[str],
    seeds: Iterable[int],
    *,
    size_hw: tuple[int, int] = (128, 128),
    objects: tuple[int, int] = (2, 5),
) -> Path:
    """Write photos with COCO's instances; image ids are the seeds.

    Args:
        folder: Gets ``images/SEED.png`` and ``instances.json``.
        seeds: Which scenes.
        size_hw: Height and width in pixels.
        objects: The fewest and the most objects of a photo.

    Returns:
        The JSON.

    Raises:
        InputError: An argument that makes no scene.
        MediaError: The folder cannot be written to.
    """
    folder, images = Path(folder), []
    annotations: list[dict[str, Any]] = []
    for seed in seeds:
        scene = photo(seed, size_hw, objects)
        images.append(_write_photo(folder, seed, scene))
        for one in scene.objects:
            annotations.append({"id": len(annotations) + 1, "image_id": seed, **_instance(one)})
    content = {"images": images, "annotations": annotations, "categories": THING_CATEGORIES}
    return _write_json(folder / "instances.json", content)


def write_coco_panoptic(
    folder: str | os.PathLike[str],
    seeds: Iterable[int],
    *,
    size_hw: tuple[int, int] = (128, 128),
    objects: tuple[int, int] = (2, 5),
) -> Path:
    """Write photos with COCO's panoptic segments; image ids are the seeds.

    Args:
        folder: Gets ``images/SEED.png``, ``panoptic/SEED.png`` and ``panoptic.json``.
        seeds: Which scenes.
        size_hw: Height and width in pixels.
        objects: The fewest and the most objects of a photo.

    Returns:
        The JSON.

    Raises:
        InputError: An argument that makes no scene.
        MediaError: The folder cannot be written to.
    """
    folder, images = Path(folder), []
    annotations: list[dict[str, Any]] = []
    for seed in seeds:
        scene = photo(seed, size_hw, objects)
        images.append(_write_photo(folder, seed, scene))
        ids, segments = scene.panoptic()
        _write(folder / "panoptic" / _name(seed), segment_png(ids))
        infos = [
            {**segment, "isthing": int(segment["isthing"]), **_place(ids == segment["id"])}
            for segment in segments
        ]
        annotations.append({"image_id": seed, "file_name": _name(seed), "segments_info": infos})
    categories = THING_CATEGORIES + STUFF_CATEGORIES
    content = {"images": images, "annotations": annotations, "categories": categories}
    return _write_json(folder / "panoptic.json", content)


def write_ytvis(
    folder: str | os.PathLike[str],
    seeds: Iterable[int],
    *,
    frames: int = 8,
    size_hw: tuple[int, int] = (128, 128),
    objects: tuple[int, int] = (2, 4),
) -> Path:
    """Write videos with YouTube-VIS' instances; video ids are the seeds.

    Args:
        folder: Gets ``JPEGImages/SEED/FRAME.png`` and ``instances.json``.
        seeds: Which videos.
        frames: Frames of each.
        size_hw: Height and width in pixels.
        objects: The fewest and the most objects of a video.

    Returns:
        The JSON.

    Raises:
        InputError: An argument that makes no video.
        MediaError: The folder cannot be written to.
    """
    folder, videos = Path(folder), []
    annotations: list[dict[str, Any]] = []
    for seed in seeds:
        film = clip(seed, frames, size_hw, objects)
        videos.append(_write_film(folder, seed, film))
        for number, one in enumerate(film.objects):
            track = _track(one, film.masks[:, number])
            annotations.append({"id": len(annotations) + 1, "video_id": seed, **track})
    content = {"videos": videos, "annotations": annotations, "categories": THING_CATEGORIES}
    return _write_json(folder / "instances.json", content)


def _write_photo(folder: Path, seed: int, scene: Scene) -> dict[str, Any]:
    _write(folder / "images" / _name(seed), _png(scene.image))
    height, width = scene.stuff.shape
    return {"id": seed, "file_name": _name(seed), "height": height, "width": width}


def _write_film(folder: Path, seed: int, film: Clip) -> dict[str, Any]:
    names = [f"{seed:06d}/{frame:05d}.png" for frame in range(len(film.images))]
    for name, image in zip(names, film.images, strict=True):
        _write(folder / "JPEGImages" / name, _png(image))
    height, width = film.stuff.shape
    return {
        "id": seed,
        "file_names": names,
        "length": len(names),
        "height": height,
        "width": width,
    }


def _instance(one: ShapeObject) -> dict[str, Any]:
    return {
        "category_id": one.category_id,
        **_place(one.mask),
        "segmentation": run_lengths(one.mask),
    }


def _track(one: Identity, masks: Mask) -> dict[str, Any]:
    """One object of a video, of its masks (frames, height, width); null where it does not show."""
    places = [_place(mask) if mask.any() else None for mask in masks]
    return {
        "category_id": one.category_id,
        "iscrowd": 0,
        "segmentations": [run_lengths(mask) if mask.any() else None for mask in masks],
        "bboxes": [place and place["bbox"] for place in places],
        "areas": [place and place["area"] for place in places],
    }


def _place(mask: Mask) -> dict[str, Any]:
    x0, y0, x1, y1 = box_around(mask)
    return {"bbox": [x0, y0, x1 - x0, y1 - y0], "area": int(mask.sum()), "iscrowd": 0}


def _name(seed: int) -> str:
    return f"{seed:06d}.png"


def _png(image: Pixels) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(file, "PNG")
    return file.getvalue()


def _write_json(path: Path, content: dict[str, Any]) -> Path:
    return _write(path, json.dumps(content, separators=(",", ":")).encode())


def _write(path: Path, data: bytes) -> Path:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, data)
    except OSError as error:
        raise MediaError(f"cannot write {str(path)!r}: {error.strerror}") from error
    return path

"""Small annotated videos with predictions, made at random: the same ones on every machine.

Every number comes from `random.Random`, whose `random` method never changes.
"""

import random
from typing import Any

import numpy as np

from regard.datasets.rle import encode_mask
from regard.datasets.run_lengths import run_lengths

SIZE_HW = (360, 480)
CATEGORIES = [{"id": 3, "name": "fish"}, {"id": 7, "name": "eel"}, {"id": 9, "name": "crab"}]


def random_case(seed: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Annotations, and results that are near them, elsewhere, doubled, or of another class."""
    draw = random.Random(seed)
    videos: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    for video in range(4):
        frames = 2 + int(draw.random() * 4)
        names = [f"{video}/{frame:05}.jpg" for frame in range(frames)]
        videos.append({"id": video + 1, "height": 360, "width": 480, "file_names": names})
        for _ in range(int(draw.random() * 4)):
            boxes = _boxes(draw, frames)
            row: dict[str, Any] = {"id": len(annotations) + 1, "video_id": video + 1}
            row |= {"category_id": _category(draw), "iscrowd": int(draw.random() < 0.15)}
            masks = [_mask(box) for box in boxes]
            row["segmentations"] = [None if m is None else run_lengths(m) for m in masks]
            row["areas"] = [None if m is None else int(m.sum()) for m in masks]
            annotations.append(row)
            results += [_near(draw, row, boxes) for _ in range(1 + int(draw.random() * 4))]
        for _ in range(int(draw.random() * 3)):
            row = {"video_id": video + 1, "category_id": _category(draw)}
            results.append(_near(draw, row, _boxes(draw, frames)))
    truth = {"videos": videos, "annotations": annotations, "categories": CATEGORIES}
    return truth, results


def _category(draw: random.Random) -> int:
    return (3, 7, 7, 7)[int(draw.random() * 4)]


def _boxes(draw: random.Random, frames: int) -> list[Any]:
    """A box that wanders, y0, x0, height, width; None in some frames."""
    side = (20, 100, 200, 340)[int(draw.random() * 4)]
    y, x = draw.random() * (360 - side), draw.random() * (480 - side)
    found = []
    for _ in range(frames):
        y, x = y + 12 * (draw.random() - 0.5), x + 12 * (draw.random() - 0.5)
        box = (y, x, side * (0.8 + 0.4 * draw.random()), side * (0.8 + 0.4 * draw.random()))
        found.append(None if draw.random() < 0.2 else box)
    return found


def _near(draw: random.Random, row: dict[str, Any], boxes: list[Any]) -> dict[str, Any]:
    """A prediction for an annotation; scores repeat, and its masks are compressed."""
    off = (2, 10, 40)[int(draw.random() * 3)]
    category = row["category_id"] if draw.random() < 0.85 else _category(draw)
    masks = []
    for box in boxes:
        moved = [edge + off * (draw.random() - 0.5) for edge in box or (0, 0, 0, 0)]
        masks.append(_mask(moved if box and draw.random() < 0.95 else None))
    return {
        "video_id": row["video_id"],
        "category_id": category,
        "score": int(1 + draw.random() * 20) / 20,
        "segmentations": [None if m is None else encode_mask(m) for m in masks],
    }


def _mask(box: Any) -> np.ndarray | None:
    if box is None:
        return None
    y, x, height, width = (max(0, int(edge)) for edge in box)
    mask = np.zeros(SIZE_HW, bool)
    mask[y : y + height, x : x + width] = True
    return mask

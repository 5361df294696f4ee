"""The generated world in the files of data sets, as readers find it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from regard.datasets.coco_panoptic import read_panoptic
from regard.datasets.shapes import (
    KINDS,
    STUFF,
    clip,
    photo,
    write_coco,
    write_coco_panoptic,
    write_ytvis,
)
from regard.errors import MediaError
from regard.evaluation.average_precision import average_precision
from regard.evaluation.panoptic_quality import panoptic_quality
from regard.media.image import read_image
from regard.media.ytvis import read_class_names, read_ytvis

SIZE_HW = (40, 56)


def decoded(stored: dict[str, Any]) -> np.ndarray:
    values = np.arange(len(stored["counts"])) % 2 == 1
    height, width = stored["size"]
    return np.repeat(values, stored["counts"]).reshape(width, height).T


def test_coco(tmp_path: Path) -> None:
    path = write_coco(tmp_path, [3, 4], size_hw=SIZE_HW)
    content = json.loads(path.read_text())
    assert [image["id"] for image in content["images"]] == [3, 4]
    for image in content["images"]:
        scene = photo(image["id"], SIZE_HW)
        pixels = np.asarray(read_image(tmp_path / "images" / image["file_name"]))
        assert np.array_equal(pixels, scene.image)
        rows = [row for row in content["annotations"] if row["image_id"] == image["id"]]
        for row, one in zip(rows, scene.objects, strict=True):
            assert np.array_equal(decoded(row["segmentation"]), one.mask)
            assert content["categories"][row["category_id"] - 1]["name"] == one.kind
            x, y, width, height = row["bbox"]
            assert (x, y, x + width, y + height) == one.box_xyxy
            assert row["area"] == one.mask.sum()


@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_coco_is_what_the_evaluation_takes(tmp_path: Path, kind: Any) -> None:
    path = write_coco(tmp_path, range(3), size_hw=SIZE_HW)
    truth = json.loads(path.read_text())["annotations"]
    wanted = ("image_id", "category_id", "bbox", "segmentation")
    rows = [{**{key: row[key] for key in wanted}, "score": 1.0} for row in truth]
    assert average_precision(rows, path, kind).values["AP"] == pytest.approx(1)
    wrong = [{**row, "category_id": row["category_id"] % len(KINDS) + 1} for row in rows]
    assert average_precision(wrong, path, kind).values["AP"] < 0.5


def test_panoptic(tmp_path: Path) -> None:
    path = write_coco_panoptic(tmp_path, [1, 7], size_hw=SIZE_HW)
    found = read_panoptic(path)
    assert [name for name, _ in found.categories.values()] == [*KINDS, *STUFF]
    for seed, image in found.images.items():
        ids, segments = photo(int(seed), SIZE_HW).panoptic()
        assert np.array_equal(image.ids(), ids)
        assert [s.category_id for s in image.segments] == [s["category_id"] for s in segments]
    assert panoptic_quality(found, found).mean() == (1, 1, 1)


def test_ytvis(tmp_path: Path) -> None:
    path = write_ytvis(tmp_path, [2], frames=6, size_hw=SIZE_HW, objects=(4, 4))
    assert read_class_names(path) == KINDS
    film = clip(2, 6, SIZE_HW, (4, 4))
    video = read_ytvis(path).videos[2]
    for frame, pixels in zip(video.frames(), film.images, strict=True):
        assert np.array_equal(np.asarray(frame.image), pixels)
    rows = json.loads(path.read_text())["annotations"]
    for number, row in enumerate(rows):
        masks = film.masks[:, number]
        for stored, mask in zip(row["segmentations"], masks, strict=True):
            assert not mask.any() if stored is None else np.array_equal(decoded(stored), mask)
        assert row["areas"] == [int(mask.sum()) or None for mask in masks]
        assert [box is None for box in row["bboxes"]] == [not mask.any() for mask in masks]
    assert any(None in row["segmentations"] for row in rows)


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(MediaError, match="cannot write"):
        write_coco(tmp_path / "file", [0], size_hw=SIZE_HW)

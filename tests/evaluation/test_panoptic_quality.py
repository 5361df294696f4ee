"""PQ on COCO's own annotations, and on cases counted by hand."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from regard.datasets.coco_output import CocoOutput
from regard.datasets.coco_panoptic import read_panoptic
from regard.errors import FormatError
from regard.evaluation.panoptic_quality import panoptic_quality
from regard.segmentation.categories import Categories
from regard.segmentation.instances import Instances
from regard.segmentation.segments import Segment, Segmentation


def write(folder: Path, ids: list[list[int]], classes: dict[int, int], crowd: int = 0) -> Path:
    folder.mkdir()
    values = np.array(ids, dtype=np.uint8)
    Image.fromarray(np.stack([values, values * 0, values * 0], -1)).save(folder / "1.png")
    rows = [{"id": i, "category_id": c, "iscrowd": int(i == crowd)} for i, c in classes.items()]
    content = {"annotations": [{"image_id": 1, "file_name": "1.png", "segments_info": rows}]}
    (folder / "panoptic.json").write_text(json.dumps(content))
    return folder / "panoptic.json"


def quality(tmp_path: Path, predicted: Path, truth: Path) -> dict[int, tuple[int, int, int, float]]:
    found = panoptic_quality(read_panoptic(predicted), read_panoptic(truth))
    return {c.category_id: (c.matched, c.wrong, c.missed, c.pq) for c in found.classes}


def test_cases_counted_by_hand(tmp_path: Path) -> None:
    truth = write(
        tmp_path / "truth", [[1, 1, 1, 1], [2, 2, 0, 0], [3, 3, 3, 3]], {1: 7, 2: 7, 3: 8}
    )
    own = write(
        tmp_path / "own", [[1, 1, 1, 4], [2, 0, 4, 4], [3, 3, 3, 3]], {1: 7, 2: 7, 3: 9, 4: 7}
    )
    found = quality(tmp_path, own, truth)
    # 1: IoU 3/4; 2: IoU 1/2 is no match; 4: two of its three pixels are unlabelled: excused
    assert found[7] == (1, 1, 1, 0.75 / 2)
    assert found[8] == (0, 0, 1, 0.0)
    assert found[9] == (0, 1, 0, 0.0)


def test_what_lies_in_a_crowd_is_excused(tmp_path: Path) -> None:
    truth = write(tmp_path / "truth", [[1, 1, 1, 1], [2, 2, 2, 2]], {1: 7, 2: 8}, crowd=1)
    own = write(tmp_path / "own", [[1, 1, 3, 3], [2, 2, 2, 2]], {1: 7, 2: 8, 3: 7})
    assert quality(tmp_path, own, truth) == {8: (1, 0, 0, 1.0)}


def test_coco_against_itself_is_perfect_and_against_less_is_not(
    shared: Path, tmp_path: Path
) -> None:
    path = shared / "data/images/coco_panoptic/panoptic.json"
    truth = read_panoptic(path)
    assert panoptic_quality(truth, truth).mean() == (1.0, 1.0, 1.0)
    shutil.copytree(path.with_suffix(""), tmp_path / "less")
    content = json.loads(path.read_text())
    row = next(r for r in content["annotations"] if r["image_id"] == 39769)
    gone = row["segments_info"].pop()
    png = tmp_path / "less" / row["file_name"]
    pixels = np.array(Image.open(png).convert("RGB"))
    pixels[(pixels @ np.array([1, 256, 65536])) == gone["id"]] = 0
    Image.fromarray(pixels).save(png)
    (tmp_path / "less.json").write_text(json.dumps(content))
    found = panoptic_quality(read_panoptic(tmp_path / "less.json"), truth)
    assert sum(c.missed for c in found.classes) == 1
    assert found.mean()[0] < 1.0
    assert found.mean()[1] <= 1.0


def test_what_is_written_reads_back(tmp_path: Path) -> None:
    ids = torch.zeros(4, 5, dtype=torch.int64)
    ids[1:3, 2:4], ids[3] = 1, 300
    segments = tuple(
        Segment(
            id=i, label=label, name="x", is_thing=True, score=0.9, area_px=area, queries=(label,)
        )
        for i, label, area in ((1, 0, 4), (300, 1, 5))
    )
    segmentation = Segmentation(
        ids=ids, owners=ids, segments=segments, categories=Categories.of(133)
    )
    categories = Categories.of(133)
    out = CocoOutput(tmp_path)
    nothing = Instances(
        labels=torch.zeros(0, dtype=torch.int64),
        scores=torch.zeros(0),
        queries=torch.zeros(0, dtype=torch.int64),
        masks=None,
        boxes_xyxy=torch.zeros(0, 4),
    )
    out.add("007", segmentation=segmentation, instances=nothing, categories=categories)
    results, described = out.close()
    assert json.loads(results.read_text()) == []
    (image,) = read_panoptic(described).images.values()
    assert image.image_id == 7
    assert np.array_equal(image.ids(), ids.numpy())
    row = json.loads(described.read_text())["annotations"][0]["segments_info"]
    assert [each["bbox"] for each in row] == [[2, 1, 2, 2], [0, 3, 5, 1]]
    assert [each["category_id"] for each in row] == [1, 2]


def test_files_that_do_not_fit_are_told(tmp_path: Path, shared: Path) -> None:
    truth = write(tmp_path / "truth", [[1, 2]], {1: 7, 2: 7})
    other = write(tmp_path / "other", [[1, 3]], {1: 7, 2: 7})
    with pytest.raises(FormatError, match=r"lacks \{2\}"):
        quality(tmp_path, other, truth)
    wide = write(tmp_path / "wide", [[1, 2, 2]], {1: 7, 2: 7})
    with pytest.raises(FormatError, match="3 x 1 px"):
        quality(tmp_path, wide, truth)
    coco = read_panoptic(shared / "data/images/coco_panoptic/panoptic.json")
    with pytest.raises(FormatError, match="lacks 3 of the 3 images"):
        panoptic_quality(read_panoptic(truth), coco)
    (tmp_path / "broken.json").write_text('{"annotations": [{"image_id": 1}]}')
    with pytest.raises(FormatError, match="no panoptic JSON"):
        read_panoptic(tmp_path / "broken.json")


def test_a_category_that_the_truth_does_not_have_is_told(tmp_path: Path) -> None:
    truth, own = (write(tmp_path / name, [[1, 1]], {1: c}) for name, c in (("a", 7), ("b", 999)))
    content = json.loads(truth.read_text()) | {"categories": [{"id": 7, "name": "cat"}]}
    truth.write_text(json.dumps(content))
    with pytest.raises(FormatError, match=r"segment 1 is of category 999, .* expected one of 7"):
        quality(tmp_path, own, truth)

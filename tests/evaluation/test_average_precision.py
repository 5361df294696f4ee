"""AP on COCO's own annotations."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from regard.datasets.coco_panoptic import read_panoptic
from regard.datasets.coco_results import coco_results
from regard.datasets.run_lengths import run_lengths
from regard.errors import FormatError
from regard.evaluation.average_precision import average_precision
from regard.segmentation.categories import Categories
from regard.segmentation.instances import Instances, boxes_around

pytest.importorskip("faster_coco_eval")

Mask = npt.NDArray[np.bool_]


@pytest.fixture
def truth(shared: Path) -> Path:
    return shared / "data/images/coco_instances/instances.json"


def perfect(truth: Path) -> list[dict[str, Any]]:
    rows = json.loads(truth.read_text())["annotations"]
    wanted = ("image_id", "category_id", "bbox", "segmentation")
    return [{name: row[name] for name in wanted} | {"score": 1.0} for row in rows]


@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_the_ground_truth_itself_is_perfect(truth: Path, kind: Any) -> None:
    found = average_precision(perfect(truth), truth, kind)
    assert found.values["AP"] == pytest.approx(1.0, abs=1e-9)
    half = average_precision(perfect(truth)[::2], truth, kind)
    assert 0 < half.values["AP"] < 0.9
    none = average_precision([], truth, kind)
    assert none.values["AP"] == 0.0


@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_no_result_has_no_number_where_there_is_no_object(
    tmp_path: Path, truth: Path, kind: Any
) -> None:
    content = json.loads(truth.read_text())
    content["annotations"] = [one for one in content["annotations"] if one["area"] < 96**2]
    (tmp_path / "no_large.json").write_text(json.dumps(content))
    found = average_precision([], tmp_path / "no_large.json", kind).values
    assert (found["AP"], found["AP medium"]) == (0.0, 0.0)
    assert math.isnan(found["AP large"])
    assert math.isnan(found["AR large"])


def test_panoptic_annotations_are_no_instances(tmp_path: Path) -> None:
    annotations = [{"image_id": 1, "file_name": "1.png", "segments_info": []}]
    path = tmp_path / "panoptic.json"
    path.write_text(json.dumps({"images": [], "annotations": annotations, "categories": []}))
    with pytest.raises(FormatError, match="annotates panoptic segments"):
        average_precision([], path)


def test_an_unknown_category_is_told(truth: Path) -> None:
    rows = [perfect(truth)[0] | {"category_id": 999}]
    with pytest.raises(FormatError, match="category_id 999 is not in the ground truth"):
        average_precision(rows, truth)


def cats_and_remotes(shared: Path, folder: Path) -> tuple[Path, dict[int, list[Mask]]]:
    """Things of the panoptic image 39769 as an instances file; their masks by class."""
    coco = read_panoptic(shared / "data/images/coco_panoptic/panoptic.json")
    image = coco.images[39769]
    ids, masks = image.ids(), dict[int, list[Mask]]()
    for segment in image.segments:
        if coco.categories[segment.category_id][1]:
            masks.setdefault(segment.category_id, []).append(ids == segment.id)
    rows: list[dict[str, Any]] = [
        {"id": 100 * category + i, "iscrowd": 0, "area": int(mask.sum()), **row(category, mask)}
        for category, own in masks.items()
        for i, mask in enumerate(own)
    ]
    content = {
        "images": [{"id": 39769, "height": ids.shape[0], "width": ids.shape[1]}],
        "annotations": rows,
        "categories": [{"id": category, "name": str(category)} for category in masks],
    }
    path = folder / "instances.json"
    path.write_text(json.dumps(content))
    return path, masks


def row(category: int, mask: Mask) -> dict[str, Any]:
    x0, y0, x1, y1 = boxes_around(torch.from_numpy(mask)[None])[0].tolist()
    box = [x0, y0, x1 - x0, y1 - y0]
    return {
        "image_id": 39769, "category_id": category, "bbox": box, "segmentation": run_lengths(mask)
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_predictions_made_by_hand_score_what_the_definition_says(
    shared: Path, tmp_path: Path, kind: Any
) -> None:
    """Two cats, a couch and two remotes: AP of each worked out by hand, at 101 recalls."""
    truth, masks = cats_and_remotes(shared, tmp_path)
    assert {category: len(own) for category, own in masks.items()} == {17: 2, 63: 1, 75: 2}
    nowhere = np.zeros_like(masks[17][0])
    nowhere[:4, :4] = True
    part = row(75, masks[75][0])  # IoU 0.62 with its remote, as a box and as a mask
    part["bbox"][2] *= 0.62
    flat = np.flatnonzero(masks[75][0])
    less = np.zeros_like(nowhere)
    less.flat[flat[: round(0.62 * len(flat))]] = True
    part["segmentation"] = run_lengths(less)
    predicted = [
        {**row(17, masks[17][0]), "score": 0.9},
        {**row(17, nowhere), "score": 0.8},
        {**row(17, masks[17][1]), "score": 0.7},
        {**row(17, masks[63][0]), "score": 0.1},  # the couch, taken for a cat
        {**part, "score": 0.6},
    ]
    cats = (51 * 1 + 50 * 2 / 3) / 101  # recall 0.5 at precision 1, recall 1 at precision 2/3
    remotes = 3 / 10 * 51 / 101  # found at IoU 0.5, 0.55 and 0.6; the other one never
    found = average_precision(predicted, truth, kind).values
    assert found["AP"] == pytest.approx((cats + 0 + remotes) / 3, abs=1e-9)
    assert found["AP50"] == pytest.approx((cats + 0 + 51 / 101) / 3, abs=1e-9)
    assert found["AP75"] == pytest.approx(cats / 3, abs=1e-9)
    assert found["AR 100"] == pytest.approx((1 + 0 + 0.3 / 2) / 3, abs=1e-9)


def test_masks_of_a_model_are_read_as_they_were_meant(truth: Path) -> None:
    """A box-shaped mask of an object scores by its overlap with that object alone."""
    content = json.loads(truth.read_text())
    row = max(content["annotations"], key=lambda row: row["area"])
    image = next(i for i in content["images"] if i["id"] == row["image_id"])
    x, y, w, h = (round(v) for v in row["bbox"])
    mask = torch.zeros(1, image["height"], image["width"], dtype=torch.bool)
    mask[0, y : y + h, x : x + w] = True
    categories = Categories.of(80)
    one = Instances(
        labels=torch.tensor([categories.dataset_ids.index(row["category_id"])]),
        scores=torch.ones(1),
        queries=torch.zeros(1, dtype=torch.int64),
        masks=mask,
        boxes_xyxy=torch.tensor([[x, y, x + w, y + h]], dtype=torch.float32),
    )
    rows = coco_results(one, image["id"], categories)
    boxes = average_precision(rows, truth, "bbox").values
    assert boxes["AR 1"] > 0
    assert not math.isnan(average_precision(rows, truth, "segm").values["AP50"])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"image_id": -1}, "not in the ground truth"),
        ({"score": math.inf}, "finite"),
        ({"segmentation": [[math.inf] * 6]}, "finite"),
        ({"segmentation": {"size": [1, 1], "counts": [1]}}, "the image is"),
        ({"segmentation": [[1, 2, 3]]}, "fewer than 3 points"),
    ],
)
def test_hostile_rows_are_refused_before_the_library_sees_them(
    truth: Path, change: dict[str, Any], words: str
) -> None:
    rows = perfect(truth)[:2]
    rows[1] |= change
    with pytest.raises(FormatError, match=f"result 1.*{words}"):
        average_precision(rows, truth, "segm")

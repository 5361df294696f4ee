"""AP on COCO's own annotations."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from regard.datasets.coco_results import coco_results
from regard.errors import FormatError
from regard.evaluation.average_precision import average_precision
from regard.segmentation.categories import Categories
from regard.segmentation.instances import Instances

pytest.importorskip("faster_coco_eval")


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
    assert average_precision([], truth, kind).values["AP"] == 0.0


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

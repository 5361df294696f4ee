"""Rows of COCO's result files: objects with boxes, scores and masks."""

from typing import Any

from regard.datasets.run_lengths import run_lengths
from regard.segmentation.categories import Categories
from regard.segmentation.instances import Instances


def coco_results(
    instances: Instances, image_id: int | str, categories: Categories
) -> list[dict[str, Any]]:
    """Rows of a COCO result file for one picture: box, score, and mask where there is one."""
    rows = []
    for i in range(len(instances)):
        x0, y0, x1, y1 = (round(float(edge), 3) for edge in instances.boxes_xyxy[i])
        row: dict[str, Any] = {
            "image_id": image_id,
            "category_id": categories.dataset_ids[int(instances.labels[i])],
            "bbox": [x0, y0, round(x1 - x0, 3), round(y1 - y0, 3)],
            "score": round(float(instances.scores[i]), 6),
        }
        if instances.masks is not None:
            row["segmentation"] = run_lengths(instances.masks[i].numpy())
        rows.append(row)
    return rows

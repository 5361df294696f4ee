"""Average precision of boxes and masks, as COCO measures it, by faster-coco-eval.

What goes in is checked first: the library takes hostile masks and sizes at their word.
"""

import contextlib
import io
import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from regard.errors import FormatError, MissingDependency

Kind = Literal["bbox", "segm"]

NAMES = (
    "AP", "AP50", "AP75", "AP small", "AP medium", "AP large",
    "AR 1", "AR 10", "AR 100", "AR small", "AR medium", "AR large",
)  # fmt: skip
"""COCO's twelve numbers, in its order."""

_LARGEST_PIXELS = 2**28


@dataclass(frozen=True, kw_only=True)
class AveragePrecision:
    """COCO's twelve numbers of one kind of result."""

    kind: Kind
    values: Mapping[str, float]
    """By the names in `NAMES`; NaN where the ground truth has no such object."""


def average_precision(
    results: str | os.PathLike[str] | Sequence[Mapping[str, Any]],
    truth: str | os.PathLike[str],
    kind: Kind = "bbox",
) -> AveragePrecision:
    """COCO's numbers for a result file.

    Args:
        results: A COCO result file, or its rows.
        truth: A COCO instances file.
        kind: Boxes or masks.

    Raises:
        FormatError: A file that is damaged, or rows that do not fit the ground truth.
        MissingDependency: faster-coco-eval is not installed.
    """
    try:
        from faster_coco_eval import COCO, COCOeval_faster
    except ImportError as error:
        raise MissingDependency(
            "average precision needs faster-coco-eval: pip install 'regard[evaluate]'"
        ) from error
    truth_rows = _read(Path(truth))
    if not isinstance(truth_rows, dict):
        raise FormatError(f"{truth} is no COCO instances file; expected an object with images")
    where = str(results) if isinstance(results, (str, os.PathLike)) else "the results"
    rows = _read(Path(results)) if isinstance(results, (str, os.PathLike)) else list(results)
    _check_truth(truth_rows, str(truth))
    _check(rows, truth_rows, kind, where)
    if not rows:  # one that is wrong has the same numbers, and the library takes it
        rows, evaluated = [_wrong_result(truth_rows)], "bbox"
    else:
        evaluated = kind
    with contextlib.redirect_stdout(io.StringIO()):  # the library prints its progress
        true = COCO({"info": {}, **truth_rows})
        found = true.loadRes([{**row} for row in rows])
        evaluation = COCOeval_faster(true, found, evaluated, print_function=lambda *_: None)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    numbers = [float(x) if x >= 0 else math.nan for x in evaluation.stats[: len(NAMES)]]
    return AveragePrecision(kind=kind, values=dict(zip(NAMES, numbers, strict=True)))


def _wrong_result(truth: Mapping[str, Any]) -> dict[str, Any]:
    if not truth["images"] or not truth["categories"]:
        raise FormatError("the ground truth has no images or no categories to compare with")
    image, category = truth["images"][0]["id"], truth["categories"][0]["id"]
    return {"image_id": image, "category_id": category, "score": 0.0, "bbox": [-2, -2, 1, 1]}


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise FormatError(f"{path} cannot be read as JSON: {error}") from error


def _check_truth(truth: Mapping[str, Any], where: str) -> None:
    rows = truth.get("annotations")
    if isinstance(rows, list) and any("segments_info" in row for row in rows[:1]):
        raise FormatError(
            f"{where} annotates panoptic segments; a list of results is compared with COCO's "
            "instances file, and panoptic results with this one"
        )
    missing = [name for name in ("images", "annotations", "categories") if name not in truth]
    if missing:
        raise FormatError(f"{where} has no {', '.join(missing)}; expected COCO's instances file")
    try:
        sizes = _sizes(truth)
        for row in truth["annotations"]:
            _require_numbers(row["bbox"], 4)
            if "segmentation" in row:
                _check_mask(row["segmentation"], sizes[row["image_id"]])
    except (KeyError, TypeError, ValueError) as error:
        raise FormatError(f"{where}: {type(error).__name__}: {error}") from error


def _check(rows: Any, truth: Mapping[str, Any], kind: Kind, where: str) -> None:
    if not isinstance(rows, list):
        raise FormatError(f"{where} holds a JSON {type(rows).__name__}; expected a list of results")
    sizes, known = _sizes(truth), {category["id"] for category in truth["categories"]}
    for number, row in enumerate(rows):
        try:
            if row["image_id"] not in sizes:
                raise ValueError(f"image_id {row['image_id']!r} is not in the ground truth")
            if row["category_id"] not in known:
                raise ValueError(f"category_id {row['category_id']!r} is not in the ground truth")
            _require_numbers([row["score"]], 1)
            if kind == "segm":
                _check_mask(row["segmentation"], sizes[row["image_id"]])
            else:
                _require_numbers(row["bbox"], 4)
        except (KeyError, TypeError, ValueError) as error:
            raise FormatError(
                f"{where}, result {number}: {type(error).__name__}: {error}; expected image_id, "
                "category_id, score and " + ("segmentation" if kind == "segm" else "bbox")
            ) from error


def _sizes(truth: Mapping[str, Any]) -> dict[Any, tuple[int, int]]:
    sizes = {row["id"]: (int(row["height"]), int(row["width"])) for row in truth["images"]}
    for height, width in sizes.values():
        if not 0 < height * width <= _LARGEST_PIXELS:
            raise ValueError(f"an image of {width} x {height} pixels")
    return sizes


def _check_mask(mask: Any, size_hw: tuple[int, int]) -> None:
    """Refuse what the mask library would hang on, or read beyond."""
    if isinstance(mask, list):
        reach = 2 * max(size_hw)
        for polygon in mask:
            _require_numbers(polygon, len(polygon))
            if len(polygon) < 6 or len(polygon) % 2 or max(map(abs, polygon)) > reach:
                raise ValueError("a polygon of fewer than 3 points, or far outside the image")
        return
    if tuple(mask["size"]) != size_hw:
        raise ValueError(f"a mask of {mask['size']}, the image is {list(size_hw)}")
    if isinstance(mask["counts"], list):
        counts = [int(count) for count in mask["counts"]]
        if min(counts, default=-1) < 0 or sum(counts) != math.prod(size_hw):
            raise ValueError("run lengths that do not add up to the image")


def _require_numbers(values: Iterable[Any], count: int) -> None:
    numbers = [float(value) for value in values]
    if len(numbers) != count or not all(map(math.isfinite, numbers)):
        raise ValueError(f"{numbers} where {count} finite numbers are expected")

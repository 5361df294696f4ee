"""Average precision of tracks, against numbers of the official code and against COCO's own."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from regard.datasets.rle import decode_mask
from regard.datasets.ytvis_tracks import YtvisTruth, read_results, read_truth
from regard.evaluation.average_precision import NAMES, average_precision
from regard.evaluation.track_overlap import TrackOverlap, compare
from regard.evaluation.track_precision import frame_precision, video_precision
from ytvis_cases import random_case

NONE = -1.0

# The twelve numbers of the official code for `random_case(seed)`: class YTVOSeval of
# github.com/youtubevos/cocoapi at f3f9948, its C masks compiled, default parameters, and its names
# of old NumPy and Python 2 (np.float, unicode) defined. -1: there is no such object.
# fmt: off
OFFICIAL = {
    0: [
        0.381004243, 0.519566242, 0.392409241, 0.496369637, 0.95, 0.483333333,
        0.5375, 0.8875, 0.8875, 0.7, 1.0, 1.0,
    ],
    1: [
        0.460330033, 0.537340877, 0.473691655, 0.2, 0.72029703, 0.941914191,
        0.28, 0.95, 0.95, 0.6, 0.95, 1.0,
    ],
    2: [
        0.370213083, 0.797479748, 0.227300362, 0.3125, 0.636350778, NONE,
        0.2, 0.9, 0.9, 0.9, 1.0, NONE,
    ],
    7: [
        0.074653465, 0.082920792, 0.082920792, 0.094285714, 0.0, 0.9,
        0.15, 0.316666667, 0.316666667, 0.5, 0.0, 0.9,
    ],
    11: [
        0.487945545, 0.725247525, 0.475247525, 0.4, 0.8, 1.0,
        0.6, 0.95, 0.95, 0.8, 1.0, 1.0,
    ],
    23: [
        0.601683251, 0.738330976, 0.584252711, 0.0, 0.720650636, 0.834950495,
        0.35, 0.833333333, 0.833333333, 0.0, 1.0, 1.0,
    ],
}
# fmt: on
# The same run: AP and AR of the best 100 for each class.
OFFICIAL_CLASSES: dict[int, dict[int, tuple[float, float] | None]] = {
    0: {3: (0.32, 1.0), 7: (0.442008487, 0.775), 9: None},
    7: {3: (0.0, 0.0), 7: (0.149306931, 0.633333333), 9: None},
}
ROUNDED = 1e-9  # to nine digits


def load(folder: Path, seed: int) -> tuple[YtvisTruth, list[TrackOverlap]]:
    truth_rows, rows = random_case(seed)
    path = folder / "annotations.json"
    path.write_text(json.dumps(truth_rows))
    truth = read_truth(path)
    found = read_results(rows, truth)
    videos = [
        compare([t for t in found if t.video_id == v], truth.of(v), len(truth.videos[v].file_names))
        for v in truth.videos
    ]
    return truth, videos


@pytest.mark.parametrize("seed", OFFICIAL)
def test_the_numbers_are_those_of_the_official_code(tmp_path: Path, seed: int) -> None:
    truth, videos = load(tmp_path, seed)
    found = video_precision(videos, truth.categories)
    for name, expected in zip(NAMES, OFFICIAL[seed], strict=True):
        value = found.values[name]
        assert (NONE if math.isnan(value) else value) == pytest.approx(expected, abs=ROUNDED), name
    for category, numbers in OFFICIAL_CLASSES.get(seed, {}).items():
        own = found.by_category[category]
        if numbers is None:
            assert math.isnan(own["AP"])
        else:
            assert (own["AP"], own["AR 100"]) == pytest.approx(numbers, abs=ROUNDED)


@pytest.mark.parametrize("seed", [0, 7])
def test_by_frame_the_numbers_are_those_of_coco(tmp_path: Path, seed: int) -> None:
    """Every frame as a picture of its own, measured by faster-coco-eval."""
    pytest.importorskip("faster_coco_eval")
    truth_rows, rows = random_case(seed)
    images = [
        {"id": 100 * v["id"] + i, "height": v["height"], "width": v["width"], "file_name": name}
        for v in truth_rows["videos"]
        for i, name in enumerate(v["file_names"])
    ]
    content = {"images": images, "categories": truth_rows["categories"]}
    content["annotations"] = [
        row | {"id": n, "iscrowd": 0}
        for n, row in enumerate(frames_of(truth_rows["annotations"]), 1)
    ]
    path = tmp_path / "coco.json"
    path.write_text(json.dumps(content))
    expected = average_precision(frames_of(rows), path, "segm").values
    for row in truth_rows["annotations"]:
        row["iscrowd"] = 0  # COCO measures the overlap with a crowd in another way
    (tmp_path / "annotations.json").write_text(json.dumps(truth_rows))
    truth = read_truth(tmp_path / "annotations.json")
    found = read_results(rows, truth)
    videos = [
        compare([t for t in found if t.video_id == v], truth.of(v), len(truth.videos[v].file_names))
        for v in truth.videos
    ]
    own = frame_precision(videos, truth.categories).values
    assert own == pytest.approx(dict(expected), abs=1e-12, nan_ok=True)


def frames_of(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows with one mask a frame as COCO rows, without empty masks."""
    found = []
    for row in rows:
        for frame, stored in enumerate(row["segmentations"]):
            if stored is None or not (mask := decode_mask(stored)).any():
                continue
            own = {"image_id": 100 * row["video_id"] + frame, "segmentation": stored}
            kind = {"score": row["score"]} if "score" in row else {"bbox": [0, 0, 1, 1]}
            area = {"area": int(mask.sum()), "category_id": row["category_id"]}
            found.append(own | kind | area)
    return found


def rectangle(width: int) -> dict[str, Any]:
    """The first columns of a frame of 2 x 10 pixels."""
    return {"size": [2, 10], "counts": [0, 2 * width, 20 - 2 * width] if width else [20]}


def one_video(masks: list[Any], found: list[Any]) -> dict[str, Any]:
    names = [f"{i}.jpg" for i in range(len(masks))]
    row = {"id": 0, "video_id": 1, "category_id": 1, "segmentations": masks}
    return {
        "videos": [{"id": 1, "height": 2, "width": 10, "file_names": names}],
        "categories": [{"id": 1, "name": "fish"}],
        "annotations": [row],
        "results": [{"video_id": 1, "category_id": 1, "score": 0.5, "segmentations": found}],
    }


def overlaps(tmp_path: Path, content: dict[str, Any]) -> TrackOverlap:
    (tmp_path / "truth.json").write_text(json.dumps(content))
    truth = read_truth(tmp_path / "truth.json")
    return compare(read_results(content["results"], truth), truth.of(1), 3)


def test_overlaps_of_a_video_counted_by_hand(tmp_path: Path) -> None:
    content = one_video([rectangle(4), None, rectangle(2)], [rectangle(2), None, rectangle(0)])
    video = overlaps(tmp_path, content)
    assert video.of_frames().tolist() == [[[0.5, 0.0, 0.0]]]
    assert video.of_video() == pytest.approx(np.array([[4 / 12]]))
    assert video.of_video("frame mean") == pytest.approx(np.array([[(0.5 + 1 + 0) / 3]]))
    assert (video.mean_areas_px[0], video.true_mean_areas_px[0]) == (4.0, 6.0)


def test_an_annotation_with_id_0_can_be_matched(tmp_path: Path) -> None:
    """The official code takes id 0 for "no match"."""
    masks = [rectangle(4), rectangle(5), None]
    video = overlaps(tmp_path, one_video(masks, masks))
    assert video_precision([video], {1}).values["AP"] == pytest.approx(1.0)


def test_predictions_of_other_classes_do_not_count(tmp_path: Path) -> None:
    masks = [rectangle(4), None, None]
    content = one_video(masks, masks)
    content["results"].append(content["results"][0] | {"category_id": 5, "score": 0.9})
    video = overlaps(tmp_path, content)
    assert video_precision([video], {1}).values["AP"] == pytest.approx(1.0)

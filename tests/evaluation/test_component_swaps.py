"""What swaps of masks, classes and scores do to average precision, on cases seen through."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from regard.datasets.scramble import scrambled, unscrambled_results
from regard.datasets.ytvis_tracks import MaskTrack, YtvisTruth, read_results, read_truth
from regard.errors import FormatError
from regard.evaluation.component_swaps import SWAPS, swap_test
from ytvis_cases import random_case

SIZE = [1, 8]


def at(start: int, stop: int) -> dict[str, Any]:
    return {"size": SIZE, "counts": [start, stop - start, 8 - stop]}


def truth_of(folder: Path, content: dict[str, Any], name: str = "truth") -> YtvisTruth:
    path = folder / f"{name}.json"
    path.write_text(json.dumps(content))
    return read_truth(path)


@pytest.fixture
def two_objects() -> dict[str, Any]:
    """A fish at the left and an eel at the right, over two frames."""
    rows = [
        {"id": 1, "video_id": 1, "category_id": 1, "segmentations": [at(0, 3), at(1, 4)]},
        {"id": 2, "video_id": 1, "category_id": 2, "segmentations": [at(5, 8), at(5, 8)]},
    ]
    names = ["00.jpg", "01.jpg"]
    return {
        "videos": [{"id": 1, "height": 1, "width": 8, "file_names": names}],
        "categories": [{"id": 1, "name": "fish"}, {"id": 2, "name": "eel"}],
        "annotations": rows,
    }


def found(truth: YtvisTruth, *rows: tuple[int, float, Any]) -> list[MaskTrack]:
    keys = ("category_id", "score", "segmentations")
    return read_results([{"video_id": 1} | dict(zip(keys, r, strict=True)) for r in rows], truth)


def test_each_part_of_two_objects_is_replaced_for_itself(
    tmp_path: Path, two_objects: dict[str, Any]
) -> None:
    """The script that this stands for knew one object a video."""
    truth = truth_of(tmp_path, two_objects)
    left, right = [at(0, 3), at(1, 4)], [at(5, 8), at(5, 8)]
    sloppy = found(truth, (1, 0.9, [at(0, 1), None]), (2, 0.8, [at(7, 8), at(7, 8)]))
    masks = swap_test(sloppy, truth)
    assert masks.precision == pytest.approx({"unchanged": 0, "A": 1, "B": 0, "C": 0})
    confused = swap_test(found(truth, (2, 0.9, left), (1, 0.8, right)), truth)
    assert confused.precision == pytest.approx({"unchanged": 0, "A": 0, "B": 1, "C": 0})
    assert confused.gains() == pytest.approx({"A": 0, "B": 1, "C": 0})
    unsure = found(truth, (1, 0.2, left), (1, 0.9, right), (2, 0.7, right))
    scores = swap_test(unsure, truth).precision
    assert scores["C"] == pytest.approx(1)
    assert scores["unchanged"] == pytest.approx((0.5 + 1) / 2)


def test_parts_of_another_run_are_matched_by_rank(
    tmp_path: Path, two_objects: dict[str, Any]
) -> None:
    truth = truth_of(tmp_path, two_objects)
    left, right = [at(0, 3), at(1, 4)], [at(5, 8), at(5, 8)]
    perfect = found(truth, (2, 0.4, right), (1, 0.6, left))
    confused = found(truth, (2, 0.9, left), (1, 0.8, right), (1, 0.1, right))
    precision = swap_test(confused, truth, perfect).precision
    assert set(precision) == set(SWAPS)
    assert precision["reference"] == pytest.approx(1)
    assert precision["B2"] == pytest.approx(1)  # the third of rank is left as it is: a fish
    assert precision["D"] == pytest.approx(1)
    assert precision["C"] == precision["unchanged"] == 0
    assert precision["A2"] == 0


def test_masks_of_a_run_over_frames_in_another_order_are_put_in_this_one(tmp_path: Path) -> None:
    content, rows = random_case(1)
    there = scrambled(content, 3)
    assert there["videos"][0]["file_names"] != content["videos"][0]["file_names"]
    own, other = truth_of(tmp_path, content), truth_of(tmp_path, there, "scrambled")
    orders = {video["id"]: video["frame_order"] for video in there["videos"]}
    moved = [
        row | {"segmentations": [row["segmentations"][p] for p in orders[row["video_id"]]]}
        for row in rows
    ]
    assert unscrambled_results(moved, there) == rows
    tracks, reference = read_results(rows, own), read_results(moved, other)
    precision = swap_test(tracks, own, reference, other).precision
    for name in ("A2", "B2", "C", "D", "reference"):
        assert precision[name] == pytest.approx(precision["unchanged"], abs=1e-12), name


def test_runs_over_other_frames_are_refused(tmp_path: Path, two_objects: dict[str, Any]) -> None:
    other = copy.deepcopy(two_objects)
    other["videos"][0]["file_names"] = ["00.jpg", "02.jpg"]
    own, theirs = truth_of(tmp_path, two_objects), truth_of(tmp_path, other, "other")
    tracks = found(own, (1, 0.5, [None, None]))
    with pytest.raises(FormatError, match="other frames in the two runs"):
        swap_test(tracks, own, found(theirs, (1, 0.5, [None, None])), theirs)

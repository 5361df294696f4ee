"""Annotations and results of video data sets: what is refused, and by what name."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from regard.datasets.ytvis_tracks import mean_area_px, read_results, read_truth
from regard.errors import FormatError

MASK = {"size": [2, 3], "counts": [1, 2, 3]}


def truth() -> dict[str, Any]:
    rows = [{"id": 1, "video_id": 7, "category_id": 2, "segmentations": [MASK, None]}]
    return {
        "videos": [{"id": 7, "height": 2, "width": 3, "file_names": ["a.jpg", "b.jpg"]}],
        "categories": [{"id": 2, "name": "fish"}],
        "annotations": rows,
    }


def result() -> dict[str, Any]:
    return {"video_id": 7, "category_id": 2, "score": 0.5, "segmentations": [MASK, None]}


def write(folder: Path, content: Any) -> Path:
    path = folder / "file.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_what_is_right_is_read(tmp_path: Path) -> None:
    found = read_truth(write(tmp_path, truth()))
    (track,) = found.of(7)
    assert (found.categories, track.frames) == ({2: "fish"}, [0])
    assert [m and m.area_px for m in track.masks()] == [2, None]
    assert mean_area_px(track, track.masks()) == 2.0
    stated = truth()
    stated["annotations"][0]["areas"] = [9, None]
    (track,) = read_truth(write(tmp_path, stated)).tracks
    assert mean_area_px(track, track.masks()) == 9.0


def test_polygons_are_drawn_as_coco_draws_them(tmp_path: Path) -> None:
    pytest.importorskip("faster_coco_eval")
    content = truth()
    content["annotations"][0]["segmentations"][0] = [[0, 0, 2, 0, 2, 2, 0, 2]]
    (track,) = read_truth(write(tmp_path, content)).tracks
    (runs, _) = track.masks()
    assert runs is not None
    assert runs.mask().tolist() == [[True, True, False], [True, True, False]]


def _video(key: str, value: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda content: content["videos"][0].update({key: value})


def _row(key: str, value: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda content: content["annotations"][0].update({key: value})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: c.pop("categories"), "no list of categories"),
        (lambda c: c["videos"].clear(), "no list of videos"),
        (lambda c: c["videos"].append(c["videos"][0]), "video id 7 occurs twice"),
        (lambda c: c["categories"].append(c["categories"][0]), "category id 2 occurs twice"),
        (lambda c: c["annotations"].append(c["annotations"][0]), "annotation id 1 occurs twice"),
        (_video("id", [7]), "id is .7., expected a whole number"),
        (_video("height", 10**9), "1000000000 x 3 pixels"),
        (_video("file_names", []), "no list of file_names"),
        (_row("video_id", 8), "annotation 0: video_id 8 is not among"),
        (_row("category_id", 3), "category_id 3 is not among the categories"),
        (_row("segmentations", [MASK]), "1 segmentations for the 2 frames"),
        (_row("segmentations", None), "no list of segmentations"),
        (_row("areas", [-1, None]), "areas that are not"),
        (_row("areas", [1]), "areas that are not"),
        (lambda c: c["annotations"].append([]), "annotation 1: a JSON list"),
    ],
)
def test_annotations_that_contradict_themselves_are_refused(
    tmp_path: Path, change: Callable[[dict[str, Any]], Any], words: str
) -> None:
    content = truth()
    change(content)
    with pytest.raises(FormatError, match=words):
        read_truth(write(tmp_path, content))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"videos": NaN}', "NaN is no number of JSON"),
        ('{"videos": -Infinity}', "-Infinity is no number"),
        ("[" * 200_000, "nested too deeply"),
        ("{", "cannot be read as JSON"),
        ("[]", "no list of videos, categories, annotations"),
    ],
)
def test_files_that_are_no_json_are_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(FormatError, match=words):
        read_truth(write(tmp_path, text))
    with pytest.raises(FormatError, match="cannot be read as JSON"):
        read_truth(tmp_path / "gone.json")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"video_id": 8}, "result 1: video_id 8 is not among"),
        ({"video_id": None}, "video_id is None"),
        ({"score": float("nan")}, "nan where a finite number"),
        ({"score": "0.5"}, "'0.5' where a finite number"),
        ({"score": True}, "True where a finite number"),
        ({"category_id": -1}, "category_id is -1"),
        ({"refiner_id": [1]}, "refiner_id is .1."),
        ({"segmentations": [MASK]}, "1 segmentations for the 2 frames of video 7"),
    ],
)
def test_hostile_results_are_refused(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    annotated = read_truth(write(tmp_path, truth()))
    with pytest.raises(FormatError, match=words):
        read_results([result(), result() | change], annotated)
    wrong: Any
    for wrong in ({"results": []}, "rows"):
        path = tmp_path / "results.json"
        path.write_text(json.dumps(wrong))
        with pytest.raises(FormatError, match="expected a list of results"):
            read_results(path, annotated)


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        ({"size": [2, 3], "counts": [10**15]}, "do not fill it"),
        ({"size": [3, 2], "counts": [6]}, r"\(3, 2\), expected \(2, 3\)"),
        ({"size": [10**5, 10**5], "counts": [10**10]}, "of at most"),
        ("x", "size None"),
        ([[0, 0, 1e9, 0, 0, 1]], "far outside"),
        ([[0, 0, 1]], "fewer than 3 points"),
    ],
)
def test_hostile_masks_are_refused_with_the_number_of_their_result(
    tmp_path: Path, mask: Any, words: str
) -> None:
    annotated = read_truth(write(tmp_path, truth()))
    row = result() | {"segmentations": [None, mask]}
    found = read_results([result(), row], annotated)
    with pytest.raises(FormatError, match=f"result 1: .*{words}"):
        found[1].masks()

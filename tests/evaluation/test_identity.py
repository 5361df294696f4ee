"""Identities of tracks, counted by hand."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from regard.datasets.ytvis_tracks import read_results, read_truth
from regard.evaluation.consistency import consistency
from regard.evaluation.identity import confident, identity, without
from regard.evaluation.track_overlap import TrackOverlap, compare

SIZE = [1, 8]


def at(*places: int) -> dict[str, Any] | None:
    """A mask of some of the eight pixels of a frame."""
    counts, values = [0], [place in places for place in range(8)]
    for place, value in enumerate(values):
        if value != (len(counts) % 2 == 0):
            counts.append(0)
        counts[-1] += 1
        assert place < 8
    return {"size": SIZE, "counts": counts} if places else None


def video(tmp_path: Path, objects: list[list[Any]], tracks: list[list[Any]]) -> TrackOverlap:
    frames = len(objects[0])
    names = [f"{i}.jpg" for i in range(frames)]
    rows = [
        {"id": n, "video_id": 1, "category_id": 1, "segmentations": masks}
        for n, masks in enumerate(objects)
    ]
    content = {
        "videos": [{"id": 1, "height": 1, "width": 8, "file_names": names}],
        "categories": [{"id": 1, "name": "fish"}],
        "annotations": rows,
    }
    (tmp_path / "truth.json").write_text(json.dumps(content))
    truth = read_truth(tmp_path / "truth.json")
    found = [
        {"video_id": 1, "category_id": 1, "score": 0.5, "segmentations": masks} for masks in tracks
    ]
    return compare(read_results(found, truth), truth.of(1), frames)


def test_two_tracks_that_swap_their_objects_are_two_switches(tmp_path: Path) -> None:
    left, right = at(0, 1), at(6, 7)
    here = video(tmp_path, [[left] * 4, [right] * 4], [[left, left, right, right]])
    found = identity([here])
    assert (found.objects, found.predictions, found.matched) == (8, 4, 4)
    assert found.switches == 0  # the right one was never matched to another track
    both = [[left, left, right, right], [right, right, left, left]]
    found = identity([video(tmp_path, [[left] * 4, [right] * 4], both)])
    assert (found.matched, found.switches, found.fragments) == (8, 2, 0)
    assert found.mota == pytest.approx(1 - 2 / 8)
    assert (found.motp, found.idf1) == (1.0, 0.5)


def test_a_track_that_is_lost_and_found_is_a_fragment_and_no_switch(tmp_path: Path) -> None:
    there = at(0, 1)
    found = identity([video(tmp_path, [[there] * 4], [[there, None, None, there]])])
    assert (found.matched, found.switches, found.fragments) == (2, 0, 1)
    assert found.mota == pytest.approx(0.5)
    assert found.idf1 == pytest.approx(2 * 2 / 6)
    unseen = identity([video(tmp_path, [[there, None, there]], [[there, None, there]])])
    assert (unseen.fragments, unseen.mota) == (0, 1.0)


def test_the_match_of_the_frame_before_has_the_first_right(tmp_path: Path) -> None:
    one, half = at(0, 1, 2, 3), at(0, 1, 2)
    found = identity([video(tmp_path, [[one, one]], [[one, half], [None, one]])])
    assert (found.switches, found.matched) == (0, 2)
    assert found.motp == pytest.approx((1 + 3 / 4) / 2)


def test_nothing_to_follow_is_no_number(tmp_path: Path) -> None:
    found = identity([video(tmp_path, [[None, None]], [])])
    assert math.isnan(found.mota)
    assert math.isnan(found.motp)
    assert math.isnan(found.idf1)


def test_pairs_are_told_by_how_steady_they_are(tmp_path: Path) -> None:
    here = video(tmp_path, [[at(0, 1), at(0, 1), None, at(0)]], [[at(0), None, None, at(0)]])
    (pair,) = consistency([here]).pairs
    overlaps = [0.5, 0.0, 1.0, 1.0]
    mean = sum(overlaps) / 4
    spread = math.sqrt(sum((x - mean) ** 2 for x in overlaps) / 4)
    assert (pair.overlap, pair.stability) == pytest.approx((mean, 1 - spread))
    assert pair.completeness == pytest.approx(2 / 3)
    assert (pair.breaks, pair.frames) == (1, 4)
    assert consistency([here]).mean("overlap") == pytest.approx(mean)
    assert math.isnan(consistency([]).mean("overlap"))


def test_one_class_of_a_row_is_looked_at_and_only_if_it_is_sure(tmp_path: Path) -> None:
    here = video(tmp_path, [[at(0)]], [[at(0)], [at(1)], [at(2)]])
    rows = [
        {"video_id": 1, "category_id": c, "score": s, "refiner_id": r, "segmentations": [at(0)]}
        for c, s, r in ((1, 0.4, 0), (2, 0.6, 0), (1, 0.2, 1), (1, 0.5, 2))
    ]
    found = read_results(rows, read_truth(tmp_path / "truth.json"))
    assert [t.score for t in confident(found, 0.3)] == [0.6, 0.5]
    assert len(confident(here.found, 0.3)) == 3  # without rows each is for itself
    assert without(here, [here.found[1]]).areas_px.tolist() == [[1.0]]

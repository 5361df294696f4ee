"""Other orders of frames, and back."""

import copy
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regard.datasets.scramble import (
    frame_order,
    inverse,
    original_order,
    scrambled,
    unscrambled,
    unscrambled_results,
)
from regard.errors import FormatError
from ytvis_cases import random_case

FROZEN = [4, 8, 7, 9, 2, 1, 6, 0, 5, 3]  # of its own, by Python 3.11


@given(st.integers(0, 40), st.integers())
def test_an_order_and_its_inverse_do_nothing(frames: int, seed: int) -> None:
    order = frame_order(frames, seed)
    values = [f"frame {place}" for place in range(frames)]
    there = [values[place] for place in order]
    assert [there[place] for place in inverse(order)] == values


def test_the_order_is_that_of_the_dvis_attention_pipeline() -> None:
    """Its script shuffles the places by Python's generator, seeded by base plus video id."""
    random.seed(403)
    places = list(range(10))
    random.shuffle(places)
    assert frame_order(10, 403) == places == FROZEN


@pytest.mark.parametrize("seed", [0, 400])
def test_a_data_set_is_put_back_with_its_order_noted_and_without(seed: int) -> None:
    content, _ = random_case(1)
    before = copy.deepcopy(content)
    there = scrambled(content, seed)
    assert content == before
    assert there["videos"] != content["videos"]
    assert unscrambled(there) == content
    for video in there["videos"]:
        del video["frame_order"]
    assert unscrambled(there) == content  # by the numbers of the files


def test_masks_stay_with_their_files() -> None:
    content, _ = random_case(1)
    there = scrambled(content, 5)
    for old, new in zip(content["annotations"], there["annotations"], strict=True):
        files = [
            next(v for v in c["videos"] if v["id"] == old["video_id"])["file_names"]
            for c in (content, there)
        ]
        for key in ("segmentations", "areas"):
            assert dict(zip(files[0], map(str, old[key]), strict=True)) == dict(
                zip(files[1], map(str, new[key]), strict=True)
            )


def test_results_are_put_back() -> None:
    content, rows = random_case(1)
    there = scrambled(content, 9)
    orders = {video["id"]: video["frame_order"] for video in there["videos"]}
    moved = [
        row | {"segmentations": [row["segmentations"][p] for p in orders[row["video_id"]]]}
        for row in rows
    ]
    assert moved != rows
    assert unscrambled_results(moved, there) == rows


def _broken(**changes: Any) -> dict[str, Any]:
    return {"videos": [{"id": 1, "file_names": ["1.jpg", "2.jpg"]} | changes]}


def test_what_has_no_order_is_refused() -> None:
    content, rows = random_case(1)
    with pytest.raises(FormatError, match="scrambled already"):
        scrambled(scrambled(content, 1), 1)
    with pytest.raises(FormatError, match="'x' is no whole number"):
        scrambled(_broken(id="x"), 1)
    with pytest.raises(FormatError, match="no order of its frames"):
        unscrambled(_broken(frame_order=[0, 0]))
    with pytest.raises(FormatError, match="do not number the frames"):
        original_order(["a.jpg", "b.jpg"])
    with pytest.raises(FormatError, match="no YTVIS data set"):
        unscrambled({"videos": []})
    rows[0] = rows[0] | {"segmentations": []}
    with pytest.raises(FormatError, match="result 0 has segmentations that are not one"):
        unscrambled_results(rows, content)
    with pytest.raises(FormatError, match="result 0 is of no video"):
        unscrambled_results([{"video_id": 99}], content)

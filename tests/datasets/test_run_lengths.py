"""Masks as run lengths, against COCO's own library and by hand."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from regard.datasets.run_lengths import Mask, compressed, read_runs, runs_of, uncompressed

masks = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=9))


@given(masks)
def test_a_mask_survives_both_forms(mask: Mask) -> None:
    runs = runs_of(mask)
    for form in (uncompressed, compressed):
        again = read_runs(form(runs), mask.shape)
        assert np.array_equal(again.mask(), mask)
        assert again.area_px == mask.sum()


@given(st.data())
def test_shared_pixels_are_those_of_the_masks(data: st.DataObject) -> None:
    a = data.draw(masks)
    b = data.draw(arrays(np.bool_, a.shape))
    assert runs_of(a).shared_px(runs_of(b)) == (a & b).sum()


@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
def test_strings_are_those_of_coco(share: float) -> None:
    library = pytest.importorskip("faster_coco_eval.core.mask")
    mask = np.random.default_rng(0).random((37, 411)) < share
    theirs = library.encode(np.asfortranarray(mask.astype(np.uint8)))
    text = theirs["counts"]
    assert compressed(runs_of(mask))["counts"] == (text if isinstance(text, str) else text.decode())
    assert np.array_equal(read_runs(theirs).mask(), mask)


def test_runs_without_a_pixel_are_left_out() -> None:
    runs = read_runs({"size": [2, 4], "counts": [1, 2, 0, 1, 3, 0, 1]})
    assert (runs.starts.tolist(), runs.ends.tolist()) == ([1, 3], [3, 4])
    assert np.array_equal(runs.mask(), [[False, True, False, False], [True, True, False, False]])


@pytest.mark.parametrize(
    ("rle", "words"),
    [
        (None, "no object with size and counts"),
        ({"size": [4, 4]}, "no object with size and counts"),
        ({"size": [4], "counts": [16]}, r"size \[4\]"),
        ({"size": [4, True], "counts": [4]}, "expected .height, width"),
        ({"size": [5, 4], "counts": [20]}, r"\[5, 4\], the frame is \[4, 4\]"),
        ({"size": [4, 4], "counts": [10**12]}, "1,000,000,000,000 pixels in all"),
        ({"size": [4, 4], "counts": [20, -4]}, "none negative"),
        ({"size": [4, 4], "counts": [8]}, "expected 16"),
        ({"size": [4, 4], "counts": [8.0, 8]}, "neither a string nor a list"),
        ({"size": [4, 4], "counts": {"0": 16}}, "neither a string nor a list"),
        ({"size": [4, 4], "counts": "oooooooo"}, "not of COCO's digits"),
        ({"size": [4, 4], "counts": "0ÿ"}, "not of COCO's digits"),
        ({"size": [4, 4], "counts": "P"}, "in the middle of a number"),
        ({"size": [4, 4], "counts": "@"}, "a run of -16 pixels"),
        ({"size": [4, 4], "counts": ""}, "0 pixels in all"),
    ],
)
def test_hostile_masks_are_refused(rle: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_runs(rle, (4, 4))


def test_a_picture_too_large_is_refused_before_it_is_made() -> None:
    with pytest.raises(ValueError, match="the most is"):
        read_runs({"size": [10**6, 10**6], "counts": [10**12]})

"""Masks as run lengths, against COCO's own library and by hand."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from regard.datasets.mask_runs import read_runs, runs_of
from regard.datasets.rle import Mask, decode_mask, encode_mask
from regard.datasets.run_lengths import run_lengths
from regard.errors import FormatError

masks = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=9))


@given(masks)
def test_a_mask_survives_both_forms(mask: Mask) -> None:
    assert np.array_equal(runs_of(mask).mask(), mask)
    for stored in (encode_mask(mask), run_lengths(mask)):
        assert np.array_equal(decode_mask(stored, mask.shape), mask)
        again = read_runs(stored, mask.shape)
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
    assert encode_mask(mask)["counts"] == (text if isinstance(text, str) else text.decode())
    assert np.array_equal(read_runs(theirs).mask(), mask)


def test_runs_without_a_pixel_are_left_out() -> None:
    runs = read_runs({"size": [2, 4], "counts": [1, 2, 0, 1, 3, 0, 1]})
    assert (runs.starts.tolist(), runs.ends.tolist()) == ([1, 3], [3, 4])
    assert np.array_equal(runs.mask(), [[False, True, False, False], [True, True, False, False]])


@pytest.mark.parametrize(
    ("stored", "words"),
    [
        (None, "size None"),
        ({"size": [4, 4]}, "do not fill it"),
        ({"size": [4], "counts": [16]}, r"size \[4\]"),
        ({"size": [4, True], "counts": [4]}, "expected .height, width"),
        ({"size": [5, 4], "counts": [20]}, r"\(5, 4\), expected \(4, 4\)"),
        ({"size": [4, 4], "counts": [10**12]}, "do not fill it"),
        ({"size": [4, 4], "counts": [20, -4]}, "do not fill it"),
        ({"size": [4, 4], "counts": [8]}, "16 in sum"),
        ({"size": [4, 4], "counts": [8.0, 8]}, "do not fill it"),
        ({"size": [4, 4], "counts": {"0": 16}}, "do not fill it"),
        ({"size": [4, 4], "counts": "oooooooo0"}, "not in COCO's text form"),
        ({"size": [4, 4], "counts": "0ÿ"}, "not in COCO's text form"),
        ({"size": [4, 4], "counts": "0oooo"}, "in the middle of a number"),
        ({"size": [4, 4], "counts": "P"}, "in the middle of a number"),
        ({"size": [4, 4], "counts": "@"}, "do not fill it"),
        ({"size": [4, 4], "counts": ""}, "do not fill it"),
    ],
)
def test_hostile_masks_are_refused(stored: Any, words: str) -> None:
    for read in (read_runs, decode_mask):
        with pytest.raises(FormatError, match=words):
            read(stored, (4, 4))


def test_a_picture_too_large_is_refused_before_it_is_made() -> None:
    with pytest.raises(FormatError, match="of at most"):
        read_runs({"size": [10**6, 10**6], "counts": [10**12]})

"""Run lengths as COCO packs them: against its own code, there and back, and hostile ones."""

import contextlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from regard.datasets.rle import decode_mask, encode_mask
from regard.errors import FormatError

masks = arrays(bool, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12))


@given(masks)
def test_a_mask_comes_back(mask: np.ndarray[Any, np.dtype[np.bool_]]) -> None:
    stored = encode_mask(mask)
    assert stored["size"] == list(mask.shape)
    assert np.array_equal(decode_mask(stored, mask.shape), mask)


def test_text_is_that_of_coco() -> None:
    coco = pytest.importorskip("faster_coco_eval.core").mask
    random = np.random.default_rng(0)
    for _ in range(100):
        mask = random.random(tuple(random.integers(1, 60, 2))) < random.random()
        expected = coco.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"]
        expected = expected.decode() if isinstance(expected, bytes) else expected
        assert encode_mask(mask)["counts"] == expected


def test_long_runs_take_several_pieces() -> None:
    mask = np.zeros((3000, 4000), bool)
    mask[:, 3990:] = True
    stored = encode_mask(mask)
    assert np.array_equal(decode_mask(stored), mask)
    assert decode_mask(stored).sum() == 30_000


def test_lists_of_numbers_are_read_too() -> None:
    mask = decode_mask({"size": [2, 2], "counts": [0, 2, 1, 1]})
    assert mask.tolist() == [[True, False], [True, True]]


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        (None, "has size None"),
        ({"size": [2], "counts": [4]}, "has size"),
        ({"size": [2, -2], "counts": [4]}, "has size"),
        ({"size": [2.0, 2], "counts": [4]}, "has size"),
        ({"size": [10**6, 10**6], "counts": [10**12]}, "has size"),
        ({"size": [2, 3], "counts": [6]}, "expected \\(2, 2\\)"),
        ({"size": [2, 2]}, "do not fill"),
        ({"size": [2, 2], "counts": [3]}, "do not fill"),
        ({"size": [2, 2], "counts": [-1, 5]}, "do not fill"),
        ({"size": [2, 2], "counts": [True, 3]}, "do not fill"),
        ({"size": [2, 2], "counts": "4\N{SNOWMAN}"}, "do not fill|not in COCO's text form"),
        ({"size": [2, 2], "counts": " "}, "not in COCO's text form"),
        ({"size": [2, 2], "counts": "P"}, "end in the middle"),
        ({"size": [2, 2], "counts": "PPPPPPPPPPPPPPP0"}, "not in COCO's text form"),
        ({"size": [2, 2], "counts": ""}, "do not fill"),
    ],
)
def test_hostile_run_lengths_are_refused(stored: Any, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        decode_mask(stored, (2, 2))


@given(st.text(max_size=20))
def test_any_text_is_a_mask_or_an_error(text: str) -> None:
    with contextlib.suppress(FormatError):
        assert decode_mask({"size": [3, 4], "counts": text}).shape == (3, 4)

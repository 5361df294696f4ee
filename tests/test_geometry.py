import doctest
import json
import math
from typing import Any, Literal

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F
from transformers.image_transforms import center_crop

import regard.geometry
from regard.errors import FormatError, GeometryError
from regard.geometry import ViewTransform

SIDES = st.integers(1, 16)
FEW = st.integers(0, 5)


def coordinates(height: int, width: int) -> Tensor:
    """A picture that says where it is: channels x and y hold each pixel's own centre."""
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    return torch.stack([x, y]).double()


def resized(picture: Tensor, height: int, width: int) -> Tensor:
    """Bilinear, NaN beyond the outermost pixel centres, where torch repeats the border."""
    result = F.interpolate(picture[None], size=(height, width), mode="bilinear")[0]
    for axis, length in ((1, picture.shape[1]), (2, picture.shape[2])):
        new = result.shape[axis]
        at = (torch.arange(new) + 0.5) * length / new
        beyond = (at < 0.5) | (at > length - 0.5)
        result.index_fill_(axis, beyond.nonzero()[:, 0], math.nan)
    return result


@st.composite
def preparations(draw: st.DrawFn) -> tuple[ViewTransform, Tensor]:
    """A view of any steps in any order, and the coordinate picture after the same steps."""
    size_hw = draw(SIDES), draw(SIDES)
    view, picture = ViewTransform.identity(size_hw), coordinates(*size_hw)
    for step in draw(st.lists(st.sampled_from(["resize", "crop", "pad"]), max_size=4)):
        height, width = view.input_hw
        if step == "resize":
            size_hw = draw(SIDES), draw(SIDES)
            view, picture = view.resize(size_hw), resized(picture, *size_hw)
        elif step == "pad":
            left, top, right, bottom = (draw(FEW) for _ in range(4))
            view = view.pad(left=left, top=top, right=right, bottom=bottom)
            picture = F.pad(picture, (left, right, top, bottom), value=math.nan)
        else:
            x0, y0, x1, y1 = view.content_box_xyxy
            left = draw(st.integers(-5, math.ceil(x1) - 1))
            top = draw(st.integers(-5, math.ceil(y1) - 1))
            right = draw(st.integers(max(left, math.floor(x0)) + 1, width + 6))
            bottom = draw(st.integers(max(top, math.floor(y0)) + 1, height + 6))
            view = view.crop((left, top, right, bottom))
            edges = (-left, right - width, -top, bottom - height)
            picture = F.pad(picture, edges, value=math.nan)
    return view, picture


@settings(deadline=None)
@given(preparations())
def test_every_input_pixel_shows_the_original_point_that_the_view_names(
    preparation: tuple[ViewTransform, Tensor],
) -> None:
    view, picture = preparation
    assert picture.shape[1:] == view.input_hw
    x, y = coordinates(*view.input_hw)
    original = torch.stack(view.to_original(x, y))
    shown = picture.isfinite()
    # Both are a few float64 operations on numbers below 100.
    torch.testing.assert_close(picture[shown], original[shown], rtol=0, atol=1e-10)
    x0, y0, x1, y1 = view.content_box_xyxy
    inside = (x > x0) & (x < x1) & (y > y0) & (y < y1)
    assert not (shown.any(0) & ~inside).any()


@settings(deadline=None)
@given(preparations())
def test_content_is_what_was_seen(preparation: tuple[ViewTransform, Tensor]) -> None:
    view, _ = preparation
    x0, y0, x1, y1 = view.seen_box_xyxy
    height, width = view.original_hw
    assert 0 <= x0 < x1 <= width
    assert 0 <= y0 < y1 <= height
    content = (*view.to_input(x0, y0), *view.to_input(x1, y1))
    assert content == pytest.approx(view.content_box_xyxy, rel=0, abs=1e-10)


@settings(deadline=None)
@given(preparations())
def test_json_gives_back_an_equal_view(preparation: tuple[ViewTransform, Tensor]) -> None:
    view, _ = preparation
    assert ViewTransform.from_json(json.loads(json.dumps(view.to_json()))) == view


def test_identity_changes_nothing() -> None:
    view = ViewTransform.identity((480, 640))
    assert view.to_input(12.5, 7.25) == (12.5, 7.25)
    assert view.seen_box_xyxy == view.content_box_xyxy == (0.0, 0.0, 640.0, 480.0)


def test_shortest_edge_and_centre_crop_see_the_middle() -> None:
    view = ViewTransform.identity((480, 640)).resize((240, 320)).center_crop((224, 224))
    assert view.input_hw == (224, 224)
    assert view.content_box_xyxy == (0.0, 0.0, 224.0, 224.0)
    assert view.seen_box_xyxy == (96.0, 16.0, 544.0, 464.0)


def test_resize_after_padding_scales_the_padding_too() -> None:
    view = ViewTransform.identity((30, 40)).pad(top=5, bottom=5).resize((20, 20))
    assert view.content_box_xyxy == (0.0, 2.5, 20.0, 17.5)
    assert view.seen_box_xyxy == (0.0, 0.0, 40.0, 30.0)


def test_padding_after_a_crop_does_not_bring_the_cropped_pixels_back() -> None:
    view = ViewTransform.identity((10, 10)).crop((4, 0, 10, 10)).pad(left=4)
    assert view.to_input(4.0, 0.0) == (4.0, 0.0)
    assert view.seen_box_xyxy == (4.0, 0.0, 10.0, 10.0)


def test_crop_outside_is_padding() -> None:
    view = ViewTransform.identity((10, 10)).crop((-3, 2, 12, 13))
    assert view.input_hw == (11, 15)
    assert view.content_box_xyxy == (3.0, 0.0, 13.0, 8.0)
    assert view.seen_box_xyxy == (0.0, 2.0, 10.0, 10.0)


@pytest.mark.parametrize("before", range(1, 9))
@pytest.mark.parametrize("after", range(1, 9))
def test_centre_crop_is_that_of_transformers(before: int, after: int) -> None:
    picture = np.arange(1, before + 1, dtype=np.float32).reshape(1, before, 1)
    cropped = center_crop(picture, (after, 1), input_data_format="channels_first")[0, :, 0]
    view = ViewTransform.identity((before, 1)).center_crop((after, 1))
    original = [view.to_original(0.5, row + 0.5)[1] + 0.5 for row in range(after)]
    assert cropped.tolist() == [y if 1 <= y <= before else 0 for y in original]


# First rows of a column of 1, 2, 3, ... after CenterCrop, run once with torchvision 0.28 and
# transformers 5.23: (rows before, rows after) -> first row of the result; 0 is padding.
@pytest.mark.parametrize(
    ("before", "after", "transformers", "transformers_torchvision", "torchvision"),
    [
        (6, 4, [2, 3], [2, 3], [2, 3]),
        (5, 4, [1, 2], [1, 2], [1, 2]),
        (7, 4, [2, 3], [2, 3], [3, 4]),
        (9, 4, [3, 4], [3, 4], [3, 4]),
        (4, 5, [0, 1], [1, 2], [1, 2]),
        (4, 7, [0, 0], [0, 1], [0, 1]),
    ],
)
def test_centre_crop_rounds_as_its_convention_does(
    before: int,
    after: int,
    transformers: list[int],
    transformers_torchvision: list[int],
    torchvision: list[int],
) -> None:
    def first_rows(
        convention: Literal["transformers", "transformers-torchvision", "torchvision"],
    ) -> list[int]:
        view = ViewTransform.identity((before, 1)).center_crop((after, 1), convention=convention)
        return [max(int(view.to_original(0.5, row + 0.5)[1] + 0.5), 0) for row in range(2)]

    assert first_rows("transformers") == transformers
    assert first_rows("transformers-torchvision") == transformers_torchvision
    assert first_rows("torchvision") == torchvision


def test_numbers_of_numpy_become_plain_numbers() -> None:
    size: Any = np.array([30, 40])
    view = ViewTransform.identity(size).resize(tuple(size * 2))
    assert json.loads(json.dumps(view.to_json()))["input_hw"] == [60, 80]
    assert hash(view) == hash(ViewTransform.identity((30, 40)).resize((60, 80)))


VIEW = ViewTransform.identity((30, 40))
NAN = math.nan


@pytest.mark.parametrize(
    ("step", "arguments", "message"),
    [
        ("identity", {"size_hw": (0, 4)}, r"size_hw is \(0, 4\), expected \(height, width\)"),
        ("resize", {"size_hw": (3.5, 4)}, r"size_hw is \(3.5, 4\), expected 2 whole numbers"),
        ("resize", {"size_hw": (3,)}, r"size_hw is \(3,\), expected 2 whole numbers"),
        ("crop", {"box_xyxy": (0.5, 0, 4, 4)}, "expected 4 whole numbers of pixels"),
        ("crop", {"box_xyxy": (4, 0, 4, 4)}, r"\(4, 0, 4, 4\) is empty: give \(left, top, right"),
        (
            "crop",
            {"box_xyxy": (40, 0, 50, 4)},
            r"the photo lies at \(0, 0, 40, 30\) of the 40 x 30",
        ),
        ("pad", {"left": -1}, "expected 0 or more: use crop"),
        ("center_crop", {"size_hw": (8, 8), "convention": "timm"}, "'timm', expected one of"),
    ],
)
def test_refuses(step: str, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(GeometryError, match=message):
        getattr(VIEW, step)(**arguments)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("scale_yx", [1, -1], "flip the picture before"),
        ("scale_yx", [1, NAN], "expected 2 finite numbers"),
        ("scale_yx", 3, "expected 2 finite numbers"),
        ("offset_yx", ["a", 0], "expected 2 finite numbers"),
        ("content_box_xyxy", [0, 0, 41, 30], "more than there is"),
        ("content_box_xyxy", [5, 0, 5, 30], "holds no photo"),
        ("offset_yx", [3, 0], "more than there is"),
        ("input_hw", [30, -4], "both above 0"),
    ],
)
def test_refuses_a_view_that_contradicts_itself(field: str, value: Any, message: str) -> None:
    with pytest.raises(GeometryError, match=message):
        ViewTransform.from_json({**VIEW.to_json(), field: value})


@pytest.mark.parametrize("damage", [{"scale": 1}, {}])
def test_refuses_json_of_other_fields(damage: dict[str, Any]) -> None:
    value = {**VIEW.to_json(), **damage}
    if not damage:
        del value["scale_yx"]
    with pytest.raises(FormatError, match="a view has the fields"):
        ViewTransform.from_json(value)


def test_examples_in_the_docstrings() -> None:
    results = doctest.testmod(regard.geometry)
    assert results.attempted > 0
    assert results.failed == 0

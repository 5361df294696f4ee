import doctest
import json
import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

import regard.tokens.grid
from regard.errors import GeometryError
from regard.geometry import Box, ViewTransform
from regard.tokens import Tokens, tokens_from_json
from regard.tokens.grid import GridTokens

SIDES = st.integers(2, 20)


def assert_exact(actual: Tensor, expected: Tensor) -> None:
    """Equal up to the rounding of sums and products of some hundred float64 numbers near 1."""
    torch.testing.assert_close(actual, expected, rtol=1e-11, atol=1e-11)


@st.composite
def views(draw: st.DrawFn) -> ViewTransform:
    view = ViewTransform.identity((draw(SIDES), draw(SIDES)))
    if draw(st.booleans()):
        view = view.resize((draw(SIDES), draw(SIDES)))
    if draw(st.booleans()):
        height, width = view.input_hw
        left, top = draw(st.integers(-4, width - 1)), draw(st.integers(-4, height - 1))
        right = draw(st.integers(max(left, 0) + 1, width + 4))
        view = view.crop((left, top, right, draw(st.integers(max(top, 0) + 1, height + 4))))
    if draw(st.booleans()):
        view = view.pad(right=draw(st.integers(0, 6)), bottom=draw(st.integers(0, 6)))
    if draw(st.booleans()):
        view = view.resize((draw(SIDES), draw(SIDES)))
    return view


@st.composite
def grids(draw: st.DrawFn) -> GridTokens:
    """Any resize, crop, pad and stride: anisotropic, not dividing, rounded up or down."""
    view = draw(views())
    prefix = ("cls", "register 1")[: draw(st.integers(0, 2))]
    suffix = ("detection 1",)[: draw(st.integers(0, 1))]
    steps = [draw(st.integers(1, 7)) + draw(st.sampled_from([0, 0.5])) for _ in range(2)]
    tokens = GridTokens.from_stride(view, (steps[0], steps[1]), prefix=prefix, suffix=suffix)
    if not draw(st.booleans()):
        return tokens
    rows, columns = (max(1, int(view.input_hw[axis] // steps[axis])) for axis in range(2))
    x0, y0, _, _ = view.content_box_xyxy
    if x0 >= columns * steps[1] or y0 >= rows * steps[0]:
        return tokens
    return GridTokens(
        rows * columns + len(prefix) + len(suffix),
        grid_hw=(rows, columns),
        stride_px=(steps[0], steps[1]),
        view=view,
        prefix=prefix,
        suffix=suffix,
    )


def random_weights(tokens: Tokens, *leading: int) -> Tensor:
    generator = torch.Generator().manual_seed(tokens.count)
    shape = (*leading, tokens.count)
    return torch.rand(shape, generator=generator, dtype=torch.float64).softmax(-1)


def placed(tokens: GridTokens) -> dict[int, Box]:
    """Region of every token that stands for any part of the photo."""
    regions = {}
    for index in tokens.unnamed:
        try:
            regions[index] = tokens.box_xyxy(index)
        except GeometryError as error:
            assert "stands for padding" in str(error)  # noqa: PT017
    return regions


def cell_areas(tokens: GridTokens) -> Tensor:
    """Area of each cell inside the input, in original pixels, ``(rows, columns)``."""
    sides = []
    for axis in range(2):
        cells, stride, length = tokens.grid_hw[axis], tokens.stride_px[axis], tokens.view.input_hw
        ends = [min((cell + 1) * stride, length[axis]) - cell * stride for cell in range(cells)]
        sides.append(torch.tensor(ends, dtype=torch.float64) / tokens.view.scale_yx[axis])
    return torch.outer(*sides)


def weights_of(tokens: GridTokens, cells: Tensor) -> Tensor:
    """Weights that are ``cells`` on the grid and 0 on the named tokens."""
    return F.pad(cells.flatten(), (len(tokens.prefix), len(tokens.suffix)))


def overlap(tokens: GridTokens, box: Box) -> Tensor:
    """Area of each original pixel that lies in the box, ``(height, width)``."""
    height, width = (torch.arange(side, dtype=torch.float64) for side in tokens.view.original_hw)
    across = (torch.clamp(width + 1, max=box[2]) - torch.clamp(width, min=box[0])).clamp(min=0)
    down = (torch.clamp(height + 1, max=box[3]) - torch.clamp(height, min=box[1])).clamp(min=0)
    return torch.outer(down, across)


@settings(deadline=None)
@given(grids(), st.tuples(st.integers(1, 30), st.integers(1, 30)))
def test_sums_are_kept_at_any_size(tokens: GridTokens, size_hw: tuple[int, int]) -> None:
    weights = random_weights(tokens, 2)
    shares = tokens.shares(weights)
    drawn = tokens.to_pixels(weights, size_hw).nansum((-2, -1))
    assert_exact(drawn, shares["image"])
    assert_exact(torch.stack([*shares.values()]).sum(0), weights.sum(-1))
    assert list(shares) == [*tokens.prefix, *tokens.suffix, "image", "padding"]


@settings(deadline=None)
@given(grids())
def test_the_tokens_share_out_every_seen_pixel(tokens: GridTokens) -> None:
    pixels = tokens.to_pixels(weights_of(tokens, cell_areas(tokens)))
    seen = overlap(tokens, tokens.seen_box_xyxy)
    assert_exact(pixels.nan_to_num(0), seen)
    assert torch.equal(pixels.isnan(), seen < 1e-9)


@settings(deadline=None)
@given(grids(), st.data())
def test_one_token_lands_on_its_own_pixels(tokens: GridTokens, data: st.DataObject) -> None:
    regions = placed(tokens)
    index = data.draw(st.sampled_from(sorted(regions)))
    one = torch.zeros(tokens.count, dtype=torch.float64)
    one[index] = 1
    pixels = tokens.to_pixels(one).nan_to_num(0)
    x0, y0, x1, y1 = regions[index]
    rows, columns = (pixels > 1e-9).nonzero().T
    assert x0 - 1 < columns.min() <= columns.max() < x1
    assert y0 - 1 < rows.min() <= rows.max() < y1
    share = pixels / pixels.sum()
    height, width = (torch.arange(side) + 0.5 for side in tokens.view.original_hw)
    centroid = ((share.sum(0) * width).sum().item(), (share.sum(1) * height).sum().item())
    # Inside one pixel the weight counts as at its centre, so by half a pixel at most.
    assert centroid == pytest.approx(tokens.center_xy(index), rel=0, abs=0.5 + 1e-9)


@settings(deadline=None)
@given(grids(), st.floats(0, 1, exclude_max=True), st.floats(0, 1, exclude_max=True))
def test_at_finds_the_token_that_is_drawn_there(tokens: GridTokens, u: float, v: float) -> None:
    x0, y0, x1, y1 = tokens.seen_box_xyxy
    x = min(x0 + u * (x1 - x0), math.nextafter(x1, 0))
    y = min(y0 + v * (y1 - y0), math.nextafter(y1, 0))
    one = torch.zeros(tokens.count, dtype=torch.float64)
    one[tokens.at(x, y)] = 1
    # A point on an edge may round into the neighbour, hence the reach of 1e-9 px.
    near = tokens.to_pixels(one)[
        max(int(y - 1e-9), 0) : int(y + 1e-9) + 1, max(int(x - 1e-9), 0) : int(x + 1e-9) + 1
    ]
    assert near.nan_to_num(0).max() > 0


@settings(deadline=None)
@given(grids())
def test_at_inverts_center(tokens: GridTokens) -> None:
    for index in placed(tokens):
        assert tokens.at(*tokens.center_xy(index)) == index


@settings(deadline=None)
@given(grids(), st.tuples(st.integers(1, 30), st.integers(1, 30)))
def test_linear_reproduces_a_ramp(tokens: GridTokens, size_hw: tuple[int, int]) -> None:
    """A density that is linear in x and in y comes back, held beyond the outermost centres."""
    (rows, columns), stride, view = tokens.grid_hw, tokens.stride_px, tokens.view
    x, _ = view.to_original((torch.arange(columns).double() + 0.5) * stride[1], torch.zeros(1))
    _, y = view.to_original(torch.zeros(1), (torch.arange(rows).double() + 0.5) * stride[0])
    density = (2 + 0.3 * y)[:, None] * (1 - 0.2 * x)
    ratio = [view.original_hw[axis] / size_hw[axis] for axis in range(2)]
    at_y = ((torch.arange(size_hw[0]).double() + 0.5) * ratio[0]).clamp(y[0], y[-1])
    at_x = ((torch.arange(size_hw[1]).double() + 0.5) * ratio[1]).clamp(x[0], x[-1])
    expected = (2 + 0.3 * at_y)[:, None] * (1 - 0.2 * at_x) * ratio[0] * ratio[1]
    weights = weights_of(tokens, density * cell_areas(tokens))
    pixels = tokens.to_pixels(weights, size_hw, between="linear")
    unseen = tokens.to_pixels(weights, size_hw).isnan()
    assert torch.equal(pixels.isnan(), unseen)
    torch.testing.assert_close(pixels[~unseen], expected[~unseen], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("grid_hw", [(1, 1), (1, 5), (7, 4)])
@pytest.mark.parametrize("stride_px", [(1, 1), (4, 4), (3, 8)])
def test_linear_is_bilinear_interpolation(
    grid_hw: tuple[int, int], stride_px: tuple[int, int]
) -> None:
    size_hw = (grid_hw[0] * stride_px[0], grid_hw[1] * stride_px[1])
    tokens = GridTokens.from_stride(ViewTransform.identity(size_hw), stride_px, prefix=("cls",))
    weights = torch.rand(3, tokens.count, generator=torch.Generator().manual_seed(0))
    expected = F.interpolate(
        tokens.grid(weights)[None], size=size_hw, mode="bilinear", align_corners=False
    )[0]
    pixels = tokens.to_pixels(weights, between="linear") * math.prod(stride_px)
    torch.testing.assert_close(pixels, expected, rtol=0, atol=1e-6)  # float32 numbers up to 1


@settings(deadline=None)
@given(grids(), st.sampled_from(["cells", "linear"]))
def test_leading_dimensions_commute(tokens: GridTokens, between: Any) -> None:
    weights = random_weights(tokens, 2, 3)
    together = tokens.to_pixels(weights, between=between)
    assert together.shape == (2, 3, *tokens.view.original_hw)
    alone = tokens.to_pixels(weights[1, 2], between=between)
    # A batched product may add in another order.
    torch.testing.assert_close(together[1, 2], alone, rtol=1e-12, atol=0, equal_nan=True)


@settings(deadline=None)
@given(grids())
def test_json_gives_back_an_equal_layout(tokens: GridTokens) -> None:
    assert tokens_from_json(json.loads(json.dumps(tokens.to_json()))) == tokens


def small(**changes: Any) -> GridTokens:
    """A 4 x 6 picture under 2 x 3 cells of 2 x 2 px, with a class token first."""
    fields: dict[str, Any] = {
        "grid_hw": (2, 3),
        "stride_px": (2, 2),
        "view": ViewTransform.identity((4, 6)),
        "prefix": ("cls",),
    }
    fields |= changes
    return GridTokens(fields.pop("count", 7), **fields)


def test_cells_repeat_each_weight_over_its_region() -> None:
    pixels = small().to_pixels(torch.arange(7.0) * 4)
    assert pixels.tolist() == [[1, 1, 2, 2, 3, 3]] * 2 + [[4, 4, 5, 5, 6, 6]] * 2


def test_tokens_smaller_than_a_pixel_add_up() -> None:
    pixels = small().to_pixels(torch.arange(7.0), (1, 2))
    assert pixels.tolist() == [[1 + 4 + (2 + 5) / 2, (2 + 5) / 2 + 3 + 6]]


def test_the_last_cell_is_cut_to_the_input_and_keeps_its_centre() -> None:
    tokens = GridTokens.from_stride(ViewTransform.identity((1, 3)), (1, 2))
    weights = torch.tensor([2.0, 2.0])
    assert tokens.to_pixels(weights).tolist() == [[1, 1, 2]]
    # Densities 1 and 2 at x = 1 and 3, read at 0.5, 1.5 and 2.5.
    assert tokens.to_pixels(weights, between="linear").tolist() == [[1, 1.25, 1.75]]
    assert tokens.box_xyxy(1) == (2.0, 0.0, 3.0, 1.0)


def test_cropped_away_pixels_are_nan() -> None:
    view = ViewTransform.identity((4, 8)).crop((1, 0, 7, 4))
    for pixels in (
        small(view=view).to_pixels(torch.ones(7)),
        small(view=view).to_pixels(torch.ones(7), between="linear"),
    ):
        assert pixels.isnan().all(0).tolist() == [True, *[False] * 6, True]
        assert torch.equal(pixels[:, 1:7], torch.full((4, 6), 0.25))


def test_a_strip_that_no_cell_covers_was_not_seen() -> None:
    tokens = small(view=ViewTransform.identity((4, 7)))
    assert tokens.seen_box_xyxy == (0.0, 0.0, 6.0, 4.0)
    assert tokens.to_pixels(torch.ones(7)).isnan().any(0).tolist() == [*[False] * 6, True]
    with pytest.raises(GeometryError, match=r"\(6.5, 1\) was cropped away"):
        tokens.at(6.5, 1)


def test_padding_has_its_share() -> None:
    tokens = small(view=ViewTransform.identity((4, 3)).pad(right=3))
    shares = tokens.shares(torch.tensor([10.0, 1, 2, 4, 1, 2, 4]))
    assert {name: share.item() for name, share in shares.items()} == {
        "cls": 10,
        "image": 1 + 1 + (2 + 2) / 2,
        "padding": 4 + 4 + (2 + 2) / 2,
    }
    with pytest.raises(GeometryError, match=r"token 3 \(row 0, column 2\) stands for padding"):
        tokens.box_xyxy(3)


@pytest.mark.parametrize("between", ["cells", "linear"])
@pytest.mark.parametrize("missing", [math.nan, math.inf, -math.inf])
def test_a_token_without_a_weight_blanks_only_what_it_touches(between: Any, missing: float) -> None:
    tokens = GridTokens.from_stride(ViewTransform.identity((2, 8)), 2)
    weights = torch.tensor([4.0, 4.0, 4.0, missing])
    blank = tokens.to_pixels(weights, between=between).isnan()
    first = 6 if between == "cells" else 5
    assert blank.tolist() == [[column >= first for column in range(8)]] * 2


@pytest.mark.parametrize(
    ("dtype", "drawn"),
    [
        (torch.bfloat16, torch.float32),
        (torch.float16, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
        (torch.int64, torch.float32),
    ],
)
def test_computes_in_float32_at_least(dtype: torch.dtype, drawn: torch.dtype) -> None:
    tokens, weights = small(), (torch.arange(7) * 4).to(dtype)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        pixels = tokens.to_pixels(weights)
    assert pixels.dtype == tokens.shares(weights)["cls"].dtype == drawn
    assert pixels[0].tolist() == [1, 1, 2, 2, 3, 3]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("between", ["cells", "linear"])
def test_draws_on_the_device_of_the_weights(between: Any) -> None:
    weights = random_weights(SEEN, 2)
    pixels = SEEN.to_pixels(weights.cuda(), between=between)
    assert pixels.device.type == "cuda"
    # float64, added in another order.
    here = SEEN.to_pixels(weights, between=between)
    torch.testing.assert_close(pixels.cpu(), here, rtol=1e-12, atol=0, equal_nan=True)


def test_gradients_reach_the_weights() -> None:
    weights = torch.ones(7, requires_grad=True)
    pixels = small(view=ViewTransform.identity((4, 8)).crop((1, 0, 7, 4))).to_pixels(weights)
    torch.autograd.backward(pixels[0, 1])
    assert weights.grad is not None
    assert weights.grad.tolist() == [0, 0.25, 0, 0, 0, 0, 0]


def test_grid_is_a_view_in_raster_order() -> None:
    tokens, weights = small(count=8, suffix=("detection 1",)), torch.arange(16.0).view(2, 8)
    cells = tokens.grid(weights)
    assert cells[1].tolist() == [[9, 10, 11], [12, 13, 14]]
    assert cells.data_ptr() == weights[:, 1:].data_ptr()
    assert [tokens.index(row, column) for row in range(2) for column in range(3)] == [*range(1, 7)]


def test_names_are_for_people() -> None:
    tokens = small(count=8, suffix=("detection 1",))
    assert [tokens.name(index) for index in (0, 1, 6, 7)] == [
        "cls",
        "row 0, column 0",
        "row 1, column 2",
        "detection 1",
    ]
    assert Tokens(3, prefix=("cls",)).name(2) == "token 2"


def test_from_stride_rounds_up_and_refuses_nothing_that_divides() -> None:
    view = ViewTransform.identity((33, 64))
    assert GridTokens.from_stride(view, 16).grid_hw == (3, 4)
    assert GridTokens.from_stride(view, (33 / 7, 64 / 13)).grid_hw == (7, 13)


def grid_of_32(count: int, *prefix: str, **changes: Any) -> GridTokens:
    view = ViewTransform.identity((512, 512))
    fields = {"grid_hw": (32, 32), "stride_px": (16, 16), "view": view, "prefix": prefix}
    return GridTokens(count, **{**fields, **changes})


@pytest.mark.parametrize(
    ("refuse", "message"),
    [
        (
            lambda: grid_of_32(1024).check(1025, where="layer 7"),
            "layer 7 has 1025 keys but the grid says 32 x 32 = 1024 + 0 prefix tokens; "
            "1 prefix token? pass prefix=('cls',)",
        ),
        (
            lambda: grid_of_32(1027, "cls"),
            "the layer has 1027 keys but the grid says 32 x 32 = 1024 + 1 prefix tokens; "
            "2 prefix tokens? pass prefix=('cls', 'register 1', 'register 2')",
        ),
        (
            lambda: grid_of_32(197),
            "the layer has 197 keys but the grid says 32 x 32 = 1024 + 0 prefix tokens; measure "
            "grid_hw where the layer runs: the input is 512 x 512 px, cells of 16 x 16 px",
        ),
        (
            lambda: Tokens(197).check(196, where="layer 7", axis="queries"),
            "layer 7 has 196 queries but its layout says 197 tokens: "
            "give the layout of this very layer and input",
        ),
    ],
)
def test_refuses_a_count_that_is_not_the_grid(refuse: Any, message: str) -> None:
    with pytest.raises(GeometryError) as caught:
        refuse()
    assert str(caught.value) == message


def test_accepts_its_own_count() -> None:
    grid_of_32(1025, "cls").check(1025)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"grid_hw": (0, 3)}, "grid_hw is"),
        ({"stride_px": (2, 3)}, "3 columns of 3 px do not fit the input's 6 px"),
        ({"stride_px": (1, 2)}, "2 rows of 1 px do not fit .* measured stride 2 px"),
        ({"stride_px": (2, -2)}, "3 columns of -2 px"),
        ({"stride_px": 2}, "expected 2 finite numbers"),
        ({"prefix": ("image",)}, "repeat, or use one of"),
        ({"count": 8, "suffix": ("cls",)}, "repeat, or use one of"),
        ({"view": ViewTransform.identity((4, 1)).pad(left=6)}, "no cell of the grid holds photo"),
    ],
)
def test_refuses_a_grid_that_does_not_fit(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(GeometryError, match=message):
        small(**changes)


SEEN = small(view=ViewTransform.identity((4, 8)).crop((1, 0, 7, 4)))


@pytest.mark.parametrize(
    ("method", "arguments", "message"),
    [
        ("at", (0.5, 1), r"cropped away: the model saw \(1, 0, 7, 4\) of the 8 x 4 px picture"),
        ("at", (8, 1), r"\(8, 1\) is outside the 8 x 4 px picture, .* saw \(1, 0, 7, 4\)"),
        ("at", (math.nan, 1), "outside"),
        ("box_xyxy", (0,), "token 0 is 'cls', which stands for no place: .* are 1 to 6"),
        ("center_xy", (0,), "token 0 is 'cls'"),
        ("box_xyxy", (7,), "token 7 of 7: expected 0 to 6"),
        ("name", (-1,), "token -1 of 7"),
        ("index", (2, 0), r"cell \(row 2, column 0\) of a grid of 2 rows and 3 columns"),
        ("to_pixels", (torch.ones(3, 6),), r"shape \(3, 6\), expected \(..., 7\)"),
        ("to_pixels", (torch.tensor(1.0),), r"shape \(\), expected"),
        ("to_pixels", (torch.ones(7), (0, 4)), "size_hw is"),
        ("shares", (torch.ones(6),), r"expected \(..., 7\)"),
        ("grid", (torch.ones(6),), r"expected \(..., 7\)"),
    ],
)
def test_refuses_bad_arguments(method: str, arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(GeometryError, match=message):
        getattr(SEEN, method)(*arguments)


def test_refuses_an_unknown_interpolation() -> None:
    between: Any = "nearest"
    with pytest.raises(GeometryError, match='between is \'nearest\', expected "cells" or "linear"'):
        SEEN.to_pixels(torch.ones(7), between=between)


@pytest.mark.parametrize("stride_px", [0, -1.0, math.nan, (2, 0)])
def test_from_stride_refuses_a_stride_that_goes_nowhere(stride_px: Any) -> None:
    with pytest.raises(GeometryError, match="stride_px"):
        GridTokens.from_stride(SEEN.view, stride_px)


def test_examples_in_the_docstrings() -> None:
    results = doctest.testmod(regard.tokens.grid)
    assert results.attempted > 0
    assert results.failed == 0

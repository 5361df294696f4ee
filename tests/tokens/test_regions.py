from pathlib import Path

import numpy as np
import pytest
import torch

from aoanet import folder, tensors
from regard.errors import GeometryError
from regard.tokens import tokens_from_json
from regard.tokens.regions import RegionTokens

BOXES = [(0.0, 0.0, 40.0, 30.0), (20.5, 10.25, 30.0, 20.0), (35.0, 25.0, 40.0, 30.0)]


@pytest.fixture
def tokens() -> RegionTokens:
    return RegionTokens.of(BOXES, (30, 40))


@pytest.mark.parametrize("size_hw", [None, (60, 80), (17, 23), (3, 4), (1, 1)])
def test_mass_is_kept_at_every_size(tokens: RegionTokens, size_hw: tuple[int, int] | None) -> None:
    weights = torch.tensor([[0.2, 0.5, 0.3], [0.0, 1.0, 0.0]], dtype=torch.float64)
    pixels = tokens.to_pixels(weights, size_hw)
    # float64 sums of up to 4800 pixels
    torch.testing.assert_close(pixels.nansum((-2, -1)), weights.sum(-1), atol=1e-12, rtol=0)


def test_a_box_is_a_flat_density_with_exact_edges(tokens: RegionTokens) -> None:
    pixels = tokens.to_pixels(torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64))
    area = 9.5 * 9.75
    inside = pixels[11:20, 21:30]
    torch.testing.assert_close(inside, torch.full_like(inside, 1 / area))
    assert pixels[15, 20] == pytest.approx(0.5 / area)
    assert pixels[10, 25] == pytest.approx(0.75 / area)
    assert pixels[9, 25] == 0


def test_densities_add_up_where_boxes_overlap(tokens: RegionTokens) -> None:
    weights = torch.tensor([0.6, 0.4, 0.0], dtype=torch.float64)
    pixels = tokens.to_pixels(weights)
    assert pixels[15, 25] == pytest.approx(0.6 / 1200 + 0.4 / (9.5 * 9.75))


def test_places_without_a_box_are_not_low_attention() -> None:
    tokens = RegionTokens.of([(0, 0, 10, 10)], (20, 20))
    pixels = tokens.to_pixels(torch.ones(1))
    assert pixels[:10, :10].isfinite().all()
    assert pixels[10:].isnan().all()


def test_real_regions_keep_mass(shared: Path) -> None:
    io = tensors(folder(shared) / "model_io.safetensors")
    width, height = io["regions/image_wh"].tolist()
    tokens = RegionTokens.of(io["regions/boxes"], (height, width))
    weights = io["regions/beam3.attn"][0, :9].double()
    pixels = tokens.to_pixels(weights, (107, 160))
    # float32 weights sum to 1 within this
    torch.testing.assert_close(
        pixels.nansum((-2, -1)), torch.ones(9, 8, dtype=torch.float64), atol=1e-6, rtol=0
    )


def test_a_point_is_the_smallest_box_there(tokens: RegionTokens) -> None:
    assert tokens.at(25, 15) == 1
    assert tokens.at(5, 5) == 0
    assert tokens.center_xy(2) == (37.5, 27.5)
    with pytest.raises(GeometryError, match="in none of the 3 regions"):
        tokens.at(50, 5)


def test_boxes_over_the_edge_are_cut() -> None:
    tokens = RegionTokens.of(np.array([[-5, -5, 45, 12]]), (30, 40))
    assert tokens.box_xyxy(0) == (0, 0, 40, 12)


def test_names_and_json(tokens: RegionTokens) -> None:
    assert tokens.name(2) == "region 2"
    assert tokens_from_json(tokens.to_json()) == tokens
    assert tokens.shares(torch.tensor([0.1, 0.2, 0.7]))["image"] == pytest.approx(1)


@pytest.mark.parametrize(
    ("boxes", "says"),
    [
        ([(0, 0, 5)], "4 finite numbers"),
        ([(0, 0, 5, float("nan"))], "4 finite numbers"),
        ([(5, 5, 5, 9)], "nothing lies on the 40 x 30 px picture"),
        ([(50, 5, 60, 9)], "of a resized copy, or of another photo"),
    ],
)
def test_bad_boxes_are_refused(boxes: list[tuple[float, ...]], says: str) -> None:
    with pytest.raises(GeometryError, match=says):
        RegionTokens.of(boxes, (30, 40))


def test_a_count_that_differs_is_refused(tokens: RegionTokens) -> None:
    with pytest.raises(GeometryError, match="36 keys"):
        tokens.check(36)
    with pytest.raises(GeometryError, match="there are 1 boxes"):
        RegionTokens(2, boxes_xyxy=((0, 0, 1, 1),), original_hw=(3, 3))

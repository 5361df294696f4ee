"""The generated solids: distances, surfaces and photos say the same."""

import subprocess
import sys

import numpy as np
import pytest

from regard.datasets.solids import BACKGROUND, KINDS, photograph, solid
from regard.datasets.solids.distance import Ball, Body, Box, Cone, Dome, Ring
from regard.errors import InputError

BODIES: dict[str, Body] = {
    "box": Box(centre=(0.1, 0.0, 0.0), half=(0.5, 0.3, 0.4)),
    "ball": Ball(centre=(0.0, 0.2, 0.0), radii=(0.5, 0.3, 0.4)),
    "dome": Dome(centre=(0.0, 0.0, 0.1), radii=(0.5, 0.4, 0.5)),
    "cone": Cone(centre=(0.0, 0.0, 0.0), half_height=0.4, bottom=0.5, top=0.1),
    "wheels": Cone(
        centre=(0.5, 0.0, 0.4), half_height=0.1, bottom=0.2, top=0.2, lies=True, fourfold=True
    ),
    "ring": Ring(centre=(0.0, 0.0, 0.0), radius=0.5, tube=0.1),
}


@pytest.mark.parametrize("name", BODIES)
def test_a_distance_never_promises_more_than_there_is(name: str) -> None:
    """Two points whose distances differ by d are at least d apart; boxes hold their bodies."""
    body = BODIES[name]
    random = np.random.default_rng(0)
    a = random.uniform(-1, 1, (4000, 3)).astype(np.float32)
    b = a + random.normal(0, 0.05, a.shape).astype(np.float32)
    change = np.abs(body.distance(a) - body.distance(b))
    apart = np.linalg.norm(a - b, axis=-1)
    near, slack = np.ones(len(a), bool), 1.0
    if isinstance(body, Ball | Dome):  # an ellipsoid's is only close, and only outside
        near, slack = (body.distance(a) > 0) & (body.distance(b) > 0), 1.7
    assert (change <= slack * apart + 1e-5)[near].all()
    inside = a[body.distance(a) < 0]
    low, high = body.box
    assert len(inside) > 20
    assert (inside > low).all()
    assert (inside < high).all()


def test_known_distances() -> None:
    points = np.array([[0.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.9, 0.0, 0.0]], np.float32)
    box = Box(centre=(0.0, 0.0, 0.0), half=(0.5, 0.5, 0.5))
    assert box.distance(points) == pytest.approx([-0.5, 0.5, 0.4], abs=1e-6)
    pipe = Cone(centre=(0.0, 0.0, 0.0), half_height=0.4, bottom=0.3, top=0.3, rounding=0.0)
    assert pipe.distance(points) == pytest.approx([-0.3, 0.6, 0.6], abs=1e-6)
    ring = Ring(centre=(0.0, 0.0, 0.0), radius=0.5, tube=0.1)
    assert ring.distance(points) == pytest.approx([0.4, 1.25**0.5 - 0.1, 0.3], abs=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_fits_its_cube_and_has_parts_of_its_own(kind: str) -> None:
    for seed in range(4):
        thing = solid(seed, kind)
        assert 2 <= len(thing.parts) <= 4
        assert len({part.colour for part in thing.parts}) == len(thing.parts)
        low, high = thing.box
        assert (high - low).max() == pytest.approx(1.7, abs=1e-5)
        assert low + high == pytest.approx([0, 0, 0], abs=1e-5)
        heights = [part.box[0][1] for part in thing.parts]
        assert heights == sorted(heights), "from the ground up"


def test_parts_hardly_share_space() -> None:
    points = np.random.default_rng(0).uniform(-0.9, 0.9, (20_000, 3)).astype(np.float32)
    for seed in range(16):
        inside = solid(seed).part_distances(points) < 0
        assert (inside.sum(0) > 1).sum() < 0.1 * (inside.sum(0) > 0).sum()


def test_surface_samples_lie_on_the_surface_and_point_out() -> None:
    random = np.random.default_rng(0)
    for part in solid(7).parts:
        points, out = part.surface(300, random)
        assert points.shape == out.shape == (300, 3)
        assert np.abs(part.distance(points)).max() < 3e-3
        assert np.linalg.norm(out, axis=-1) == pytest.approx(np.ones(300), abs=1e-4)
        assert (part.distance(points + 0.02 * out) > 0).all()


def test_a_photo_shows_the_surface_of_the_part_it_names() -> None:
    thing = solid(5)
    photo = photograph(thing, 96)
    assert photo.image.shape == (96, 96, 3)
    assert set(np.unique(photo.part_ids)) == {BACKGROUND, *range(len(thing.parts))}
    assert (photo.image[0, 0] == 255).all()
    for index, part in enumerate(thing.parts):
        places = photo.places[photo.part_ids == index]
        assert np.abs(part.distance(places)).max() < 0.02
    assert np.isnan(photo.places[photo.part_ids == BACKGROUND]).all()


def test_a_larger_photo_shows_the_same() -> None:
    thing = solid(11)
    small, large = photograph(thing, 48), photograph(thing, 144)
    same = large.part_ids[1::3, 1::3] == small.part_ids  # the middles of the same pixels
    assert same.mean() > 0.999


def test_another_view_of_the_same_thing() -> None:
    thing = solid(5)
    front, side = photograph(thing, 64), photograph(thing, 64, azimuth=thing.azimuth + 0.8)
    assert (front.part_ids != side.part_ids).any()
    assert set(np.unique(front.part_ids)) == set(np.unique(side.part_ids))


def test_the_same_seed_makes_the_same_photo_in_any_process() -> None:
    told = "from regard.datasets.solids import *; print(int(photograph(solid(3), 64).image.sum()))"
    other = subprocess.run([sys.executable, "-c", told], capture_output=True, check=True, text=True)
    assert int(other.stdout) == int(photograph(solid(3), 64).image.sum())
    assert solid(3) == solid(3)
    assert solid(3) != solid(4)


def test_a_kind_that_does_not_exist() -> None:
    with pytest.raises(InputError, match="no kind of solid is called 'teapot'"):
        solid(0, "teapot")

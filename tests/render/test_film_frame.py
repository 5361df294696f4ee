"""Frames of films against the exact overlay."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from regard.render import Look, draw_overlay
from regard.render.colour import Scale
from regard.render.film_frame import FramePainter, without_attention

Heat = npt.NDArray[np.float32]
# A step of 255 in colour and cover, and one of the square root's, of which the steepest is two of
# the colour map's.
TOLERANCE = 6


def exact(photo: Image.Image, values: Heat, look: Look) -> npt.NDArray[np.int16]:
    return np.asarray(draw_overlay(photo, values, look=look, legend=False).image).astype(np.int16)


@pytest.mark.parametrize("cmap", ["inferno", "viridis", "jet"])
@pytest.mark.parametrize("mixing", ["rising", "constant"])
def test_it_is_the_overlay_within_its_steps(
    photo: Image.Image, heat: Heat, cmap: str, mixing: str
) -> None:
    values = heat / heat.max()
    look = Look(cmap=cmap, mixing=mixing, unit="value", high=1.0)  # type: ignore[arg-type]
    painted = FramePainter(Scale.of(values, high=1.0), look).paint(photo, values)
    difference = np.abs(np.asarray(painted) - exact(photo, values, look))
    assert difference.max() <= TOLERANCE
    assert difference.mean() < 1


def test_small_maps_are_interpolated_between_centres(photo: Image.Image) -> None:
    small = np.array([[0, 1], [0, 1]], np.float32)
    large = np.tile(np.clip((np.arange(80) + 0.5) / 40 - 0.5, 0, 1), (60, 1)).astype(np.float32)
    look = Look(unit="value", high=1.0)
    painted = FramePainter(Scale.of(small), look).paint(photo, np.sqrt(0 * small) + small)
    expected = exact(photo, large**2, look)  # steps are those of the square root
    assert np.abs(np.asarray(painted) - expected).max() <= TOLERANCE


def test_nothing_leaves_the_muted_photo(photo: Image.Image, heat: Heat) -> None:
    look = Look(unit="value")
    painter = FramePainter(Scale.of(heat), look)
    painted = painter.paint(photo, np.zeros((3, 4), np.float32))
    assert painted.tobytes() == painter.ground(photo).tobytes()


def test_what_the_model_did_not_see_is_hatched(
    photo: Image.Image, heat: Heat, golden: Callable[..., None]
) -> None:
    seen = heat.copy()
    seen[:, :20] = np.nan
    painted = np.asarray(FramePainter(Scale.of(seen), Look(unit="value")).paint(photo, seen))
    whole = np.asarray(FramePainter(Scale.of(seen), Look(unit="value")).paint(photo, heat))
    assert (painted[:, 20:] == whole[:, 20:]).all()
    hatched = painted[:, :20].astype(int)
    assert np.ptp(hatched, axis=2).max() <= 12, "no colour of the map or the photo is left"


def test_without_attention_there_is_no_colour(photo: Image.Image) -> None:
    assert np.ptp(np.asarray(without_attention(photo)), axis=2).max() == 0

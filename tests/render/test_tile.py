import numpy as np
import pytest

from regard.errors import SelectionError
from regard.render import Look, Scale
from regard.render.arrays import Flags, Pixels
from regard.render.colour import colour_table
from regard.render.field import MASKED, PADDING, UNSEEN, as_fields
from regard.render.tile import draw_swatch, draw_tile

VALUE = Look(unit="value", high="max")


def tile(
    values: object,
    look: Look,
    *,
    photo: Pixels | None = None,
    masked: Flags | None = None,
    padding: Flags | None = None,
) -> Pixels:
    (field,) = as_fields(np.asarray(values, np.float32), masked, padding, look)
    return draw_tile(field, Scale.of(field.values, high=look.high), look, photo=photo)


def test_mixing_is_linear_and_rounded_once() -> None:
    rng = np.random.default_rng(0)
    photo = rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)
    values = rng.random((40, 50)).astype(np.float32)
    look = Look(unit="value", high="max", mixing="constant", strength=0.5)
    table = colour_table("inferno").astype(np.float64)
    colours = table[np.rint(values / values.max() * 255).astype(int)]
    exact = photo + 0.5 * (colours - photo)
    # half a step for the one rounding, and the last bits of float32
    assert np.abs(tile(values, look, photo=photo) - exact).max() <= 0.5 + 1e-4


def test_a_rising_map_leaves_the_photo_free_at_zero_and_nearly_covers_it_at_the_top() -> None:
    grey = np.full((1, 2, 3), 200, np.uint8)
    low, high = tile([[0, 1]], VALUE, photo=grey)[0]
    assert low.tolist() == [190] * 3  # grey has no colour to mute, only some light
    top = colour_table("inferno")[255]
    np.testing.assert_allclose(high, 190 + 0.9 * (top - 190), atol=0.5)


def test_a_large_map_is_drawn_in_bands_without_a_seam() -> None:
    values = np.tile(np.linspace(0, 1, 1100, dtype=np.float32), (1000, 1))
    masked = np.ones(values.shape, bool)
    whole = tile(values, VALUE, masked=masked)
    upper = tile(values[:400], VALUE, masked=masked[:400])
    np.testing.assert_array_equal(whole[:400], upper)
    diagonal = whole[np.arange(300, 700), np.arange(300, 700)]  # along one hatching line
    np.testing.assert_array_equal(diagonal, np.broadcast_to(diagonal[0], diagonal.shape))


@pytest.mark.parametrize("photo", [None, np.full((30, 30, 3), 90, np.uint8)])
def test_places_without_a_value_never_look_like_low_attention(photo: Pixels | None) -> None:
    values = np.zeros((30, 30), np.float32)
    values[0, 0] = 1
    low = tile(values, VALUE, photo=photo)[10:, 10:]
    unseen = np.where(np.arange(900).reshape(30, 30) > 0, np.nan, 1)
    flags = np.ones((30, 30), bool)
    flags[0, 0] = False
    drawn = [
        tile(unseen, VALUE, photo=photo)[10:, 10:],
        tile(values, VALUE, photo=photo, masked=flags)[10:, 10:],
        tile(values, VALUE, photo=photo, padding=flags)[10:, 10:],
    ]
    for index, pattern in enumerate(drawn):
        assert np.abs(pattern.astype(int) - low).max(axis=2).min() > 20
        for other in drawn[:index]:
            assert (pattern != other).any()


def test_swatches_differ() -> None:
    swatches = {draw_swatch(place, (32, 16)).tobytes() for place in (UNSEEN, MASKED, PADDING)}
    assert len(swatches) == 3


@pytest.mark.parametrize(
    "choice", [{"unit": "metre"}, {"mixing": "soft"}, {"high": "p50"}, {"strength": 0}]
)
def test_a_look_that_does_not_exist(choice: dict[str, object]) -> None:
    with pytest.raises(SelectionError, match="expected"):
        Look(**choice)  # type: ignore[arg-type]

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from regard.errors import GeometryError
from regard.render import Look
from regard.render.field import MASKED, PADDING, UNSEEN, Field, as_fields


def one(values: object, **places: object) -> Field:
    maps = np.asarray(values, np.float32)
    masked, padding = places.get("masked"), places.get("padding")
    (field,) = as_fields(maps, masked, padding, Look())  # type: ignore[arg-type]
    return field


@given(st.integers(2, 9), st.integers(2, 9), st.floats(0.01, 1))
def test_even_attention_is_its_mass_in_the_unit_uniform(h: int, w: int, mass: float) -> None:
    heat = np.full((h, w), mass / (h * w), np.float32)
    heat[0, 0] = np.nan
    heat[1:] *= 1 + 1 / (h * w - 1)  # whatever the rest holds, only seen pixels count
    field = one(heat)
    total = np.nansum(heat, dtype=np.float64)
    # float32 sums of up to 80 terms
    assert np.nanmean(field.values, dtype=np.float64) == pytest.approx(total, rel=1e-5)


def test_padding_does_not_count_as_seen() -> None:
    padding = np.array([[False, True]])
    field = one([[0.5, 0.0]], padding=padding)
    assert field.values[0, 0] == 0.5
    assert field.places() == (PADDING,)


def test_places_are_told_apart() -> None:
    masked = np.array([[True, True, False, False]])
    field = one([[0, np.nan, np.nan, 1]], masked=masked)
    assert field.places() == (UNSEEN, MASKED)
    assert one([[0, 1]]).places() == ()


@given(st.integers(1, 40), st.integers(1, 40))
def test_resizing_keeps_even_values_and_never_invents_sight(w: int, h: int) -> None:
    values = np.full((12, 16), 3.0, np.float32)
    values[:, :4] = np.nan
    small = one(values).resized((w, h)).values
    seen = small[~np.isnan(small)]
    np.testing.assert_allclose(seen, 3.0 * 12 * 12, rtol=1e-5)  # means in float32


def test_halving_is_the_mean_of_what_was_seen() -> None:
    look = Look(unit="value")
    (field,) = as_fields(
        np.array([[1, 3, np.nan, 8], [5, 7, 4, np.nan]], np.float32), None, None, look
    )
    np.testing.assert_array_equal(field.resized((2, 1)).values, [[4, 6]])


def test_one_infinite_value_survives_resizing() -> None:
    values = np.zeros((64, 64), np.float32)
    values[5, 5] = np.inf
    assert np.isinf(one(values).resized((8, 8)).values[0, 0])


@pytest.mark.parametrize(
    ("flags", "words"),
    [(np.zeros((2, 2)), "float64, expected bool"), (np.zeros((3, 2), bool), r"\(3, 2\)")],
)
def test_flags_of_another_kind_or_shape(flags: object, words: str) -> None:
    with pytest.raises(GeometryError, match=words):
        one(np.zeros((2, 2)), masked=flags)

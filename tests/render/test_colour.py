import matplotlib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from regard.errors import GeometryError, SelectionError
from regard.render import style
from regard.render.colour import Scale, colour_table, number, paint

values = st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=30)


@given(values, st.permutations(range(5)))
def test_a_scale_does_not_depend_on_order(numbers: list[float], order: list[int]) -> None:
    maps = [np.array(numbers, np.float32) * (k + 1) for k in range(5)]
    for high in ("max", "p99.5"):
        assert Scale.of(*maps, high=high) == Scale.of(*(maps[k] for k in order), high=high)


@given(values)
def test_a_scale_spans_its_values_and_zero(numbers: list[float]) -> None:
    scale = Scale.of(np.array(numbers, np.float32), high="max")
    assert scale.low == min(0.0, *np.array(numbers, np.float32).tolist())
    assert scale.high == max(scale.low, scale.largest)
    assert not scale.clips_high
    fraction = scale.fraction(np.array(numbers, np.float32))
    assert fraction.min() >= 0
    assert fraction.max() <= 1


def test_nan_and_infinity_do_not_stretch_a_scale() -> None:
    scale = Scale.of(np.array([np.nan, 1, 2, np.inf, -np.inf]), high="max")
    assert (scale.low, scale.high) == (0, 2)


def test_nothing_finite_is_an_error() -> None:
    with pytest.raises(GeometryError, match="no finite value"):
        Scale.of(np.array([np.nan, np.inf]))


def test_the_percentile_ignores_one_artifact_token_and_says_so() -> None:
    calm = np.linspace(0, 1, 1000)
    scale = Scale.of(np.append(calm, 500.0), high="p99.5")
    assert scale.high < 1.01
    assert scale.clips_high
    assert scale.largest == 500
    assert not Scale.of(calm, high="p99.5").clips_high  # 0.995 against 1 is not worth it
    sparse = np.zeros(1000)
    sparse[0] = 1
    assert Scale.of(sparse, high="p99.5").high == 1


def test_equal_values_have_a_colour() -> None:
    scale = Scale.of(np.zeros(3))
    np.testing.assert_array_equal(scale.fraction(np.array([0, np.nan])), [0, np.nan])


@pytest.mark.parametrize("name", ["inferno", "jet", "hot", "turbo", "cividis"])
def test_tables_are_those_of_matplotlib(name: str) -> None:
    expected = matplotlib.colormaps[name](np.arange(256))[:, :3] * 255  # entry by entry
    np.testing.assert_array_equal(colour_table(name), expected.astype(np.float32))


def test_an_unknown_name_lists_close_ones() -> None:
    with pytest.raises(SelectionError, match="'infrno'; try inferno"):
        colour_table("infrno")
    with pytest.raises(SelectionError, match="try inferno, viridis"):
        colour_table("\x1b??")


def test_what_is_no_value_has_a_colour_of_its_own() -> None:
    scale = Scale.of(np.array([0.0, 1.0]))
    found = paint(np.array([0, 1, 9, np.nan, np.inf, -np.inf]), scale, colour_table("inferno"))
    table = colour_table("inferno")
    expected = [table[0], table[255], table[255], style.UNSEEN, style.INFINITE, style.INFINITE]
    np.testing.assert_array_equal(found, np.array(expected, np.float32))


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0, "0"),
        (1, "1"),
        (12.345, "12.3"),
        (0.5, "0.5"),
        (999.9, "1000"),
        (54321, "54321"),
        (-2.5, "-2.5"),
        (3.1e-5, "3.1\N{MULTIPLICATION SIGN}10⁻⁵"),
        (1234567, "1.23\N{MULTIPLICATION SIGN}10⁶"),
    ],
)
def test_numbers_are_short(value: float, words: str) -> None:
    assert number(value) == words

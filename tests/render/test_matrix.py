from collections.abc import Callable

import numpy as np
import pytest

from regard.errors import GeometryError
from regard.render import Look, Picture, draw_matrix

Golden = Callable[[Picture, str], None]
WORDS = ["a", "green", "sphere", "left", "of"]


def causal(count: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    weights = np.tril(1.0 + np.arange(count * count).reshape(count, count) % 7)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def test_matrix(golden: Golden) -> None:
    masked = ~np.tri(5, dtype=bool)
    picture = draw_matrix(
        causal(5), query_names=WORDS, key_names=WORDS, masked=masked, title="Caption decoder"
    )
    golden(picture, "matrix")
    assert {"query", "key", "masked", "attention weight", *WORDS} < set(picture.lines)


def test_masked_cells_do_not_set_the_scale() -> None:
    weights = np.array([[0.25, 0.75], [9.0, 0.5]])
    masked = np.array([[False, False], [True, False]])
    (scale,) = draw_matrix(weights, masked=masked).scales
    assert scale.largest == 0.75


def test_uniform_counts_the_keys_that_are_open() -> None:
    masked = ~np.tri(4, dtype=bool)
    weights = np.tri(4) / np.arange(1, 5)[:, None]
    (scale,) = draw_matrix(weights, masked=masked, look=Look(unit="uniform")).scales
    assert scale.largest == pytest.approx(1, abs=1e-6)  # float32


@pytest.mark.parametrize("shape", [(1, 1), (1, 900), (900, 1), (3, 40), (1500, 1500), (2, 3000)])
def test_any_size_fits(shape: tuple[int, int]) -> None:
    picture = draw_matrix(np.full(shape, 1 / shape[1], np.float32))
    assert max(picture.size_wh) <= 1600
    numbers = [line for line in picture.lines if line.isdigit()]
    assert 2 <= len(numbers) <= 150


def test_queries_go_down_and_keys_across() -> None:
    weights = np.zeros((2, 3), np.float32)
    weights[1, 2] = 1
    picture = draw_matrix(weights, look=Look(unit="weight", high="max"))
    rows, columns = np.nonzero((picture.raster == [252, 255, 164]).all(axis=2))
    bar = rows > 250
    middle = np.mean([text.y for text in picture.texts if text.words == "query"])
    assert rows[~bar].min() >= middle
    key = next(text for text in picture.texts if text.words == "key")
    assert columns[~bar].min() > key.x


def test_a_name_for_each() -> None:
    with pytest.raises(GeometryError, match="5 names for 3 keys"):
        draw_matrix(np.ones((3, 3)), key_names=WORDS)

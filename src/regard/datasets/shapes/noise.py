"""Smooth noise: random numbers on a coarse lattice, with smooth ways between them."""

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]


def stream(seed: int, name: int) -> np.random.Generator:
    """Random numbers of one part of a scene, independent of those of the others."""
    return np.random.default_rng((seed, name))


def noise(random: np.random.Generator, ys: Array, xs: Array, cells: tuple[float, float]) -> Array:
    """Noise between 0 and 1 at the points of a grid, (len(ys), len(xs)).

    Args:
        random: Where the lattice comes from.
        ys: Rows, in units of the scene, from 0.
        xs: Columns, likewise.
        cells: Cells of the lattice a unit, down and across.
    """
    down, across = ys * np.float32(cells[0]), xs * np.float32(cells[1])
    rows, columns = down.astype(np.int64), across.astype(np.int64)
    lattice = random.random((rows[-1] + 2, columns[-1] + 2), dtype=np.float32)
    way = _smooth(down - rows)[:, None]
    bands = lattice[rows] * (1 - way) + lattice[rows + 1] * way
    left, right = bands[:, columns], bands[:, columns + 1]
    result: Array = left + (right - left) * _smooth(across - columns)
    return result


def layered(
    random: np.random.Generator, ys: Array, xs: Array, cells: tuple[float, float], layers: int
) -> Array:
    """Noise of several scales, each half as large and half as strong, between 0 and 1."""
    total = noise(random, ys, xs, cells)
    for layer in range(1, layers):
        finer = (cells[0] * 2**layer, cells[1] * 2**layer)
        total = total + noise(random, ys, xs, finer) * np.float32(0.5**layer)
    result: Array = total / np.float32(2 - 0.5 ** (layers - 1))
    return result


def _smooth(way: npt.NDArray[np.floating]) -> Array:
    way = way.astype(np.float32)
    result: Array = way * way * (3 - 2 * way)
    return result

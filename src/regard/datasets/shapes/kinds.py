"""The kinds of shapes, each as its signed distance: negative inside, zero on the outline.

One function gives outline, smooth edge, shading and shadow. Shapes are about 1 in radius and
centred; x goes right and y down. Only +, -, *, / and square roots are used: their results are
the same on every machine, so the pixels are too.

Source of several formulas: Quilez, "2D distance functions",
https://iquilezles.org/articles/distfunctions2d.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]


def _length(x: Array, y: Array) -> Array:
    return np.sqrt(x * x + y * y)


def _disc(x: Array, y: Array) -> Array:
    return _length(x, y) - np.float32(0.95)


def _box(x: Array, y: Array, half_x: float, half_y: float, rounding: float) -> Array:
    over_x = np.abs(x) - np.float32(half_x - rounding)
    over_y = np.abs(y) - np.float32(half_y - rounding)
    outside = _length(np.maximum(over_x, 0), np.maximum(over_y, 0))
    return outside + np.minimum(np.maximum(over_x, over_y), 0) - np.float32(rounding)


def _square(x: Array, y: Array) -> Array:
    return _box(x, y, 0.84, 0.84, 0.1)


def _triangle(x: Array, y: Array) -> Array:
    y = y - np.float32(0.12)
    sides = np.float32(0.8660254) * np.abs(x) - np.float32(0.5) * y
    return np.maximum(y, sides) - np.float32(0.58)


def _star(x: Array, y: Array) -> Array:
    across, down, half = np.float32(0.809017), np.float32(0.5877853), np.float32(0.5)
    x, y = np.abs(x), -y
    for way in (across, -across):  # fold the ten half points of the star onto one
        over: Array = 2 * np.maximum(way * x - down * y, 0)
        x, y = x - over * way, y + over * down
    x, y = np.abs(x), y - np.float32(1.08)
    edge_x, edge_y = half * down, half * across - np.float32(1)
    squared = np.float32(edge_x * edge_x + edge_y * edge_y)
    along: Array = np.clip((x * edge_x + y * edge_y) / squared, 0, np.float32(1.08))
    far = _length(x - edge_x * along, y - edge_y * along)
    result: Array = far * np.sign(y * edge_x - x * edge_y)
    return result


def _ring(x: Array, y: Array) -> Array:
    result: Array = np.abs(_length(x, y) - np.float32(0.7)) - np.float32(0.27)
    return result


def _cross(x: Array, y: Array) -> Array:
    return np.minimum(_box(x, y, 0.98, 0.36, 0.06), _box(x, y, 0.36, 0.98, 0.06))


def _heart(x: Array, y: Array) -> Array:
    size = np.float32(0.6)
    x, y = np.abs(x) * size, np.float32(0.52) - y * size
    lobe = _length(x - np.float32(0.25), y - np.float32(0.75)) - np.float32(0.35355339)
    foot = np.maximum(x + y, 0) * np.float32(0.5)
    below: Array = np.minimum(x * x + (y - 1) * (y - 1), (x - foot) ** 2 + (y - foot) ** 2)
    result: Array = np.where(x + y > 1, lobe, np.sqrt(below) * np.sign(x - y))
    return result / size


def _moon(x: Array, y: Array) -> Array:
    x = x - np.float32(0.16)
    bite = _length(x - np.float32(0.5), y + np.float32(0.1)) - np.float32(0.72)
    result: Array = np.maximum(_length(x, y) - np.float32(1), -bite)
    return result


DISTANCES: dict[str, Callable[[Array, Array], Array]] = {
    "disc": _disc,
    "square": _square,
    "triangle": _triangle,
    "star": _star,
    "ring": _ring,
    "cross": _cross,
    "heart": _heart,
    "moon": _moon,
}
"""Signed distance by kind."""

KINDS = tuple(DISTANCES)
"""What objects there are; category ids count them from 1."""

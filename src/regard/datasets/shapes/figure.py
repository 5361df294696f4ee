"""One shape at one place, and how it is painted: texture, round edge, highlight and shadow."""

from dataclasses import dataclass

import numpy as np

from regard.datasets.shapes.colours import TONES
from regard.datasets.shapes.kinds import DISTANCES
from regard.datasets.shapes.noise import Array

TEXTURES = ("plain", "stripes", "dots", "checks")
_LIGHT = (-0.48, -0.64, 0.6)
"""Where light comes from, a unit vector: left, above, in front."""
_SHADOW_XY = (0.1, 0.16)
"""Where the shadow falls, in radii."""
_SHADOW_BLUR = 0.22
_REACH = 1.55
"""Half the side of the square that holds shape and shadow, in radii."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A shape at a place. Lengths are in short sides of the picture."""

    kind: str
    colour: str
    radius: float
    x: float
    y: float
    turn: float
    """Tangent of half the angle by which it is turned, clockwise."""
    texture: str
    cells: float
    """Periods of the texture a radius."""
    tint: tuple[float, float, float]
    """By what its colour differs from the mid tone, from -1 to 1."""

    def local(self, x: Array, y: Array) -> tuple[Array, Array]:
        """Points of the scene as the shape sees them: upright, centred, of radius 1."""
        scale = 1 / ((1 + self.turn * self.turn) * self.radius)
        cosine = np.float32((1 - self.turn * self.turn) * scale)
        sine = np.float32(2 * self.turn * scale)
        x, y = x - np.float32(self.x), y - np.float32(self.y)
        return x * cosine + y * sine, y * cosine - x * sine

    def distance(self, x: Array, y: Array) -> Array:
        """Signed distance to the outline, in radii."""
        return DISTANCES[self.kind](*self.local(x, y))

    def window(self, ys: Array, xs: Array) -> tuple[slice, slice]:
        """Rows and columns that it and its shadow may touch."""
        reach = self.radius * _REACH
        rows = np.searchsorted(ys, [self.y - reach, self.y + reach])
        columns = np.searchsorted(xs, [self.x - reach, self.x + reach])
        return slice(int(rows[0]), int(rows[1])), slice(int(columns[0]), int(columns[1]))


def paint(figure: Figure, image: Array, ys: Array, xs: Array) -> Array:
    """Paint onto ``image`` (3, height, width), and say how far each pixel is from the outline.

    Both arrays are of one window of the picture, with its pixels at ``ys`` and ``xs``.
    """
    y, x = ys[:, None], xs[None, :]
    radius, (right, down) = figure.radius, _SHADOW_XY
    fallen = figure.distance(x - np.float32(right * radius), y - np.float32(down * radius))
    shadow = np.clip(0.5 - fallen / np.float32(2 * _SHADOW_BLUR), 0, 1)
    image *= 1 - np.float32(0.5) * shadow * shadow
    local_x, local_y = figure.local(x, y)
    distance = DISTANCES[figure.kind](local_x, local_y)
    pixels = np.float32(radius / float(ys[1] - ys[0])) if len(ys) > 1 else np.float32(1)
    cover = np.clip(0.5 - distance * pixels, 0, 1)
    colour = _colour(figure, local_x, local_y)
    light, shine = _lighting(distance, x - figure.x, y - figure.y, figure)
    colour *= light
    colour += (np.float32(255) - colour) * shine
    image += (colour - image) * cover
    return distance


def _colour(figure: Figure, x: Array, y: Array) -> Array:
    """Colour before the light falls on it, (3, height, width)."""
    tone = np.array(TONES[figure.colour], np.float32)
    tone = (tone * (1 + np.array(figure.tint, np.float32) * np.float32(0.07)))[:, None, None]
    dark = figure.colour == "black"
    other = tone + (np.float32(255) - tone) * np.float32(0.16) if dark else tone * np.float32(0.74)
    return tone + (other - tone) * _pattern(figure, x, y)


def _pattern(figure: Figure, x: Array, y: Array) -> Array:
    """Where the second tone is, 0 to 1."""
    cells = np.float32(figure.cells)
    if figure.texture == "stripes":
        return _sharp(_wave(y * cells))
    if figure.texture == "checks":
        return _sharp((_wave(x * cells) - 0.5) * (_wave(y * cells) - 0.5) * 4 + np.float32(0.5))
    if figure.texture == "dots":
        across, along = _wave(x * cells) - np.float32(0.5), _wave(y * cells) - np.float32(0.5)
        return _sharp(1 - (across * across + along * along) * 4)
    return np.zeros(np.broadcast_shapes(x.shape, y.shape), np.float32)


def _wave(x: Array) -> Array:
    """Up and down between 0 and 1 in straight lines, once a period of 1."""
    result: Array = np.abs(x - np.floor(x) - np.float32(0.5)) * 2
    return result


def _sharp(x: Array) -> Array:
    result: Array = np.clip((x - np.float32(0.5)) * 5 + np.float32(0.5), 0, 1)
    return result


def _lighting(distance: Array, x: Array, y: Array, figure: Figure) -> tuple[Array, Array]:
    """How bright each pixel is, and how much of the light it mirrors: a rounded edge."""
    if min(distance.shape) < 2:
        return np.ones_like(distance), np.zeros_like(distance)
    step = float(x[0, 1] - x[0, 0]) / figure.radius
    down, right = np.gradient(distance, np.float32(step))
    edge = np.clip(1 + distance / np.float32(0.4), 0, 1)
    edge = edge * edge
    normal_x = right * edge + x * np.float32(0.35 / figure.radius)
    normal_y = down * edge + y * np.float32(0.35 / figure.radius)
    length = np.sqrt(normal_x * normal_x + normal_y * normal_y + 1)
    left, up, front = (np.float32(part) for part in _LIGHT)
    facing = np.maximum((normal_x * left + normal_y * up + front) / length, 0)
    light = np.float32(0.55) + np.float32(0.7) * facing
    shine = facing * facing
    shine = shine * shine * shine
    return light, shine * shine * np.float32(0.5)

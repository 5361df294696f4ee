"""A thing of solid parts, each with its place in space, its colour and its texture."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np

from regard.datasets.solids.distance import Body, Floats, Vector
from regard.datasets.solids.things import KINDS, draw_parts
from regard.errors import InputError

Distance = Callable[[Floats], Floats]
"""From points (n, 3) to their distances (n,)."""

REACH = 0.85
"""The longest side of every thing runs from -0.85 to 0.85."""

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (214, 69, 65),
    "orange": (240, 145, 55),
    "yellow": (243, 199, 69),
    "green": (96, 169, 92),
    "teal": (52, 152, 158),
    "blue": (66, 118, 196),
    "purple": (142, 98, 178),
    "pink": (233, 136, 167),
    "brown": (150, 106, 74),
    "grey": (152, 160, 170),
}
"""Names, and red, green and blue from 0 to 255."""

TEXTURES = ("plain", "stripes", "checks", "dots")


@dataclass(frozen=True)
class SolidPart:
    """A part of a solid.

    Attributes:
        name: Such as "legs".
        colour: Of `COLOURS`.
        texture: Of `TEXTURES`.
        bodies: That it consists of.
    """

    name: str
    colour: str
    texture: str
    bodies: tuple[Body, ...]

    def distance(self, points: Floats) -> Floats:
        """Distance of points (n, 3) to the part: (n,), below zero inside."""
        return reduce(np.minimum, (body.distance(points) for body in self.bodies))

    def holds(self, points: Floats) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
        """Whether points (n, 3) lie inside: (n,)."""
        return self.distance(points) < 0

    def normals(self, points: Floats, step: float = 1e-3) -> Floats:
        """Directions out of the part at points (n, 3), of length 1: (n, 3)."""
        return normals(self.distance, points, step)

    @property
    def box(self) -> tuple[Floats, Floats]:
        """Lowest and highest corner, (3,) each."""
        return _box(self.bodies)

    def surface(self, count: int, random: np.random.Generator) -> tuple[Floats, Floats]:
        """Points on the surface and the directions out of it, (count, 3) each.

        Points are drawn in the box around the part and walk to the surface, so edges get a little
        more than their share.
        """
        low, high = self.box
        found, directions = np.empty((0, 3), np.float32), np.empty((0, 3), np.float32)
        while len(found) < count:
            points = random.uniform(low - 0.05, high + 0.05, (2 * count, 3)).astype(np.float32)
            for _ in range(4):
                points = points - self.distance(points)[:, None] * self.normals(points)
            on_it = np.abs(self.distance(points)) < 2e-3
            found = np.concatenate([found, points[on_it]])
            directions = np.concatenate([directions, self.normals(points[on_it])])
        return found[:count], directions[:count]


@dataclass(frozen=True)
class Solid:
    """A thing.

    Attributes:
        seed: It was made of.
        kind: Such as "table".
        parts: From the ground up.
        azimuth: From where it is photographed, radians around the y axis from the front.
        elevation: And how high, radians above the ground.
    """

    seed: int
    kind: str
    parts: tuple[SolidPart, ...]
    azimuth: float
    elevation: float

    def part_distances(self, points: Floats) -> Floats:
        """Distance of points (n, 3) to each part: (parts, n)."""
        return np.stack([part.distance(points) for part in self.parts])

    def distance(self, points: Floats) -> Floats:
        """Distance of points (n, 3) to the nearest part: (n,)."""
        return reduce(np.minimum, (part.distance(points) for part in self.parts))

    @property
    def box(self) -> tuple[Floats, Floats]:
        """Lowest and highest corner, (3,) each."""
        return _box([body for part in self.parts for body in part.bodies])


def solid(seed: int, kind: str | None = None) -> Solid:
    """A thing, the same for the same seed.

    Args:
        seed: Draws everything.
        kind: Of `KINDS`; by default drawn, too.

    Raises:
        InputError: No such kind.
    """
    random = np.random.default_rng([seed, 0x501D])
    drawn = str(random.choice(list(KINDS)))
    if kind is not None and kind not in KINDS:
        raise InputError(f"no kind of solid is called {kind!r}; there are: {', '.join(KINDS)}")
    chosen = drawn if kind is None else kind
    parts = draw_parts(chosen, random)
    scale, shift = _fitted([body for _, bodies in parts for body in bodies])
    colours = random.choice(list(COLOURS), len(parts), replace=False)
    textures = random.choice(TEXTURES, len(parts), p=(0.4, 0.2, 0.2, 0.2))
    return Solid(
        seed=seed,
        kind=chosen,
        parts=tuple(
            SolidPart(name, str(colour), str(texture), _placed(bodies, scale, shift))
            for (name, bodies), colour, texture in zip(parts, colours, textures, strict=True)
        ),
        azimuth=float(random.uniform(-0.45, 0.45)),
        elevation=float(random.uniform(0.25, 0.5)),
    )


def normals(distance: Distance, points: Floats, step: float = 1e-3) -> Floats:
    """Directions in which a distance grows, of length 1: (n, 3).

    Four samples at the corners of a tetrahedron are enough for a gradient.
    """
    corners = np.array([[1, -1, -1], [-1, -1, 1], [-1, 1, -1], [1, 1, 1]], np.float32)
    total = np.zeros_like(points)
    for corner in corners:
        total += corner * distance(points + step * corner)[:, None]
    length = np.linalg.norm(total, axis=-1, keepdims=True)
    return np.asarray(total / np.maximum(length, 1e-12), np.float32)


def _box(bodies: Sequence[Body]) -> tuple[Floats, Floats]:
    lowest, highest = zip(*(body.box for body in bodies), strict=True)
    return np.min(lowest, axis=0), np.max(highest, axis=0)


def _fitted(bodies: Sequence[Body]) -> tuple[float, Vector]:
    """Scale and then shift that bring a thing to the middle, its longest side to `REACH`."""
    low, high = _box(bodies)
    scale = 2 * REACH / float((high - low).max())
    x, y, z = (-(low + high) / 2 * scale).tolist()
    return scale, (x, y, z)


def _placed(bodies: Sequence[Body], scale: float, shift: Vector) -> tuple[Body, ...]:
    return tuple(body.placed(scale, shift) for body in bodies)

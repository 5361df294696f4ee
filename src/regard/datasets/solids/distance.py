"""Distance to simple bodies: below zero inside, zero on the surface, above zero outside.

A body is a frozen dataclass with a centre, so that it can be moved and scaled. Distances are exact
but for the ellipsoid's, which is a close bound (Inigo Quilez, "distance functions").
"""

from dataclasses import dataclass, fields, replace
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Vector = tuple[float, float, float]


class Body(Protocol):
    """Something with a surface."""

    @property
    def half_extent(self) -> Vector:
        """Half the sides of a box around it."""
        ...

    @property
    def box(self) -> tuple[Floats, Floats]:
        """Lowest and highest corner, (3,) each."""
        ...

    def distance(self, points: Floats) -> Floats:
        """Distance of points (n, 3): (n,)."""
        ...

    def placed(self, scale: float, shift: Vector) -> Self:
        """The same body, every length times `scale`, then moved."""
        ...


@dataclass(frozen=True, kw_only=True)
class _Centred:
    centre: Vector

    @property
    def half_extent(self) -> Vector:
        """Half the sides of a box around it."""
        raise NotImplementedError

    @property
    def box(self) -> tuple[Floats, Floats]:
        """Lowest and highest corner, (3,) each."""
        centre, half = np.array([self.centre, self.half_extent], np.float32)
        return centre - half, centre + half

    def placed(self, scale: float, shift: Vector) -> Self:
        """The same body, every length times `scale`, then moved."""
        changed: dict[str, Any] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, float):
                changed[field.name] = value * scale
            elif isinstance(value, tuple):
                changed[field.name] = tuple(v * scale for v in value)
        x, y, z = changed["centre"]
        changed["centre"] = (x + shift[0], y + shift[1], z + shift[2])
        return replace(self, **changed)

    def _local(self, points: Floats) -> tuple[Floats, Floats, Floats]:
        """Coordinates from the centre, one array an axis."""
        return (
            points[:, 0] - np.float32(self.centre[0]),
            points[:, 1] - np.float32(self.centre[1]),
            points[:, 2] - np.float32(self.centre[2]),
        )


@dataclass(frozen=True, kw_only=True)
class Box(_Centred):
    """A box with rounded edges.

    Attributes:
        half: Half its sides, rounding included.
        rounding: Radius of its edges.
    """

    half: Vector
    rounding: float = 0.04

    @property
    def half_extent(self) -> Vector:
        """Half the sides of a box around it."""
        return self.half

    def distance(self, points: Floats) -> Floats:
        """Distance of points (n, 3): (n,)."""
        x, y, z = (
            np.abs(along) - np.float32(half - self.rounding)
            for along, half in zip(self._local(points), self.half, strict=True)
        )
        inside = np.minimum(np.maximum(np.maximum(x, y), z), 0)
        x, y, z = np.maximum(x, 0), np.maximum(y, 0), np.maximum(z, 0)
        return np.asarray(np.sqrt(x * x + y * y + z * z) + inside - np.float32(self.rounding))


@dataclass(frozen=True, kw_only=True)
class Ball(_Centred):
    """An ellipsoid.

    Attributes:
        radii: Along x, y and z.
    """

    radii: Vector

    @property
    def half_extent(self) -> Vector:
        """Half the sides of a box around it."""
        return self.radii

    def distance(self, points: Floats) -> Floats:
        """Distance of points (n, 3): (n,)."""
        return _ellipsoid(self._local(points), self.radii)


@dataclass(frozen=True, kw_only=True)
class Dome(_Centred):
    """The upper half of an ellipsoid, such as the cap of a mushroom.

    Attributes:
        radii: Of the whole ellipsoid; `centre` is the middle of the dome's own height.
    """

    radii: Vector

    @property
    def half_extent(self) -> Vector:
        """Half the sides of a box around it."""
        return (self.radii[0], self.radii[1] / 2, self.radii[2])

    def distance(self, points: Floats) -> Floats:
        """Distance of points (n, 3): (n,)."""
        x, y, z = self._local(points)
        y = y + np.float32(self.radii[1] / 2)
        return np.maximum(_ellipsoid((x, y, z), self.radii), -y)


@dataclass(frozen=True, kw_only=True)
class Cone(_Centred):
    """A cone cut off at the top; a cylinder where both radii are the same.

    Attributes:
        half_height: Half its length.
        bottom: Radius at its lower end.
        top: Radius at its upper end.
        rounding: Radius of its edges, outside of the lengths above.
        lies: Whether it lies along z instead of standing.
        fourfold: Whether three more stand at the mirrored places, left and right, front and back.
    """

    half_height: float
    bottom: float
    top: float
    rounding: float = 0.03
    lies: bool = False
    fourfold: bool = False

    @property
    def half_extent(self) -> Vector:
        """Half the sides of a box around it, mirrored ones left out."""
        wide = max(self.bottom, self.top) + self.rounding
        long = self.half_height + self.rounding
        return (wide, wide, long) if self.lies else (wide, long, wide)

    @property
    def box(self) -> tuple[Floats, Floats]:
        """Lowest and highest corner, (3,) each."""
        low, high = super().box
        if self.fourfold:
            low[[0, 2]] = -high[[0, 2]]
        return low, high

    def distance(self, points: Floats) -> Floats:
        """Distance of points (n, 3): (n,)."""
        if self.fourfold:
            points = np.abs(points) * _SIDES + points * _HEIGHT
        x, y, z = self._local(points)
        across, h = (y, z) if self.lies else (z, y)
        r = np.sqrt(x * x + across * across)
        bottom, top, half = map(np.float32, (self.bottom, self.top, self.half_height))
        beyond = np.abs(h) - half
        over = np.maximum(r - np.where(h < 0, bottom, top), 0)  # past the rim of the nearer end
        slope, rise = top - bottom, 2 * half
        share = ((r - bottom) * slope + (h + half) * rise) / (slope * slope + rise * rise)
        share = np.clip(share, 0, 1)
        side_r, side_h = r - bottom - slope * share, h + half - rise * share
        nearest = np.minimum(over * over + beyond * beyond, side_r * side_r + side_h * side_h)
        sign = np.where((side_r < 0) & (beyond < 0), np.float32(-1), np.float32(1))
        return np.asarray(sign * np.sqrt(nearest) - np.float32(self.rounding))


@dataclass(frozen=True, kw_only=True)
class Ring(_Centred):
    """A torus that lies flat.

    Attributes:
        radius: Of the circle in the middle of its tube.
        tube: Radius of the tube.
    """

    radius: float
    tube: float

    @property
    def half_extent(self) -> Vector:
        """Half the sides of a box around it."""
        return (self.radius + self.tube, self.tube, self.radius + self.tube)

    def distance(self, points: Floats) -> Floats:
        """Distance of points (n, 3): (n,)."""
        x, y, z = self._local(points)
        r = np.sqrt(x * x + z * z) - np.float32(self.radius)
        return np.asarray(np.sqrt(r * r + y * y) - np.float32(self.tube))


_SIDES = np.array([1, 0, 1], np.float32)
_HEIGHT = np.array([0, 1, 0], np.float32)


def _ellipsoid(local: tuple[Floats, Floats, Floats], radii: Vector) -> Floats:
    x, y, z = (along / np.float32(radius) for along, radius in zip(local, radii, strict=True))
    k = np.sqrt(x * x + y * y + z * z)
    x, y, z = (a / np.float32(radius) for a, radius in zip((x, y, z), radii, strict=True))
    return np.asarray(k * (k - 1) / np.maximum(np.sqrt(x * x + y * y + z * z), 1e-6))

"""A photo of a solid on white, and what each pixel shows.

Rays walk through the distance field until they meet a surface (sphere tracing, Hart 1996): one
through the middle of each pixel, four more where something ends. Light comes from a lamp at the
upper left, which casts shadows, and from the sky.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from regard.datasets.solids.distance import Floats
from regard.datasets.solids.solid import COLOURS, Distance, Solid, SolidPart, normals

Ids = npt.NDArray[np.int8]

BACKGROUND = -1
"""Part id of pixels that show no part."""

_DISTANCE = 5.0
_HALF_VIEW = 0.255  # tangent of half the angle of view
_FINER = 2  # rays through a pixel at an edge, along each axis
_JUMP = 0.12  # between the colours of neighbours, from 0 to 1: more is an edge
_STEPS = 26
_NEAR = 1.5e-3
_LAMP = np.array([-0.5, 0.75, 0.45], np.float32) / np.float32(np.hypot(np.hypot(0.5, 0.75), 0.45))


@dataclass(frozen=True, eq=False)
class SolidPhoto:
    """A photo and its ground truth.

    Attributes:
        image: uint8 (height, width, 3), RGB.
        part_ids: int8 (height, width): the part in the middle of each pixel, or `BACKGROUND`.
        places: float32 (height, width, 3): where in space that point of the surface is, NaN on
            the background.
    """

    image: npt.NDArray[np.uint8]
    part_ids: Ids
    places: Floats


def photograph(
    thing: Solid,
    size_px: int = 128,
    *,
    azimuth: float | None = None,
    elevation: float | None = None,
) -> SolidPhoto:
    """A square photo of a thing.

    Args:
        thing: What to photograph.
        size_px: Height and width.
        azimuth: Radians around the y axis; by default the thing's own.
        elevation: Radians above the ground, likewise.
    """
    view = (
        thing.azimuth if azimuth is None else azimuth,
        thing.elevation if elevation is None else elevation,
    )
    eye, rays = _rays(size_px, view)
    colour, ids, places = _seen(thing, eye, rays)
    edges = _edges(colour.reshape(size_px, size_px, 3), ids.reshape(size_px, size_px))
    _, finer = _rays(size_px, view, _FINER)
    colour[edges] = (
        _seen(thing, eye, finer[edges].reshape(-1, 3))[0].reshape(-1, _FINER**2, 3).mean(1)
    )
    return SolidPhoto(
        np.rint(255 * colour).astype(np.uint8).reshape(size_px, size_px, 3),
        ids.reshape(size_px, size_px),
        places.reshape(size_px, size_px, 3),
    )


def _seen(thing: Solid, eye: Floats, rays: Floats) -> tuple[Floats, Ids, Floats]:
    """Colour (n, 3) from 0 to 1, part and place (n, 3) of what each ray meets."""
    reach = _trace(thing.distance, eye, rays, thing.box)
    hit = np.isfinite(reach)
    ids = np.full(len(rays), BACKGROUND, np.int8)
    where = np.full((len(rays), 3), np.nan, np.float32)
    colour = np.empty((len(rays), 3), np.float32)
    where[hit] = eye + reach[hit, None] * rays[hit]
    ids[hit] = thing.part_distances(where[hit]).argmin(0)
    colour[hit] = _shade(thing, where[hit], ids[hit], -rays[hit])
    colour[~hit] = _ground(thing, eye, rays[~hit])
    return colour, ids, where


def _edges(colour: Floats, ids: Ids) -> npt.NDArray[np.bool_]:
    """Pixels (height · width,) that differ from one beside them, so that one ray is too few."""
    edge = np.zeros(ids.shape, bool)
    for axis in (0, 1):
        jump = np.abs(np.diff(colour, axis=axis)).max(-1) > _JUMP
        jump |= np.diff(ids, axis=axis) != 0
        before, after = (edge[:-1], edge[1:]) if axis == 0 else (edge[:, :-1], edge[:, 1:])
        before |= jump
        after |= jump
    return edge.reshape(-1)


def _rays(side: int, view: tuple[float, float], finer: int | None = None) -> tuple[Floats, Floats]:
    """The eye (3,), and a ray through each pixel (side², 3), rows from the top.

    With `finer`, so many times so many through each: (side², finer², 3).
    """
    turn, rise = view
    back = np.array([np.sin(turn) * np.cos(rise), np.sin(rise), np.cos(turn) * np.cos(rise)])
    right = np.array([np.cos(turn), 0.0, -np.sin(turn)])
    up = np.cross(back, right)
    each = finer or 1
    axis = ((np.arange(side * each) + 0.5) / (side * each) * 2 - 1) * _HALF_VIEW
    grid = np.stack(np.meshgrid(axis, -axis), -1).reshape(side, each, side, each, 2)
    grid = grid.swapaxes(1, 2).reshape(side * side, each * each, 2).astype(np.float32)
    x, y = grid[..., :1], grid[..., 1:]
    rays = x * right.astype(np.float32) + y * up.astype(np.float32) - back.astype(np.float32)
    unit: Floats = np.asarray(rays / np.sqrt(1 + x * x + y * y), np.float32)
    return (back * _DISTANCE).astype(np.float32), unit if finer else unit[:, 0]


def _trace(distance: Distance, eye: Floats, rays: Floats, box: tuple[Floats, Floats]) -> Floats:
    """How far each ray runs until it meets the surface; infinite if it never does."""
    enter, leave = _within(box, eye, rays)
    reach = np.full(len(rays), np.inf, np.float32)
    active = np.flatnonzero(enter < leave)
    along, directions, leave = enter[active], rays[active], leave[active]
    for _ in range(_STEPS):
        gap = distance(eye + along[:, None] * directions)
        met = gap < _NEAR
        reach[active[met]] = along[met]
        along = along + np.maximum(gap, _NEAR)
        on = ~met & (along < leave)
        active, along, directions, leave = active[on], along[on], directions[on], leave[on]
        if not len(active):
            return reach
    close = gap[on] < 10 * _NEAR  # rays that graze the surface
    reach[active[close]] = along[close]
    return reach


def _within(box: tuple[Floats, Floats], start: Floats, rays: Floats) -> tuple[Floats, Floats]:
    """Where rays enter a box and where they leave it; they miss it if that comes first."""
    shape = np.broadcast_shapes(start.shape, rays.shape)[:-1]
    enter, leave = np.zeros(shape, np.float32), np.full(shape, np.inf, np.float32)
    with np.errstate(divide="ignore", invalid="ignore"):
        for axis in range(3):
            one = (box[0][axis] - start[..., axis]) / rays[..., axis]
            other = (box[1][axis] - start[..., axis]) / rays[..., axis]
            enter = np.maximum(enter, np.minimum(one, other))
            leave = np.minimum(leave, np.maximum(one, other))
    return enter, leave


def _shade(thing: Solid, places: Floats, parts: Ids, to_eye: Floats) -> Floats:
    """Colours (n, 3) from 0 to 1 of points on the surface."""
    facing = normals(thing.distance, places)
    lamp = np.clip(facing @ _LAMP, 0, 1)
    lit = lamp > 0
    lamp[lit] *= _lit(thing, (places + 0.02 * facing)[lit])
    sky = 0.5 + 0.5 * facing[:, 1]
    open_sky = np.clip(thing.distance(places + 0.12 * facing) / 0.12, 0, 1) * 0.6 + 0.4
    light = 0.78 * lamp + open_sky * (0.30 + 0.22 * sky)
    colour = np.empty_like(places)
    for index, part in enumerate(thing.parts):
        own = parts == index
        colour[own] = _painted(part, places[own])
    half = to_eye + _LAMP
    half /= np.linalg.norm(half, axis=-1, keepdims=True)
    gloss = 0.22 * np.clip((facing * half).sum(-1), 0, 1) ** 40 * (lamp > 0)
    return np.asarray(np.clip(colour * light[:, None] + gloss[:, None], 0, 1), np.float32)


def _lit(thing: Solid, places: Floats) -> Floats:
    """How much of the lamp points see, from 0 to 1; less near the edge of a shadow."""
    light = np.ones(len(places), np.float32)
    low, high = thing.box
    enter, leave = _within((low - 0.08, high + 0.08), places, _LAMP)
    active = np.flatnonzero(enter < leave)
    along, starts, leave = np.maximum(enter[active], 0.03), places[active], leave[active]
    for _ in range(7):
        gap = thing.distance(starts + along[:, None] * _LAMP)
        light[active] = np.minimum(light[active], np.clip(10 * gap / along, 0, 1))
        along = along + np.clip(gap, 0.06, 0.35)
        on = (along < leave) & (light[active] > 0.01)
        active, along, starts, leave = active[on], along[on], starts[on], leave[on]
        if not len(active):
            break
    return light


def _painted(part: SolidPart, places: Floats) -> Floats:
    """The part's own colour at places on it, (n, 3) from 0 to 1."""
    colour = np.array(COLOURS[part.colour], np.float32) / 255
    low, high = part.box
    x, y, z = (places - (low + high) / 2).T
    around = np.arctan2(x, z) * max(float((high - low)[0]), 0.3)
    if part.texture == "stripes":
        bright = np.sin(28 * y) > 0
    elif part.texture == "checks":
        bright = np.sin(11 * around) * np.sin(22 * y) > 0
    elif part.texture == "dots":
        bright = np.cos(14 * around) + np.cos(28 * y) > 1.1
    else:
        bright = np.zeros(len(places), bool)
    share = np.where(bright, 0.38, 0.0).astype(np.float32)[:, None]
    return np.asarray(colour * (1 - share) + share, np.float32)


def _ground(thing: Solid, eye: Floats, rays: Floats) -> Floats:
    """White, with the shadow of the thing on the ground it stands on."""
    colour = np.ones_like(rays)
    low, high = thing.box
    reach = float(high[1] - low[1]) + 0.6
    with np.errstate(divide="ignore", invalid="ignore"):
        along = (low[1] - eye[1]) / rays[:, 1]
        places = eye + along[:, None] * rays
    near = (rays[:, 1] < 0) & (np.abs(places[:, 0]) < reach) & (np.abs(places[:, 2]) < reach)
    ground = places[near] + np.array([0, 2e-3, 0], np.float32)
    contact = np.exp(-np.clip(thing.distance(ground), 0, None) / 0.09)
    colour[near] -= (0.16 * (1 - _lit(thing, ground)) + 0.22 * contact)[:, None]
    return colour

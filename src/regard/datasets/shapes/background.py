"""Backgrounds: two to four regions of stuff, one below the other, as in a landscape."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from regard.datasets.shapes.noise import Array, layered, noise, stream

STUFF = ("sky", "mountain", "water", "grass", "sand")
"""What backgrounds are made of; category ids go on after those of the objects."""

_SKY, _MOUNTAIN, _WATER, _GRASS, _SAND = range(5)
_ROUGHNESS = (0.0, 0.3, 0.0, 0.05, 0.04)
"""How far the upper edge of each stuff goes up and down, in short sides of the picture."""


@dataclass(frozen=True)
class Background:
    """Pixels without objects."""

    image: Array
    """(3, height, width), 0 to 255."""
    stuff: npt.NDArray[np.uint8]
    """(height, width) index into `STUFF`."""


def background(seed: int, ys: Array, xs: Array) -> Background:
    """The background of a scene; ``ys`` and ``xs`` are its pixels in short sides of the picture."""
    random = stream(seed, 1)
    pixels_per_unit = 1 / float(ys[1] - ys[0]) if len(ys) > 1 else 1.0
    image = _PAINTERS[_SKY](random, ys, xs)
    stuff = np.full((len(ys), len(xs)), _SKY, np.uint8)
    for kind, line in _lines(random, float(ys[-1])):
        edge = line + _roughness(random, kind, xs)
        inside = np.clip((ys[:, None] - edge) * np.float32(pixels_per_unit) + 0.5, 0, 1)
        rows = slice(int(np.argmax(inside.any(axis=1))), None)
        painted = _PAINTERS[kind](random, ys[rows], xs)
        image[:, rows] += (painted - image[:, rows]) * inside[rows]
        stuff[inside > 0.5] = kind
    return Background(image, stuff)


def _lines(random: np.random.Generator, height: float) -> list[tuple[int, float]]:
    """Stuff below the sky, from far to near, each with the height of its upper edge."""
    ground = [int(kind) for kind in random.permutation([_WATER, _GRASS, _SAND])]
    kinds = ([_MOUNTAIN] if random.random() < 0.5 else []) + ground[: random.integers(1, 3)]
    first = random.uniform(0.3, 0.42)
    steps = [first, random.uniform(first + 0.12, first + 0.2), random.uniform(0.7, 0.82)]
    return [(kind, step * height) for kind, step in zip(kinds, steps, strict=False)]


def _roughness(random: np.random.Generator, kind: int, xs: Array) -> Array:
    row = np.zeros(1, np.float32)
    wave = layered(random, row, xs, (1, 2.5), 5)[0] - np.float32(0.5)
    result: Array = wave * np.float32(_ROUGHNESS[kind])
    return result


def _mix(low: tuple[int, int, int], high: tuple[int, int, int], way: Array) -> Array:
    """Colours between two, (3, height, width)."""
    start, end = (np.array(colour, np.float32)[:, None, None] for colour in (low, high))
    return start + (end - start) * way


def _sky(random: np.random.Generator, ys: Array, xs: Array) -> Array:
    down = np.broadcast_to((ys / ys[-1])[:, None] * np.float32(1.6), (len(ys), len(xs)))
    clouds = np.clip(layered(random, ys, xs, (5, 2), 4) * 3 - np.float32(1.5), 0, 1)
    warmth = random.random()
    low = (222, 226, 224) if warmth < 0.6 else (240, 214, 190)
    sky = _mix((104, 152, 206), low, np.minimum(down, 1))
    sky += (np.float32(246) - sky) * (clouds * np.float32(0.75))
    return sky


def _mountain(random: np.random.Generator, ys: Array, xs: Array) -> Array:
    rock = layered(random, ys, xs, (5, 8), 5)
    slope = np.zeros_like(rock)
    slope[:, 1:] = (rock[:, 1:] - rock[:, :-1]) / (xs[1] - xs[0]) if len(xs) > 1 else 0
    return _mix((92, 98, 118), (160, 160, 170), np.clip(rock + slope * np.float32(0.07), 0, 1))


def _water(random: np.random.Generator, ys: Array, xs: Array) -> Array:
    ripples = layered(random, ys, xs, (26, 4), 3)
    glints = np.clip(noise(random, ys, xs, (55, 7)) * 5 - np.float32(4), 0, 1)
    depth = np.clip((ys / ys[-1])[:, None] * np.float32(0.6), 0, 1)
    water = _mix((92, 150, 170), (38, 84, 116), np.clip(depth + ripples * np.float32(0.6), 0, 1))
    water += (np.float32(228) - water) * (glints * np.float32(0.6))
    return water


def _grass(random: np.random.Generator, ys: Array, xs: Array) -> Array:
    patches = layered(random, ys, xs, (3, 3), 2)
    blades = noise(random, ys, xs, (24, 110)) * np.float32(0.6)
    blades += noise(random, ys, xs, (14, 60)) * np.float32(0.4)
    way = patches * np.float32(0.5) + blades * np.float32(0.6) - np.float32(0.05)
    return _mix((78, 96, 52), (150, 164, 92), np.clip(way, 0, 1))


def _sand(random: np.random.Generator, ys: Array, xs: Array) -> Array:
    dunes = layered(random, ys, xs, (12, 2.5), 3)
    grain = noise(random, ys, xs, (90, 90)) - np.float32(0.5)
    way = dunes + grain * np.float32(0.3)
    return _mix((180, 154, 114), (232, 212, 172), np.clip(way, 0, 1))


_PAINTERS: tuple[Callable[[np.random.Generator, Array, Array], Array], ...]
_PAINTERS = (_sky, _mountain, _water, _grass, _sand)

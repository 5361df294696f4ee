"""Choosing figures and places so that every one of them can be recognised and told from others."""

from itertools import pairwise

import numpy as np

from regard.datasets.shapes.colours import COLOURS
from regard.datasets.shapes.figure import TEXTURES, Figure
from regard.datasets.shapes.kinds import KINDS
from regard.datasets.shapes.noise import Array, stream
from regard.errors import InputError

SIZES = {"small": (0.105, 0.13), "large": (0.18, 0.23)}
"""Radii in short sides of the picture."""
MOST = 8
"""Objects in one scene."""

_VISIBLE = 0.6
"""Least share of a figure that others leave uncovered."""
_COARSE = 40
"""Points a short side at which covering is measured while places are chosen."""
_TRIES = 4000

Extent = tuple[float, float]
"""Height and width in short sides of the picture."""


def choose_figures(seed: int, objects: tuple[int, int], extent: Extent) -> list[Figure]:
    """Figures of a scene from back to front.

    Raises:
        InputError: The number of objects is none that a scene can have, or has no room.
    """
    low, high = checked_objects(objects)
    random = stream(seed, 2)
    wanted = int(random.integers(low, high + 1))
    large_at_most = 4 if wanted <= 5 else 2
    chosen: list[Figure] = []
    for _ in range(_TRIES):
        large = random.random() < 0.5 and large_at_most > sum(f.radius > 0.15 for f in chosen)
        figure = _random_figure(random, "large" if large else "small", extent)
        if _told_apart([*chosen, figure], wanted) and _all_visible([*chosen, figure], extent):
            chosen.append(figure)
        if len(chosen) == wanted:
            return chosen
    raise InputError(f"no room for {wanted} objects in seed {seed}; ask for fewer objects")


def checked_objects(objects: tuple[int, int]) -> tuple[int, int]:
    """The fewest and the most objects, as whole numbers that a scene can have."""
    low, high = objects
    if not 1 <= low <= high <= MOST:
        raise InputError(f"objects is {objects}, expected (fewest, most) between 1 and {MOST}")
    return low, high


def size_of(figure: Figure) -> str:
    """What the size of a figure is called: "small" or "large"."""
    return "large" if figure.radius >= SIZES["large"][0] else "small"


def _random_figure(random: np.random.Generator, size: str, extent: Extent) -> Figure:
    radius = random.uniform(*SIZES[size])
    margin = 0.85 * radius
    red, green, blue = random.uniform(-1, 1, 3)
    return Figure(
        kind=KINDS[random.integers(len(KINDS))],
        colour=COLOURS[random.integers(len(COLOURS))],
        radius=radius,
        x=random.uniform(margin, extent[1] - margin),
        y=random.uniform(margin, extent[0] - margin),
        turn=random.uniform(-0.2, 0.2),
        texture=TEXTURES[random.integers(len(TEXTURES))],
        cells=random.uniform(1.6, 2.6) if size == "large" else random.uniform(1.2, 1.7),
        tint=(float(red), float(green), float(blue)),
    )


def _told_apart(figures: list[Figure], wanted: int) -> bool:
    """Whether words can say where they are: two beside or above each other, more from the left."""
    if wanted == 2 and len(figures) == 2:
        first, second = figures
        return abs(abs(first.x - second.x) - abs(first.y - second.y)) > 0.08
    across = sorted(figure.x for figure in figures)
    return all(right - left > 0.04 for left, right in pairwise(across))


def _all_visible(figures: list[Figure], extent: Extent) -> bool:
    """Whether those in front leave enough of those behind."""
    ys, xs = (_coarse(length) for length in extent)
    owner = np.full((len(ys), len(xs)), -1)
    areas = []
    for number, figure in enumerate(figures):
        rows, columns = figure.window(ys, xs)
        inside = figure.distance(xs[None, columns], ys[rows, None]) < 0
        owner[rows, columns][inside] = number
        areas.append(int(inside.sum()))
    left = np.bincount(owner[owner >= 0], minlength=len(figures))
    return all(seen >= _VISIBLE * area for seen, area in zip(left.tolist(), areas, strict=True))


def _coarse(length: float) -> Array:
    return ((np.arange(round(length * _COARSE)) + 0.5) / _COARSE).astype(np.float32)

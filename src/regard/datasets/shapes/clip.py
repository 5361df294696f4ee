"""A generated video: objects that move, hide one another, leave and come back."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from regard.datasets.shapes.canvas import Canvas
from regard.datasets.shapes.figure import Figure
from regard.datasets.shapes.kinds import KINDS
from regard.datasets.shapes.noise import stream
from regard.datasets.shapes.placing import Extent, choose_figures, size_of
from regard.errors import InputError

Point = tuple[float, float]
"""x and y in short sides of the picture."""


@dataclass(frozen=True, kw_only=True)
class Identity:
    """One object of a video."""

    kind: str
    """One of `KINDS`."""
    colour: str
    """One of `COLOURS`."""
    size: str
    """ "small" or "large"."""

    @property
    def category_id(self) -> int:
        """Number of its kind, from 1."""
        return KINDS.index(self.kind) + 1


@dataclass(frozen=True, kw_only=True, eq=False)
class Clip:
    """A video and its ground truth."""

    images: npt.NDArray[np.uint8]
    """(frames, height, width, 3) RGB."""
    masks: npt.NDArray[np.bool_]
    """(frames, objects, height, width) pixels that show each object; empty where it is hidden or
    out of view."""
    objects: tuple[Identity, ...]
    """From back to front."""
    stuff: npt.NDArray[np.uint8]
    """(height, width) index into `STUFF` of the background, also behind objects."""


def clip(
    seed: int,
    frames: int = 8,
    size_hw: tuple[int, int] = (128, 128),
    objects: tuple[int, int] = (2, 4),
) -> Clip:
    """Generate a video. The same arguments give the same bytes on every machine.

    One object crosses the place of another, one leaves the picture and comes back, a third may
    come late. However many frames there are, they show the whole story.

    Args:
        seed: Which video, from 0.
        frames: How many pictures.
        size_hw: Height and width in pixels.
        objects: The fewest and the most objects, between 1 and 8.

    Raises:
        InputError: An argument that makes no video.
    """
    if frames < 1:
        raise InputError(f"frames is {frames}, expected 1 or more")
    canvas = Canvas(seed, size_hw)
    figures = choose_figures(seed, objects, canvas.extent)
    paths = _paths(seed, figures, canvas.extent)
    images = np.empty((frames, *size_hw, 3), np.uint8)
    owners = np.empty((frames, *size_hw), np.int8)
    for frame in range(frames):
        time = frame / max(frames - 1, 1)
        moved = [path(time) for path in paths]
        images[frame], owners[frame] = canvas.paint(moved, frame)
    return Clip(
        images=images,
        masks=owners[:, None] == np.arange(len(figures))[:, None, None],
        objects=tuple(Identity(kind=f.kind, colour=f.colour, size=size_of(f)) for f in figures),
        stuff=canvas.stuff,
    )


def _paths(seed: int, figures: Sequence[Figure], extent: Extent) -> list[Callable[[float], Figure]]:
    """Where each figure is at a time between 0 and 1. All begin where they were placed."""
    random = stream(seed, 3)
    order = [int(i) for i in random.permutation(len(figures))]
    middles = [_inside(random, figure, extent) for figure in figures]
    if len(order) > 1:  # the second goes through where the first is half way
        middles[order[1]] = middles[order[0]]
    if len(order) != 2 or random.random() < 0.5:
        leaving = order[-1] if len(order) < 4 else order[2]
        middles[leaving] = _outside(random, figures[leaving], extent)
    starts = [(figure.x, figure.y) for figure in figures]
    if len(order) > 3:
        starts[order[3]] = _outside(random, figures[order[3]], extent)
    ends = [_inside(random, figure, extent) for figure in figures]
    turns = random.uniform(-0.3, 0.3, len(figures))
    return [
        _Path(figure, start, middle, end, float(turn))
        for figure, start, middle, end, turn in zip(
            figures, starts, middles, ends, turns, strict=True
        )
    ]


@dataclass(frozen=True)
class _Path:
    """A parabola through three places, at the times 0, 1/2 and 1."""

    figure: Figure
    start: Point
    middle: Point
    end: Point
    turn: float

    def __call__(self, time: float) -> Figure:
        weights = (2 * time - 1) * (time - 1), 4 * time * (1 - time), time * (2 * time - 1)
        places = zip(self.start, self.middle, self.end, strict=True)
        x, y = (sum(w * p for w, p in zip(weights, place, strict=True)) for place in places)
        return replace(self.figure, x=x, y=y, turn=self.figure.turn + self.turn * time)


def _inside(random: np.random.Generator, figure: Figure, extent: Extent) -> Point:
    height, width = extent
    margin = figure.radius
    return random.uniform(margin, width - margin), random.uniform(margin, height - margin)


def _outside(random: np.random.Generator, figure: Figure, extent: Extent) -> Point:
    """A place beyond the left, the right or the lower edge."""
    height, width = extent
    beyond, side = 1.3 * figure.radius, random.integers(3)
    if side == 2:
        return random.uniform(0, width), height + beyond
    return (-beyond if side == 0 else width + beyond), random.uniform(0.2, 0.8) * height

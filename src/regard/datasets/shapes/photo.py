"""A generated photo with everything that is true about it."""

from dataclasses import dataclass
from functools import cached_property
from typing import TypedDict

import numpy as np
import numpy.typing as npt

from regard.datasets.shapes.background import STUFF
from regard.datasets.shapes.canvas import Canvas, Pixels
from regard.datasets.shapes.caption import describe
from regard.datasets.shapes.figure import Figure
from regard.datasets.shapes.kinds import KINDS
from regard.datasets.shapes.placing import choose_figures, size_of

Mask = npt.NDArray[np.bool_]


class Segment(TypedDict):
    """A segment of a panoptic map."""

    id: int
    category_id: int
    isthing: bool


@dataclass(frozen=True, kw_only=True, eq=False)
class ShapeObject:
    """One object of a photo."""

    kind: str
    """One of `KINDS`."""
    colour: str
    """One of `COLOURS`."""
    size: str
    """ "small" or "large"."""
    mask: Mask
    """(height, width) pixels that show it."""

    @property
    def category_id(self) -> int:
        """Number of its kind, from 1."""
        return KINDS.index(self.kind) + 1

    @cached_property
    def box_xyxy(self) -> tuple[float, float, float, float]:
        """Outer edges of the pixels that show it."""
        return box_around(self.mask)


@dataclass(frozen=True, kw_only=True, eq=False)
class Scene:
    """A photo and its ground truth."""

    image: Pixels
    """(height, width, 3) RGB."""
    objects: tuple[ShapeObject, ...]
    """From back to front."""
    stuff: npt.NDArray[np.uint8]
    """(height, width) index into `STUFF` of the background, also behind objects."""
    words: tuple[str, ...]
    """Of the caption."""
    word_objects: tuple[int | None, ...]
    """For each word, the index of the object that it speaks of."""

    @property
    def caption(self) -> str:
        """What it shows, such as "a large red disc left of a small blue star"."""
        return " ".join(self.words)

    def panoptic(self) -> tuple[npt.NDArray[np.int32], list[Segment]]:
        """(height, width) segment id of each pixel, and what the ids are.

        Objects are things with ids from 1 in their order; each stuff that shows is one segment
        after them. Every pixel belongs to a segment.
        """
        count = len(self.objects)
        ids = self.stuff.astype(np.int32) + (count + 1)
        for number, one in enumerate(self.objects, 1):
            ids[one.mask] = number
        things = [
            Segment(id=number, category_id=one.category_id, isthing=True)
            for number, one in enumerate(self.objects, 1)
        ]
        seen = [int(i) for i in np.unique(ids) if i > count]
        stuff = [Segment(id=i, category_id=i - count + len(KINDS), isthing=False) for i in seen]
        return ids, things + stuff


def photo(
    seed: int, size_hw: tuple[int, int] = (128, 128), objects: tuple[int, int] = (2, 5)
) -> Scene:
    """Generate a photo. The same arguments give the same bytes on every machine.

    A scene depends on the seed, the number of objects and the shape of the picture; its size only
    says how finely it is drawn.

    Args:
        seed: Which scene, from 0.
        size_hw: Height and width in pixels.
        objects: The fewest and the most objects, between 1 and 8.

    Raises:
        InputError: An argument that makes no scene.
    """
    canvas = Canvas(seed, size_hw)
    figures = choose_figures(seed, objects, canvas.extent)
    image, owner = canvas.paint(figures)
    masks = owner == np.arange(len(figures))[:, None, None]
    ground = STUFF[int(np.bincount(canvas.stuff[masks[0]], minlength=1).argmax())]
    words = describe(figures, ground)
    return Scene(
        image=image,
        objects=tuple(_object(f, mask) for f, mask in zip(figures, masks, strict=True)),
        stuff=canvas.stuff,
        words=tuple(word for word, _ in words),
        word_objects=tuple(number for _, number in words),
    )


def _object(figure: Figure, mask: Mask) -> ShapeObject:
    return ShapeObject(kind=figure.kind, colour=figure.colour, size=size_of(figure), mask=mask)


def box_around(mask: Mask) -> tuple[float, float, float, float]:
    """Outer edges of the pixels of a mask, x0 y0 x1 y1; zeros where there are none."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return 0.0, 0.0, 0.0, 0.0
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)

"""Segments: which pixel of a photo belongs to which object, and to which object query."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from regard.errors import GeometryError
from regard.segmentation.categories import Categories


@dataclass(frozen=True, kw_only=True)
class Segment:
    """One object, or all of one kind of stuff."""

    id: int
    """Its value in the map of ids; from 1, no two segments share one."""
    label: int
    """Class index."""
    name: str
    """Name of the class."""
    is_thing: bool
    """Whether its class can be counted."""
    score: float
    """Class probability of its first query."""
    area_px: int
    """Pixels of the photo."""
    queries: tuple[int, ...]
    """The object queries it was made of; several where stuff was merged, the first one's first."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Segmentation:
    """A photo cut into segments."""

    ids: Tensor = field(repr=False)
    """(height, width) int64: id of the segment of each pixel, 0 for none."""
    owners: Tensor = field(repr=False)
    """(height, width) int64: the object query that owns each pixel, -1 for none."""
    segments: tuple[Segment, ...]
    """In the order of their ids."""
    categories: Categories = field(repr=False)
    """What the classes are."""

    def at(self, x: float, y: float) -> Segment | None:
        """The segment at a point of the photo; None where there is none.

        Args:
            x: Distance from the left edge in pixels; pixel ``i`` has its centre at ``i + 0.5``.
            y: Distance from the top edge.

        Raises:
            GeometryError: The point is outside the photo.
        """
        found = int(self.ids[self._pixel(x, y)])
        return self.segments[found - 1] if found else None

    def query_at(self, x: float, y: float) -> int | None:
        """The object query that owns the pixel at a point; None where none does."""
        found = int(self.owners[self._pixel(x, y)])
        return None if found < 0 else found

    def of_query(self, query: int) -> Segment | None:
        """The segment that an object query is part of."""
        return next((s for s in self.segments if query in s.queries), None)

    def mask(self, segment: Segment) -> Tensor:
        """Bool (height, width): where a segment is."""
        return self.ids == segment.id

    def _pixel(self, x: float, y: float) -> tuple[int, int]:
        height, width = self.ids.shape
        if not (0 <= x < width and 0 <= y < height):
            raise GeometryError(f"({x:g}, {y:g}) is outside the {width} x {height} px photo")
        return int(y), int(x)


def numbered(
    owners: Tensor, groups: list[list[int]], labels: Tensor, scores: Tensor, categories: Categories
) -> Segmentation:
    """Segments with ids 1, 2, ... of groups of queries; groups that own no pixel are left out.

    Args:
        owners: (height, width) int64, the query of each pixel, -1 for none.
        groups: Queries of each segment.
        labels: (queries,) class of every query.
        scores: (queries,) score of every query.
        categories: What the classes are.
    """
    areas = owned_areas(owners, len(labels))
    ids = torch.zeros(len(labels) + 1, dtype=torch.int64)  # of each query; the last is no query
    segments: list[Segment] = []
    for group in groups:
        area = int(areas[group].sum())
        if not area:
            continue
        label = int(labels[group[0]])
        segment = Segment(
            id=len(segments) + 1,
            label=label,
            name=categories.name(label),
            is_thing=categories.is_thing[label],
            score=float(scores[group[0]]),
            area_px=area,
            queries=tuple(group),
        )
        ids[group] = segment.id
        segments.append(segment)
    return Segmentation(
        ids=ids[owners], owners=owners, segments=tuple(segments), categories=categories
    )


def winners(values: Tensor) -> Tensor:
    """Index of the first largest of ``n`` maps at each pixel, (height, width) int64.

    As ``values.argmax(0)``, which takes twice as long: it reads across the maps.

    Args:
        values: (n, height, width), at least one map.
    """
    best = values[0].clone()
    index = torch.zeros(best.shape, dtype=torch.int32, device=best.device)
    for place, own in enumerate(values[1:], 1):
        index.masked_fill_(own > best, place)
        torch.maximum(best, own, out=best)
    return index.long()


def owned_areas(owners: Tensor, queries: int) -> Tensor:
    """Pixels that each query owns, (queries,) int64."""
    return torch.bincount(owners.flatten() + 1, minlength=queries + 1)[1:]

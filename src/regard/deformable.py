"""Deformable attention: each query looks at a few sampled points of a feature pyramid.

What is kept are the points and their weights. The weight of a cell is what reaches it from all
points around: exact, and built for only the rows that are asked for.

Source: Zhu et al. 2021, "Deformable DETR", equation 3.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from regard.attention import TILE_BYTES, Attention, Selection
from regard.errors import SelectionError
from regard.kept import Kept
from regard.scores import Part

SAMPLE_BYTES = 48
"""What one sample of one row takes while it is spread: positions, corners, index, share."""


@dataclass(frozen=True, slots=True)
class Points:
    """Sampled points of some queries and heads.

    Attributes:
        xy: (batch, heads, queries, points, 2), float: x and y on the map of the point's level,
            0 at its left and top edge, 1 at its right and bottom edge. Points outside read zeros.
        weights: (batch, heads, queries, points); as the model had them.
        levels: (points,), the level of each point, counted in the model's order.
    """

    xy: Tensor
    weights: Tensor
    levels: Tensor


@dataclass(eq=False, kw_only=True, repr=False)
class DeformableAttention(Attention):
    """A call kept as its sampled points. Keys are the cells of all levels, in the model's order.

    Rows may sum to less than 1: the weight of a point outside the map reaches no cell. Weights may
    be negative where a model's own are.

    Attributes:
        locations: (batch, queries, heads, points, 2), x and y as in `Points`; the points of the
            first level come first.
        point_weights: (batch, queries, heads, points).
        levels_hw: Rows and columns of each level, in the model's order.
        points_per_level: How many of the points belong to each level.
        nearest: Points read the nearest cell, inside the map always (the "discrete" method of
            RT-DETRv2), instead of interpolating between four.
    """

    kind = "deformable"
    locations: Kept
    point_weights: Kept
    levels_hw: tuple[tuple[int, int], ...]
    points_per_level: tuple[int, ...]
    nearest: bool = False

    @property
    def kept(self) -> list[Kept]:
        """Locations and weights of the points."""
        return [self.locations, self.point_weights]

    def points(self, queries: Selection = None, heads: Selection = None) -> Points:
        """The sampled points of some queries and heads, to be drawn or counted."""
        return self._points(self._part(queries, heads))

    def blocked(self, queries: Selection = None, heads: Selection = None) -> Tensor:
        """Where a mask forbids the query the key: nowhere; bool (batch, heads, queries, keys)."""
        rows, chosen = self._counts(queries, heads)
        return torch.zeros(
            self.shape[0], chosen, rows, self.shape[3], dtype=torch.bool, device=self._device
        )

    def fully_masked(self, queries: Selection = None, heads: Selection = None) -> Tensor:
        """Rows in which every key is blocked: none; bool (batch, heads, queries)."""
        rows, chosen = self._counts(queries, heads)
        return torch.zeros(self.shape[0], chosen, rows, dtype=torch.bool, device=self._device)

    def received(
        self, queries: Selection = None, heads: Selection = None, *, masked: bool = True
    ) -> Tensor:
        """As for every attention; the points are added up without any row of weights."""
        part = self._part(queries, heads)
        rows, chosen = self._counts(queries, heads)
        if not rows:
            raise SelectionError(f"layer {self.layer!r}: no query was selected to average over")
        total = torch.zeros(self.shape[0], chosen, self.shape[3], device=self._device)
        for _, cells, shares in self._blocks(part):
            total.scatter_add_(-1, cells.flatten(2), shares.float().flatten(2))
        return total / rows

    def pull(self, row_weights: Tensor, *, heads: Selection = None, masked: bool = True) -> Tensor:
        """As for every attention; the points are added up without any row of weights."""
        asked = row_weights.float().to(self._device)
        pulled = asked.new_zeros(*asked.shape[:2], self.shape[3])
        for rows, cells, shares in self._blocks(self._part(None, heads)):
            shares = shares.float() / shares.shape[1]
            for n, weights in enumerate(asked[..., rows.to(asked.device)].unbind(1)):
                pushed = shares * weights[:, None, :, None]
                pulled[:, n].scatter_add_(-1, cells.flatten(1), pushed.flatten(1))
        return pulled

    def _weights(self, part: Part, masked: bool) -> Tensor:
        cells, shares = self._samples(part)
        dense = shares.new_zeros(*shares.shape[:3], self.shape[3])
        return dense.scatter_add_(-1, cells, shares)

    def _blocks(self, part: Part) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Samples of blocks of rows: (queries, cells, shares)."""
        rows = torch.arange(self.shape[2]) if part.rows is None else part.rows
        samples = self.shape[0] * self.shape[1] * sum(self.points_per_level) * 4
        for block in torch.split(rows, max(1, TILE_BYTES // (SAMPLE_BYTES * samples))):
            yield block, *self._samples(Part(block, part.heads))

    def _samples(self, part: Part) -> tuple[Tensor, Tensor]:
        """Cells that are read, and the weight with which: both (batch, heads, rows, samples).

        A sample outside the map has weight 0, and cell 0.
        """
        points = self._points(part)
        wide = torch.promote_types(points.weights.dtype, torch.float32)
        xy, weights = points.xy.to(wide), points.weights.to(wide)
        levels = torch.tensor(self.levels_hw, device=xy.device)
        start = torch.cumsum(levels.prod(1), 0) - levels.prod(1)
        levels, start = levels[points.levels], start[points.levels]
        size = levels.flip(-1)  # (points, 2): columns, rows
        if self.nearest:
            cell = (xy * size + 0.5).long().clamp(min=torch.zeros_like(size), max=size - 1)
            return start + cell[..., 1] * size[:, 0] + cell[..., 0], weights
        position = xy * size - 0.5
        low = position.floor()
        fraction = position - low
        cells, shares = [], []
        for right, down in itertools.product((0, 1), (0, 1)):
            corner = low + low.new_tensor([right, down])
            near = (
                fraction[..., 0] if right else 1 - fraction[..., 0],
                fraction[..., 1] if down else 1 - fraction[..., 1],
            )
            inside = ((corner >= 0) & (corner < size)).all(-1)
            x, y = corner.where(inside[..., None], 0).long().unbind(-1)
            cells.append(torch.where(inside, start + y * size[:, 0] + x, 0))
            shares.append(torch.where(inside, weights * (near[0] * near[1]), 0))
        return torch.cat(cells, -1), torch.cat(shares, -1)

    def _points(self, part: Part) -> Points:
        xy, weights = self.locations.get(), self.point_weights.get()
        if part.rows is not None:
            rows = part.rows.to(xy.device)
            xy, weights = xy.index_select(1, rows), weights.index_select(1, rows)
        if part.heads is not None:
            heads = part.heads.to(xy.device)
            xy, weights = xy.index_select(2, heads), weights.index_select(2, heads)
        count = torch.tensor(self.points_per_level, device=xy.device)
        levels = torch.arange(len(count), device=xy.device).repeat_interleave(count)
        return Points(xy.transpose(1, 2), weights.transpose(1, 2), levels)

    @property
    def _device(self) -> torch.device:
        return self.locations.compact().device

    def _counts(self, queries: Selection, heads: Selection) -> tuple[int, int]:
        part = self._part(queries, heads)
        rows = self.shape[2] if part.rows is None else len(part.rows)
        return rows, self.shape[1] if part.heads is None else len(part.heads)

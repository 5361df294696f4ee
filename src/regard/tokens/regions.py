"""`RegionTokens`: tokens that are boxes on the picture, as an object detector finds them."""

import math
from dataclasses import KW_ONLY, dataclass
from typing import Any, Self

import torch
from torch import Tensor

from regard.errors import GeometryError
from regard.geometry import Box, box_text, checked_numbers, checked_size_hw, size_text
from regard.tokens.base import Tokens
from regard.tokens.spread import Between


@dataclass(frozen=True)
class RegionTokens(Tokens, kind="regions"):
    """Tokens that are boxes, in the order of the features; boxes may overlap.

    Boxes that reach over the picture's edge are cut there.

    >>> tokens = RegionTokens.of([(0, 0, 40, 30), (20, 10, 30, 20)], original_hw=(30, 40))
    >>> tokens.name(tokens.at(25, 15))
    'region 1'
    """

    _: KW_ONLY
    boxes_xyxy: tuple[Box, ...]
    """``(x0, y0, x1, y1)`` of each token, in original pixels."""
    original_hw: tuple[int, int]
    """Height and width of the original picture."""

    def __post_init__(self) -> None:
        super().__post_init__()
        original_hw = checked_size_hw(self.original_hw, what="original_hw")
        object.__setattr__(self, "original_hw", original_hw)
        boxes = tuple(self._cut(index, box) for index, box in enumerate(self.boxes_xyxy))
        object.__setattr__(self, "boxes_xyxy", boxes)
        if len(boxes) != len(self.unnamed):
            raise GeometryError(self._mismatch(f"there are {len(boxes)} boxes", len(boxes)))

    @classmethod
    def of(cls, boxes_xyxy: Any, original_hw: tuple[int, int]) -> Self:
        """Layout of one token a box.

        Args:
            boxes_xyxy: (regions, 4): nested lists, an array or a tensor, in original pixels.
            original_hw: Height and width of the original picture.

        Raises:
            GeometryError: Boxes of another shape, empty ones, or ones outside the picture.
        """
        rows = boxes_xyxy.tolist() if hasattr(boxes_xyxy, "tolist") else list(boxes_xyxy)
        return cls(len(rows), boxes_xyxy=tuple(rows), original_hw=original_hw)

    @property
    def pictures(self) -> tuple[int, ...]:
        """The one picture."""
        return (0,)

    def to_pixels(
        self,
        weights: Tensor,
        size_hw: tuple[int, int] | None = None,
        *,
        between: Between = "cells",
        picture: int = 0,
    ) -> Tensor:
        """Weight per pixel: each token's weight spread evenly over its box, by exact area.

        Where boxes overlap, their densities add up. So the sum over all pixels is the sum of the
        weights, and maps compare whatever the size of boxes.

        Args:
            weights: ``(..., count)``.
            size_hw: Draw on the original scaled to this size; by default, on its own size.
            between: Without effect: boxes have edges, nothing lies between them.
            picture: Which of several pictures; boxes lie on one, number 0.

        Returns:
            ``(..., height, width)``, float32 at least. NaN where no box is.
        """
        self._check_picture(picture)
        if between not in ("cells", "linear"):
            raise GeometryError(f'between is {between!r}, expected "cells" or "linear"')
        weights = self._unnamed_weights(self._checked(weights))
        height, width = checked_size_hw(size_hw or self.original_hw, what="size_hw")
        rows = self._overlap(1, height, self.original_hw[0]).to(weights)
        columns = self._overlap(0, width, self.original_hw[1]).to(weights)
        pixels = (weights[..., None] * rows).transpose(-2, -1) @ columns
        covered = (rows > 0).to(rows).T @ (columns > 0).to(columns)
        return pixels.masked_fill(covered == 0, math.nan)

    def shares(self, weights: Tensor) -> dict[str, Tensor]:
        """Where the weight went: on each named token, and on boxes, ``"image"``."""
        weights = self._checked(weights)
        return {**self._named_shares(weights), "image": self._unnamed_weights(weights).sum(-1)}

    def at(self, x: float, y: float, *, picture: int = 0) -> int:
        """Index of the smallest box that holds a point of the original picture.

        Raises:
            GeometryError: No box holds it.
        """
        self._check_picture(picture)
        holding = [
            ((x1 - x0) * (y1 - y0), index)
            for index, (x0, y0, x1, y1) in zip(self.unnamed, self.boxes_xyxy, strict=True)
            if x0 <= x < x1 and y0 <= y < y1
        ]
        if not holding:
            raise GeometryError(
                f"({x:g}, {y:g}) lies in none of the {len(self.boxes_xyxy)} regions of the "
                f"{size_text(self.original_hw)} picture: choose a point in one of them"
            )
        return min(holding)[1]

    def box_xyxy(self, index: int) -> Box:
        """The box of a token, in original pixels."""
        self._check_index(index)
        if index not in self.unnamed:
            raise GeometryError(f"token {index} is {self.name(index)!r}, which has no box")
        return self.boxes_xyxy[index - self.unnamed.start]

    def to_json(self) -> dict[str, Any]:
        """The layout as plain numbers, lists and text; `tokens_from_json` gives it back."""
        return {
            **super().to_json(),
            "boxes_xyxy": [list(box) for box in self.boxes_xyxy],
            "original_hw": list(self.original_hw),
        }

    def _name_unnamed(self, index: int) -> str:
        return f"region {index - self.unnamed.start}"

    def _cut(self, index: int, box: Any) -> Box:
        """The part of a box that is on the picture."""
        height, width = self.original_hw
        x0, y0, x1, y1 = checked_numbers(box, 4, what=f"box {index} (x0, y0, x1, y1)")
        cut = (max(x0, 0.0), max(y0, 0.0), min(x1, float(width)), min(y1, float(height)))
        if cut[0] >= cut[2] or cut[1] >= cut[3]:
            raise GeometryError(
                f"box {index} is {box_text((x0, y0, x1, y1))}, of which nothing lies on the "
                f"{size_text(self.original_hw)} picture; expected (left, top, right, bottom) in "
                "pixels of the original: are these boxes of a resized copy, or of another photo?"
            )
        return cut

    def _overlap(self, side: int, pixels: int, length: int) -> Tensor:
        """Share of each box in each pixel of an axis, (boxes, pixels); rows sum to 1."""
        scale = pixels / length
        edges = torch.tensor(self.boxes_xyxy, dtype=torch.float64).reshape(-1, 4) * scale
        low, high = edges[:, side, None], edges[:, side + 2, None]
        start = torch.arange(pixels, dtype=torch.float64)
        inside = torch.minimum(high, start + 1) - torch.maximum(low, start)
        return inside.clamp(min=0) / (high - low)

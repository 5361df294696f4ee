"""Tokens that stand for points of a picture, such as the keypoints that a matcher compares."""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any, Self

import torch
from torch import Tensor

from regard.errors import GeometryError
from regard.geometry import Box, ViewTransform, checked_size_hw
from regard.tokens.base import Tokens
from regard.tokens.spread import Between


@dataclass(frozen=True)
class PointTokens(Tokens, kind="points"):
    """Tokens of one point each; a point stands for the input pixel around it.

    >>> from regard import ViewTransform
    >>> corners = PointTokens.of([(3.5, 2.5), (60, 40)], ViewTransform.identity((48, 64)))
    >>> corners.at(50, 30)
    1
    """

    _: KW_ONLY
    points_xy: tuple[tuple[float, float], ...]
    """The points, in pixels of the model's input."""
    view: ViewTransform
    """Where the input's pixels lie on the original picture."""

    def __post_init__(self) -> None:
        points = tuple((float(x), float(y)) for x, y in self.points_xy)
        object.__setattr__(self, "points_xy", points)
        super().__post_init__()
        if len(points) != self.count or self.prefix or self.suffix:
            raise GeometryError(
                f"{len(points)} points in a layout of {self.count} tokens: make it with "
                "PointTokens.of(points_xy, view)"
            )

    @classmethod
    def of(cls, points_xy: Any, view: ViewTransform) -> Self:
        """The layout of these points, ``(count, 2)``, in pixels of the model's input."""
        points: Any = torch.as_tensor(points_xy).tolist()
        return cls(len(points), points_xy=points, view=view)

    @property
    def pictures(self) -> tuple[int, ...]:
        """The one picture."""
        return (0,)

    def at(self, x: float, y: float, *, picture: int = 0) -> int:
        """Index of the token whose point is nearest to a point of the original picture."""
        self._check_picture(picture)
        places = [self.view.to_original(*point) for point in self.points_xy]
        return min(
            range(self.count), key=lambda i: (places[i][0] - x) ** 2 + (places[i][1] - y) ** 2
        )

    def box_xyxy(self, index: int) -> Box:
        """The input pixel around a token's point, in original pixels."""
        self._check_index(index)
        x, y = self.points_xy[index]
        return self.view.box_to_original((x - 0.5, y - 0.5, x + 0.5, y + 0.5))

    def to_pixels(
        self,
        weights: Tensor,
        size_hw: tuple[int, int] | None = None,
        *,
        between: Between = "cells",
        picture: int = 0,
    ) -> Tensor:
        """Weight per pixel: each token's on the pixel that holds its point; see `GridTokens`."""
        self._check_picture(picture)
        weights = self._checked(weights)
        height, width = checked_size_hw(size_hw or self.view.original_hw, what="size_hw")
        inside, place = self._pixels((height, width), weights.device)
        pixels = weights.new_zeros((*weights.shape[:-1], height * width))
        pixels.index_add_(-1, place[inside], weights[..., inside])
        return pixels.reshape(*weights.shape[:-1], height, width)

    def shares(self, weights: Tensor) -> dict[str, Tensor]:
        """Where the weight went: on the ``"image"``, or on ``"padding"`` outside it."""
        weights = self._checked(weights)
        inside, _ = self._pixels((1, 1), weights.device)
        return {
            "image": weights[..., inside].sum(-1),
            "padding": weights[..., ~inside].sum(-1),
        }

    def to_json(self) -> dict[str, Any]:
        """The layout as plain numbers, lists and text; `tokens_from_json` gives it back."""
        points = [list(point) for point in self.points_xy]
        return {**super().to_json(), "points_xy": points, "view": self.view.to_json()}

    @classmethod
    def _from_fields(cls, fields: Mapping[str, Any]) -> Self:
        return cls(**{**fields, "view": ViewTransform.from_json(fields["view"])})

    def _name_unnamed(self, index: int) -> str:
        x, y = self.view.to_original(*self.points_xy[index])
        return f"point ({x:.4g}, {y:.4g})"

    def _pixels(self, size_hw: tuple[int, int], device: torch.device) -> tuple[Tensor, Tensor]:
        """Which points are inside the original, and the raster index of the pixel of each."""
        points = torch.tensor(self.points_xy, dtype=torch.float64, device=device)
        x, y = self.view.to_original(points[:, 0], points[:, 1])
        column = (x * size_hw[1] / self.view.original_hw[1]).floor().long()
        row = (y * size_hw[0] / self.view.original_hw[0]).floor().long()
        inside = (column >= 0) & (column < size_hw[1]) & (row >= 0) & (row < size_hw[0])
        return inside, row * size_hw[1] + column

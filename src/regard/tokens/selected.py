"""Tokens of another layout in another order, or some of them: shuffled, dropped, unrolled."""

import math
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from functools import partial
from typing import Any, Self

import torch
from torch import Tensor

from regard.errors import GeometryError
from regard.geometry import Box
from regard.tokens.base import Tokens, tokens_from_json
from regard.tokens.spread import Between


@dataclass(frozen=True)
class SelectedTokens(Tokens, kind="selected"):
    """Token ``i`` is token ``order[i]`` of the base layout; -1 stands for padding.

    >>> from regard import GridTokens, ViewTransform
    >>> grid = GridTokens.from_stride(ViewTransform.identity((32, 48)), 16)
    >>> SelectedTokens.of(grid, [5, 0, -1]).name(0)
    'row 1, column 2'
    """

    _: KW_ONLY
    base: Tokens
    """The layout whose tokens these are."""
    order: tuple[int, ...]
    """Index in the base of each token."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "order", checked_order(self.base, self.order))
        super().__post_init__()
        if len(self.order) != self.count or self.prefix or self.suffix:
            raise GeometryError(
                f"an order of {len(self.order)} tokens in a layout of {self.count}, prefix "
                f"{self.prefix}, suffix {self.suffix}: make it with SelectedTokens.of(base, order)"
            )

    @classmethod
    def of(cls, base: Tokens, order: Any) -> Self:
        """The layout of these tokens of the base; ``order`` is a sequence or a 1-D tensor."""
        order = checked_order(base, order)
        return cls(len(order), base=base, order=order)

    @property
    def named(self) -> dict[str, int]:
        """Index of each token that has a name of its own."""
        names = {index: name for name, index in self.base.named.items()}
        return {names[place]: index for index, place in enumerate(self.order) if place in names}

    @property
    def pictures(self) -> tuple[int, ...]:
        """Numbers of the base's pictures."""
        return self.base.pictures

    def to_pixels(
        self,
        weights: Tensor,
        size_hw: tuple[int, int] | None = None,
        *,
        between: Between = "cells",
        picture: int = 0,
    ) -> Tensor:
        """Weight per pixel; see `GridTokens.to_pixels`. NaN where none of these tokens lies."""
        weights = self._checked(weights)
        seen = self._scattered(torch.ones_like(weights[(0,) * (weights.ndim - 1)]))
        draw = partial(self.base.to_pixels, size_hw=size_hw, between=between, picture=picture)
        return draw(self._scattered(weights)).masked_fill(draw(seen) == 0, math.nan)

    def at(self, x: float, y: float, *, picture: int = 0) -> int:
        """Index of the token at a point; see `GridTokens.at`.

        Raises:
            GeometryError: Nobody saw the point, or the token there is none of these.
        """
        places = self.base.all_at(x, y, picture=picture)
        for place in places:
            if place in self.order:
                return self.order.index(place)
        raise GeometryError(
            f"({x:g}, {y:g}) is {self.base.name(places[0])!r}, which is none of the "
            f"{self.count} tokens here: it was dropped, or lies in another window"
        )

    def box_xyxy(self, index: int) -> Box:
        """Region of a token, in original pixels.

        Raises:
            GeometryError: The token stands for padding, or for no place.
        """
        self._check_index(index)
        if self.order[index] < 0:
            raise GeometryError(f"token {index} stands for padding: it has no region")
        return self.base.box_xyxy(self.order[index])

    def shares(self, weights: Tensor) -> dict[str, Tensor]:
        """Where the weight went: the shares of the base, of which padding has its part."""
        weights = self._checked(weights)
        padding = torch.tensor([place < 0 for place in self.order], device=weights.device)
        shares = self.base.shares(self._scattered(weights))
        if padding.any():
            lost = weights[..., padding].sum(-1)
            shares["padding"] = shares["padding"] + lost if "padding" in shares else lost
        return shares

    def to_json(self) -> dict[str, Any]:
        """The layout as plain numbers, lists and text; `tokens_from_json` gives it back."""
        return {**super().to_json(), "base": self.base.to_json(), "order": list(self.order)}

    @classmethod
    def _from_fields(cls, fields: Mapping[str, Any]) -> Self:
        return cls(**{**fields, "base": tokens_from_json(fields["base"])})

    def _name_unnamed(self, index: int) -> str:
        place = self.order[index]
        return f"padding {index}" if place < 0 else self.base.name(place)

    def _scattered(self, weights: Tensor) -> Tensor:
        return scattered(weights, self.order, self.base.count)


def scattered(weights: Tensor, order: tuple[int, ...], count: int) -> Tensor:
    """Weights ``(..., len(order))`` put where they belong: ``(..., count)``, padding left out."""
    index = torch.tensor(order, device=weights.device)
    base = weights.new_zeros((*weights.shape[:-1], count + 1))  # the last one takes the padding
    return base.index_add(-1, torch.where(index < 0, count, index), weights)[..., :count]


def checked_order(base: Tokens, order: Any) -> tuple[int, ...]:
    """Indices of tokens of the base, -1 allowed.

    Raises:
        GeometryError: They are no whole numbers, or go beyond the base.
    """
    index = torch.as_tensor(order)
    whole = not (index.is_floating_point() or index.is_complex() or index.dtype == torch.bool)
    if index.ndim != 1 or not whole or not len(index):
        raise GeometryError(f"the order {order!r} is no list of whole numbers")
    if index.min() < -1 or index.max() >= base.count:
        raise GeometryError(
            f"the order goes from {index.min()} to {index.max()}, expected indices of the base's "
            f"{base.count} tokens, or -1 for padding"
        )
    places: list[int] = index.tolist()
    return tuple(places)

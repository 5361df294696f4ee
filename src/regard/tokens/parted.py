"""Tokens cut into parts along the batch axis: windows, crops, frames."""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any, NoReturn, Self

import torch
from torch import Tensor

from regard.errors import GeometryError
from regard.tokens.base import Tokens, tokens_from_json
from regard.tokens.selected import SelectedTokens, checked_order, scattered
from regard.tokens.spread import Between


@dataclass(frozen=True)
class PartedTokens(Tokens, kind="parted"):
    """Item ``b`` of the batch holds the tokens ``orders[b % parts]`` of the base layout.

    So windowed attention is laid out: its batch is images × windows, images outermost. One item
    is ``part(b)``; `assemble` puts the weights of all parts back into one.

    >>> from regard import GridTokens, ViewTransform
    >>> grid = GridTokens.from_stride(ViewTransform.identity((32, 64)), 16)
    >>> halves = PartedTokens.of(grid, [[0, 1, 4, 5], [2, 3, 6, 7]])
    >>> halves.locate(50, 20)
    (1, 3)
    """

    _: KW_ONLY
    base: Tokens
    """The layout of all parts together."""
    orders: tuple[tuple[int, ...], ...]
    """For each part, the index in the base of each of its tokens; -1 stands for padding."""

    def __post_init__(self) -> None:
        orders = tuple(checked_order(self.base, order) for order in self.orders)
        object.__setattr__(self, "orders", orders)
        super().__post_init__()
        if {len(order) for order in orders} != {self.count} or self.prefix or self.suffix:
            raise GeometryError(
                f"parts of {sorted({len(order) for order in orders})} tokens in a layout of "
                f"{self.count}: make it with PartedTokens.of(base, orders)"
            )

    @classmethod
    def of(cls, base: Tokens, orders: Any) -> Self:
        """The layout of these parts; ``orders`` is (parts, count), a tensor or sequences."""
        orders = torch.as_tensor(orders).tolist()
        return cls(len(orders[0]), base=base, orders=orders)

    @property
    def named(self) -> dict[str, int]:
        """Index of each token that has the same name in every part, such as ``{"cls": 0}``."""
        shared = set.intersection(*(set(self.part(i).named.items()) for i in range(self.parts)))
        return dict(sorted(shared, key=lambda item: item[1]))

    @property
    def pictures(self) -> tuple[int, ...]:
        """Numbers of the base's pictures."""
        return self.base.pictures

    @property
    def parts(self) -> int:
        """How many parts take turns along the batch axis."""
        return len(self.orders)

    def part(self, batch: int) -> Tokens:
        """The layout of one item of the batch."""
        return SelectedTokens.of(self.base, self.orders[batch % self.parts])

    def locate(self, x: float, y: float, *, picture: int = 0) -> tuple[int, int]:
        """Part and index of the token at a point.

        Raises:
            GeometryError: Nobody saw the point, or the token there is in no part.
        """
        places = self.base.all_at(x, y, picture=picture)
        for place in places:
            for part, order in enumerate(self.orders):
                if place in order:
                    return part, order.index(place)
        raise GeometryError(
            f"({x:g}, {y:g}) is {self.base.name(places[0])!r}, which is in none of the "
            f"{self.parts} parts: it was dropped"
        )

    def assemble(self, weights: Tensor) -> Tensor:
        """The weights of all parts in one.

        Args:
            weights: ``(batch, ..., count)``, such as ``call.received()``; the batch is
                images × parts, images outermost.

        Returns:
            ``(images, ..., base.count)``, to be drawn with ``base.to_pixels``. Weight on padding
            is left out; tokens that are in no part have 0.
        """
        weights = self._checked(weights)
        if weights.ndim < 2 or len(weights) % self.parts:
            raise GeometryError(
                f"weights of shape {tuple(weights.shape)}, expected (batch, ..., {self.count}) "
                f"with a batch of images x {self.parts} parts"
            )
        every = weights.reshape(-1, self.parts, *weights.shape[1:])
        placed = [
            scattered(every[:, part], order, self.base.count)
            for part, order in enumerate(self.orders)
        ]
        return torch.stack(placed).sum(0)

    def to_pixels(
        self,
        weights: Tensor,
        size_hw: tuple[int, int] | None = None,
        *,
        between: Between = "cells",
        picture: int = 0,
    ) -> Tensor:
        """Weight per pixel, of all parts of one image together.

        Args:
            weights: ``(..., parts, count)``.
            size_hw: As in `GridTokens.to_pixels`.
            between: Likewise.
            picture: Likewise.
        """
        if weights.ndim < 2 or weights.shape[-2:] != (self.parts, self.count):
            raise GeometryError(
                f"weights of shape {tuple(weights.shape)}, expected (..., {self.parts}, "
                f"{self.count}) for all parts; layout.part(b).to_pixels(...) draws one of them"
            )
        whole = self.assemble(weights.movedim(-2, 0))[0]
        return self.base.to_pixels(whole, size_hw, between=between, picture=picture)

    def at(self, x: float, y: float, *, picture: int = 0) -> int:
        """Refused: a point lies in one of the parts; see `locate`."""
        self._refuse_part("locate(x, y) gives both")

    def box_xyxy(self, index: int) -> NoReturn:
        """Refused: the region depends on the part; see `part`."""
        self._refuse_part("part(b).box_xyxy(i) gives the region of one")

    def shares(self, weights: Tensor) -> dict[str, Tensor]:
        """Where the weight of all parts together went; ``weights`` is ``(..., parts, count)``."""
        found = [self.part(i).shares(weights[..., i, :]) for i in range(self.parts)]
        zero = torch.zeros_like(weights[..., 0, 0])
        names = dict.fromkeys(name for shares in found for name in shares)
        return {name: sum((s.get(name, zero) for s in found), zero) for name in names}

    def to_json(self) -> dict[str, Any]:
        """The layout as plain numbers, lists and text; `tokens_from_json` gives it back."""
        orders = [list(order) for order in self.orders]
        return {**super().to_json(), "base": self.base.to_json(), "orders": orders}

    @classmethod
    def _from_fields(cls, fields: Mapping[str, Any]) -> Self:
        return cls(**{**fields, "base": tokens_from_json(fields["base"])})

    def _name_unnamed(self, index: int) -> str:
        return f"token {index} of each part"

    def _refuse_part(self, advice: str) -> NoReturn:
        raise GeometryError(
            f"these {self.count} tokens stand for other places in each of the {self.parts} parts "
            f"along the batch: {advice}"
        )

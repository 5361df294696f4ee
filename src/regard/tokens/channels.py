"""Tokens that are channels of features: attention between them has no place on a picture."""

from dataclasses import dataclass
from typing import NoReturn

from regard.errors import GeometryError
from regard.tokens.base import Tokens


@dataclass(frozen=True)
class ChannelTokens(Tokens, kind="channels"):
    """Channels instead of places, as in XCiT, DaViT and EdgeNeXt.

    >>> ChannelTokens(32).name(7)
    'channel 7'
    """

    def _name_unnamed(self, index: int) -> str:
        return f"channel {index}"

    def _refuse_place(self, wish: str) -> NoReturn:
        raise GeometryError(
            f"{self.count} channels cannot {wish}: this attention mixes channels, not places; "
            "draw its weights as a matrix, or choose another layer"
        )

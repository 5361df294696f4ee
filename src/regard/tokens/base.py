"""The base of every token layout, and how layouts are read back from files."""

import dataclasses
import importlib
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar, NoReturn, Self

import torch
from torch import Tensor

from regard.errors import FormatError, GeometryError
from regard.geometry import Box
from regard.tokens.spread import Between

_LAYOUTS: dict[str, type["Tokens"]] = {}
_RESERVED_NAMES = ("image", "padding", "other")


@dataclass(frozen=True)
class Tokens:
    """Tokens that are known by their index only; also the base of every other layout."""

    kind: ClassVar[str] = "index"

    count: int
    """How many tokens there are, named ones included."""
    _: KW_ONLY
    prefix: tuple[str, ...] = ()
    """Names of the first tokens, such as ``("cls", "register 1")``."""
    suffix: tuple[str, ...] = ()
    """Names of the last tokens, such as YOLOS' detection tokens."""

    def __init_subclass__(cls, *, kind: str) -> None:
        if kind in _LAYOUTS:
            raise TypeError(f"{cls.__name__}: kind {kind!r} is {_LAYOUTS[kind].__name__}'s already")
        cls.kind = kind
        _LAYOUTS[kind] = cls

    def __post_init__(self) -> None:
        object.__setattr__(self, "prefix", tuple(self.prefix))
        object.__setattr__(self, "suffix", tuple(self.suffix))
        names = self.prefix + self.suffix
        if self.count < max(1, len(names)):
            raise GeometryError(
                f"a layout of {self.count} tokens, {len(names)} of them named; expected at least "
                f"{max(1, len(names))}: pass the length of the attention axis as count"
            )
        if len({*names, *_RESERVED_NAMES}) < len(names) + len(_RESERVED_NAMES):
            raise GeometryError(
                f"token names {names} repeat, or use one of {_RESERVED_NAMES}, "
                "which name the rest of the tokens: number them, as in 'register 1'"
            )

    @property
    def unnamed(self) -> range:
        """Indices of the tokens between prefix and suffix."""
        return range(len(self.prefix), self.count - len(self.suffix))

    @property
    def named(self) -> dict[str, int]:
        """Index of each token that has a name of its own, such as ``{"cls": 0}``."""
        places = [*range(self.unnamed.start), *range(self.unnamed.stop, self.count)]
        return {self.name(index): index for index in places}

    @property
    def pictures(self) -> tuple[int, ...]:
        """Numbers of the pictures that tokens stand for places on; empty if none does."""
        return ()

    @property
    def has_places(self) -> bool:
        """Whether any token stands for a place on a picture."""
        return bool(self.pictures)

    @property
    def parts(self) -> int:
        """How many layouts take turns along the batch axis; more than 1 for windows."""
        return 1

    def part(self, batch: int) -> "Tokens":
        """The layout of one item of the batch: this one, but for `PartedTokens`."""
        return self

    def name(self, index: int) -> str:
        """Name of a token for people: ``"cls"``, ``"token 7"``, ``"row 3, column 5"``."""
        self._check_index(index)
        if index < self.unnamed.start:
            return self.prefix[index]
        if index >= self.unnamed.stop:
            return self.suffix[index - self.unnamed.stop]
        return self._name_unnamed(index)

    def check(self, count: int, *, where: str = "the layer", axis: str = "keys") -> None:
        """Refuse an attention axis that is longer or shorter than this layout.

        Args:
            count: Length of the attention axis.
            where: What has this axis, for the message: ``"layer 7"``.
            axis: What lies along it: ``"keys"`` or ``"queries"``.
        """
        if count != self.count:
            raise GeometryError(self._mismatch(f"{where} has {count} {axis}", count))

    def to_pixels(
        self,
        weights: Tensor,
        size_hw: tuple[int, int] | None = None,
        *,
        between: Between = "cells",
        picture: int = 0,
    ) -> Tensor:
        """Weight per pixel; see `GridTokens.to_pixels`. Refused here: no token has a place."""
        self._refuse_place("be drawn on pixels")

    def at(self, x: float, y: float, *, picture: int = 0) -> int:
        """Index of the token at a point; see `GridTokens.at`. Refused here."""
        self._refuse_place("be found by a point")

    def all_at(self, x: float, y: float, *, picture: int = 0) -> list[int]:
        """Indices of every token at a point, the smallest region first; one, where none overlap."""
        return [self.at(x, y, picture=picture)]

    def locate(self, x: float, y: float, *, picture: int = 0) -> tuple[int, int]:
        """Part and index of the token at a point: which window, and which token in it."""
        return 0, self.at(x, y, picture=picture)

    def box_xyxy(self, index: int) -> Box:
        """Region of a token; see `GridTokens.box_xyxy`. Refused here."""
        self._refuse_place("have a region")

    def center_xy(self, index: int) -> tuple[float, float]:
        """Middle of a token's region, ``(x, y)`` in original pixels."""
        x0, y0, x1, y1 = self.box_xyxy(index)
        return (x0 + x1) / 2, (y0 + y1) / 2

    def shares(self, weights: Tensor) -> dict[str, Tensor]:
        """Where the weight went: on each named token, and on the rest, ``"other"``.

        Args:
            weights: ``(..., count)``.

        Returns:
            Sums of shape ``(...)``, float32 at least; together they are the sum of ``weights``.
        """
        weights = self._checked(weights)
        return {**self._named_shares(weights), "other": self._unnamed_weights(weights).sum(-1)}

    def to_json(self) -> dict[str, Any]:
        """The layout as plain numbers, lists and text; `tokens_from_json` gives it back."""
        return {
            "kind": self.kind,
            "count": self.count,
            "prefix": list(self.prefix),
            "suffix": list(self.suffix),
        }

    @classmethod
    def _from_fields(cls, fields: dict[str, Any]) -> Self:
        return cls(**fields)

    def _name_unnamed(self, index: int) -> str:
        return f"token {index}"

    def _mismatch(self, found: str, count: int) -> str:
        return (
            f"{found} but its layout says {self.count} tokens: "
            "give the layout of this very layer and input"
        )

    def _unnamed_weights(self, weights: Tensor) -> Tensor:
        return weights[..., self.unnamed.start : self.unnamed.stop]

    def _named_shares(self, weights: Tensor) -> dict[str, Tensor]:
        return {name: weights[..., index] for name, index in self.named.items()}

    def _checked(self, weights: Tensor) -> Tensor:
        """``weights`` in float32 at least, known to have this layout's length."""
        if weights.ndim == 0 or weights.shape[-1] != self.count:
            raise GeometryError(
                f"weights of shape {tuple(weights.shape)}, expected (..., {self.count}): the last "
                "axis runs over the tokens of the layout"
            )
        return weights.to(torch.promote_types(weights.dtype, torch.float32))

    def _check_index(self, index: int) -> None:
        if not 0 <= index < self.count:
            raise GeometryError(f"token {index} of {self.count}: expected 0 to {self.count - 1}")

    def _check_picture(self, picture: int) -> None:
        if picture != 0:
            raise GeometryError(
                f"picture {picture} was asked for, but these tokens lie on one picture only (0)"
            )

    def _refuse_place(self, wish: str) -> NoReturn:
        raise GeometryError(
            f"{self.count} tokens known by index only cannot {wish}: give the layer a layout with "
            "places, such as GridTokens.from_stride(view, stride_px)"
        )


_LAYOUTS[Tokens.kind] = Tokens


def tokens_from_json(value: Mapping[str, Any]) -> Tokens:
    """Layout that ``to_json`` of any layout wrote.

    Raises:
        FormatError: The kind is unknown, or a field is missing or unknown.
        GeometryError: The fields do not fit together.
    """
    fields = dict(value)
    layout = _layout_of(fields.pop("kind", ""))
    if layout is None:
        raise FormatError(
            f"a token layout of kind {value.get('kind')!r}, expected one of {sorted(_LAYOUTS)}: "
            "the file is damaged, or a later version of regard wrote it"
        )
    expected = {field.name for field in dataclasses.fields(layout)}
    if set(fields) != expected:
        raise FormatError(
            f"a {layout.kind!r} token layout has the fields {sorted(fields)}, expected "
            f"{sorted(expected)}: the file is damaged, or another version of regard wrote it"
        )
    return layout._from_fields(fields)


def _layout_of(kind: object) -> type[Tokens] | None:
    if kind not in _LAYOUTS:
        importlib.import_module("regard.tokens")  # defines every layout
    return _LAYOUTS.get(kind) if isinstance(kind, str) else None

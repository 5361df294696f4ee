"""Tokens of several kinds, one after another: words and an image, crops, the frames of a video."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any, Self

import torch
from torch import Tensor

from regard.errors import GeometryError, SelectionError
from regard.geometry import Box
from regard.tokens.base import Tokens, tokens_from_json
from regard.tokens.spread import Between


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of tokens.

    Attributes:
        name: How it is called, such as "text" or "frame 3"; "" lets its tokens' names stand alone.
        tokens: Its layout.
        picture: Which of several pictures it lies on: the frame of a video, the image of a prompt.
        span: On how many pictures, from this one on: the frames that one token stands for. Each
            has its even part of the weight.
    """

    name: str
    tokens: Tokens
    picture: int = 0
    span: int = 1


@dataclass(frozen=True)
class JoinedTokens(Tokens, kind="joined"):
    """Segments of tokens, one after another.

    >>> from regard import GridTokens, ViewTransform
    >>> grid = GridTokens.from_stride(ViewTransform.identity((32, 48)), 16)
    >>> video = JoinedTokens.of(Segment(f"frame {i}", grid, picture=i) for i in range(4))
    >>> video.name(video.at(20, 20, picture=3))
    'frame 3: row 1, column 1'
    """

    _: KW_ONLY
    segments: tuple[Segment, ...]
    """What follows what."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "segments", tuple(self.segments))
        super().__post_init__()
        total = sum(segment.tokens.count for segment in self.segments)
        if total != self.count or self.prefix or self.suffix:
            raise GeometryError(
                f"segments of {total} tokens in a layout of {self.count}, prefix {self.prefix}, "
                f"suffix {self.suffix}: make it with JoinedTokens.of(segments)"
            )

    @classmethod
    def of(cls, segments: Iterable[Segment]) -> Self:
        """The layout of these segments."""
        segments = tuple(segments)
        return cls(sum(segment.tokens.count for segment in segments), segments=segments)

    @property
    def named(self) -> dict[str, int]:
        """Index of each token that has a name of its own; the first of several with one name."""
        found: dict[str, int] = {}
        for start, segment in self._placed():
            for name, index in segment.tokens.named.items():
                found.setdefault(_joined_name(segment, name), start + index)
        return found

    def where(self, name: str) -> slice:
        """The indices of the tokens of a segment.

        Raises:
            SelectionError: No segment has this name.
        """
        for start, segment in self._placed():
            if segment.name == name:
                return slice(start, start + segment.tokens.count)
        there = ", ".join(dict.fromkeys(repr(segment.name) for segment in self.segments))
        raise SelectionError(f"no segment of tokens is called {name!r}; there are: {there}")

    def to_pixels(
        self,
        weights: Tensor,
        size_hw: tuple[int, int] | None = None,
        *,
        between: Between = "cells",
        picture: int = 0,
    ) -> Tensor:
        """Weight per pixel of one picture, summed over the segments that lie on it.

        Args and result as in `GridTokens.to_pixels`. NaN where no segment saw the picture.
        """
        weights = self._checked(weights)
        drawn = [
            (segment.tokens, weights[..., start : start + segment.tokens.count] / segment.span)
            for start, segment in self._on(picture)
        ]
        tokens, part = drawn[0]
        pixels = tokens.to_pixels(part, size_hw, between=between)
        if len(drawn) == 1:
            return pixels
        total, seen = torch.zeros_like(pixels), torch.zeros_like(pixels, dtype=torch.bool)
        for tokens, part in drawn:
            pixels = tokens.to_pixels(part, size_hw, between=between)
            blank = tokens.to_pixels(torch.zeros_like(part), size_hw, between=between).isnan()
            total += pixels.masked_fill(blank, 0)
            seen |= ~blank
        return total.masked_fill(~seen, math.nan)

    def at(self, x: float, y: float, *, picture: int = 0) -> int:
        """Index of the token at a point of a picture; the smallest region where several have it.

        Raises:
            GeometryError: The point is outside the picture, or no segment saw it.
        """
        return self.all_at(x, y, picture=picture)[0]

    def all_at(self, x: float, y: float, *, picture: int = 0) -> list[int]:
        """Indices of the tokens at a point, of every segment that saw it, smallest region first."""
        found: list[tuple[float, int]] = []
        refusal: GeometryError | None = None
        for start, segment in self._on(picture):
            try:
                index = segment.tokens.at(x, y)
                found.append((_area(segment.tokens.box_xyxy(index)), start + index))
            except GeometryError as error:
                refusal = refusal or error
        if not found:
            assert refusal is not None
            raise refusal
        return [index for _, index in sorted(found)]

    def box_xyxy(self, index: int) -> Box:
        """Region of a token on its picture, in original pixels."""
        _, inner, segment = self._of(index)
        return segment.tokens.box_xyxy(inner)

    def picture(self, index: int) -> int:
        """The picture that a token lies on, the first of several."""
        return self._of(index)[2].picture

    def shares(self, weights: Tensor) -> dict[str, Tensor]:
        """Where the weight went: on each segment, whole.

        Args:
            weights: ``(..., count)``.

        Returns:
            Sums of shape ``(...)``; together they are the sum of ``weights``. Tokens of nameless
            segments count for themselves.
        """
        weights = self._checked(weights)
        shares: dict[str, Tensor] = {}
        for start, segment in self._placed():
            part = weights[..., start : start + segment.tokens.count]
            found = {segment.name: part.sum(-1)} if segment.name else segment.tokens.shares(part)
            for name, share in found.items():
                shares[name] = shares[name] + share if name in shares else share
        return shares

    def to_json(self) -> dict[str, Any]:
        """The layout as plain numbers, lists and text; `tokens_from_json` gives it back."""
        segments = [[s.name, s.tokens.to_json(), s.picture, s.span] for s in self.segments]
        return {**super().to_json(), "segments": segments}

    @classmethod
    def _from_fields(cls, fields: Mapping[str, Any]) -> Self:
        segments = [Segment(n, tokens_from_json(t), *on) for n, t, *on in fields["segments"]]
        return cls(**{**fields, "segments": segments})

    def _name_unnamed(self, index: int) -> str:
        _, inner, segment = self._of(index)
        return _joined_name(segment, segment.tokens.name(inner))

    def _placed(self) -> list[tuple[int, Segment]]:
        """Each segment and where it begins."""
        start, placed = 0, []
        for segment in self.segments:
            placed.append((start, segment))
            start += segment.tokens.count
        return placed

    def _of(self, index: int) -> tuple[int, int, Segment]:
        """Start of a token's segment, its index in there, and the segment."""
        self._check_index(index)
        start, segment = next(p for p in reversed(self._placed()) if p[0] <= index)
        return start, index - start, segment

    def _on(self, picture: int) -> list[tuple[int, Segment]]:
        """The segments that have places on a picture."""
        placed = [(start, s) for start, s in self._placed() if s.tokens.has_places]
        found = [(at, s) for at, s in placed if s.picture <= picture < s.picture + s.span]
        if not found:
            raise GeometryError(f"no token lies on picture {picture}, only on {self.pictures}")
        return found

    @property
    def pictures(self) -> tuple[int, ...]:
        """Numbers of the pictures that segments lie on."""
        placed = [segment for segment in self.segments if segment.tokens.has_places]
        return tuple(sorted({s.picture + i for s in placed for i in range(s.span)}))


def _joined_name(segment: Segment, name: str) -> str:
    return f"{segment.name}: {name}" if segment.name else name


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])

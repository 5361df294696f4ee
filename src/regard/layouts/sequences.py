"""Recipes for one sequence of several kinds: text and image, shuffled or dropped patches."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor

from regard.errors import GeometryError
from regard.layouts.grids import Raster
from regard.layouts.scene import Recipe, Scene
from regard.layouts.windows import parted, selected
from regard.tokens import Tokens
from regard.tokens.joined import JoinedTokens, Segment
from regard.tokens.words import WordTokens

Length = Callable[[Scene], int]


@dataclass(frozen=True)
class Words:
    """Text tokens, called by their words where these are known."""

    def __call__(self, scene: Scene, count: int) -> Tokens:
        """The layout."""
        return WordTokens.of(scene.words) if len(scene.words) == count else Tokens(count)


@dataclass(frozen=True)
class Part:
    """A part of a sequence.

    Attributes:
        name: How it is called; "" lets its tokens' names stand alone.
        recipe: Its layout.
        length: Its number of tokens; None for what the others leave over.
    """

    name: str
    recipe: Recipe
    length: Length | None = None


@dataclass(frozen=True)
class Parts:
    """Parts one after another; an axis that is shorter than the sequence is its end."""

    parts: tuple[Part, ...]

    def __call__(self, scene: Scene, count: int) -> Tokens:
        """The layout."""
        whole = max(count, scene.call.shape[3])
        lengths = [part.length and part.length(scene) for part in self.parts]
        rest = whole - sum(length or 0 for length in lengths)
        sizes = [rest if length is None else length for length in lengths]
        if sum(sizes) != whole or min(sizes) < 0:
            raise GeometryError(f"parts of {sizes} tokens do not make a sequence of {whole}")
        found = [_segments(part, scene, n) for part, n in zip(self.parts, sizes, strict=True) if n]
        return ending(JoinedTokens.of(chain.from_iterable(found)), count)


def _segments(part: Part, scene: Scene, size: int) -> tuple[Segment, ...]:
    """A part as one segment; of several pictures, as those that it has."""
    tokens = part.recipe(scene, size)
    return tokens.segments if isinstance(tokens, JoinedTokens) else (Segment(part.name, tokens),)


@dataclass(frozen=True)
class Turns:
    """A layer that attends in both directions: first one way, then the other.

    Attributes:
        first: The layout the first time.
        second: The layout the second time.
        axis: What counts these: "call" where the layer attends twice, "step" where it runs twice.
    """

    first: Recipe
    second: Recipe
    axis: str = "call"

    def __call__(self, scene: Scene, count: int) -> Tokens:
        """The layout."""
        return (self.second if scene.call.axes[self.axis] % 2 else self.first)(scene, count)


@dataclass(frozen=True)
class Kept:
    """ViTMAE's encoder: the patches that were not masked, in random order, after the prefix."""

    prefix: tuple[str, ...] = ("cls",)

    def __call__(self, scene: Scene, count: int) -> Tokens:
        """The layout."""
        named = len(self.prefix)
        base = Raster(self.prefix)(scene, math.prod(scene.cells) + named)
        kept = scene.note().argsort(dim=1)[:, : count - named] + named
        own = torch.arange(named).expand(len(kept), -1)
        return parted(base, torch.cat([own, kept], dim=1))


@dataclass(frozen=True)
class TextAndDrawnPatches:
    """ViLT: text, a class token, and patches in the order in which they were drawn."""

    def __call__(self, scene: Scene, count: int) -> Tokens:
        """The layout."""
        text = text_length(scene)
        grid = Raster(("cls",))(scene, math.prod(scene.cells) + 1)
        segments = [Segment("text", Words()(scene, text)), Segment("image", grid)]
        places = scene.note()
        drawn = text + 1 + places[..., 0] * grid.grid_hw[1] + places[..., 1]
        before = torch.arange(text + 1).expand(len(drawn), -1)
        return parted(JoinedTokens.of(segments), torch.cat([before, drawn], dim=1))


@dataclass(frozen=True)
class TextAndUnclaimedPatches:
    """UDOP: words, then the patches in which no word's box has its centre, then padding.

    Source: `combine_image_text_embeddings` of transformers 5.23.
    """

    def __call__(self, scene: Scene, count: int) -> Tokens:
        """The layout."""
        boxes, text = scene.given("bbox"), text_length(scene)
        cells = Raster()(scene, math.prod(scene.cells))
        base = JoinedTokens.of([Segment("text", Words()(scene, text)), Segment("image", cells)])
        orders = torch.full((len(boxes), count), -1)
        orders[:, :text] = torch.arange(text)
        for order, claimed in zip(orders, self._claimed(boxes, cells.grid_hw[1]), strict=True):
            free = torch.ones(cells.count).index_fill(0, claimed, 0).nonzero()[:, 0]
            order[text : text + len(free)] = text + free
        return parted(base, orders)

    def _claimed(self, boxes_xyxy: Tensor, side: int) -> Tensor:
        """Raster index of the cell in which each box has its centre, (batch, words)."""
        centres = boxes_xyxy[..., :2] + boxes_xyxy[..., 2:]
        places = (centres / 2 * side).floor().long().clamp(0, side - 1)
        return places[..., 1] * side + places[..., 0]


@dataclass(frozen=True)
class UnderPrompt:
    """SegGPT: the prompt's picture above the picture asked about, as one picture twice as high.

    The batch holds pictures first and then their masks, which lie on the same places.
    """

    def __call__(self, scene: Scene, count: int) -> Tokens:
        """The layout."""
        half = count // 2
        asked, prompt = (Raster()(scene.of_picture(i), half) for i in (0, 1))
        return JoinedTokens.of([Segment("prompt", prompt, 1), Segment("image", asked, 0)])


def text_length(scene: Scene) -> int:
    """Tokens of the prompt."""
    return int(scene.inputs["input_ids"].shape[1])


def patches(extra: int) -> Length:
    """As many tokens as whole patches, and these more."""
    return lambda scene: math.prod(scene.cells) + extra


def ending(tokens: Tokens, count: int) -> Tokens:
    """The last tokens of a sequence: what a step of generation asks with."""
    return selected(tokens, torch.arange(tokens.count - count, tokens.count))

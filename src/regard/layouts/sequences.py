"""Recipes for one sequence of several kinds: text and image, shuffled or dropped patches."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from regard.errors import GeometryError
from regard.joined import JoinedTokens, Segment
from regard.layouts.grids import Raster
from regard.layouts.scene import Recipe, Scene
from regard.layouts.windows import parted, selected
from regard.tokens import Tokens
from regard.words import WordTokens

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
        joined = JoinedTokens.of(
            Segment(part.name, part.recipe(scene, size))
            for part, size in zip(self.parts, sizes, strict=True)
            if size
        )
        return ending(joined, count)


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
class Placeholders:
    """Language models: image tokens stand where the prompt has placeholders.

    Attributes:
        images: Gives the segments of the images, in order, from the number of placeholders.
        tokens: Settings that hold the placeholder's id; the first that the model has.
    """

    images: Callable[[Scene, int], Sequence[Segment]]
    tokens: tuple[str, ...] = ("image_token_id", "image_token_index")

    def __call__(self, scene: Scene, count: int) -> Tokens:
        """The layout."""
        ids = scene.inputs["input_ids"]
        chosen = next(n for n in self.tokens if getattr(scene.config, n, None) is not None)
        places = ids == int(scene.setting(chosen))
        if (places != places[:1]).any():
            raise GeometryError(
                "the prompts of the batch have their images in different places: run each by itself"
            )
        at = places[0].nonzero()[:, 0]
        images = JoinedTokens.of(self.images(scene, len(at)))
        if images.count != len(at):
            raise GeometryError(
                f"the prompt has {len(at)} placeholders, the images make {images.count} tokens"
            )
        return ending(self._woven(scene, images, at, max(count, scene.call.shape[3])), count)

    def _woven(self, scene: Scene, images: JoinedTokens, at: Tensor, whole: int) -> Tokens:
        """Text, what was generated, and images, in the order of the sequence."""
        length = scene.inputs["input_ids"].shape[1]
        new = tuple(f"generated {i + 1}" for i in range(whole - length))
        segments = [Segment("text", Words()(scene, length))]
        if new:
            segments.append(Segment("", Tokens(len(new), prefix=new)))
        base = JoinedTokens.of([*segments, *images.segments])
        order = torch.arange(whole)
        order[at] = whole + torch.arange(len(at))
        return selected(base, order)


def text_length(scene: Scene) -> int:
    """Tokens of the prompt."""
    return int(scene.inputs["input_ids"].shape[1])


def patches(extra: int) -> Length:
    """As many tokens as whole patches, and these more."""
    return lambda scene: math.prod(scene.cells) + extra


def ending(tokens: Tokens, count: int) -> Tokens:
    """The last tokens of a sequence: what a step of generation asks with."""
    return selected(tokens, torch.arange(tokens.count - count, tokens.count))

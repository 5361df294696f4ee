"""Recipes for diffusion transformers: latents as a sequence, packed images, videos by channel."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from regard.errors import GeometryError
from regard.layouts.grids import measured
from regard.layouts.scene import Scene, Size, floor_div, grid, pair
from regard.layouts.sequences import Words
from regard.layouts.windows import parted
from regard.tokens import Tokens
from regard.tokens.joined import JoinedTokens, Segment

PACKED_PX = 16
"""Pixels a side of a packed token: 2 x 2 latents of 8 pixels each."""


@dataclass(frozen=True)
class PackedLatents:
    """Flux: 2 x 2 latents a token, so the input has no sides; the model is told its places.

    The view is that of the generated picture, 16 pixels a token. Source: `_pack_latents` of
    diffusers 0.42.
    """

    def __call__(self, scene: Scene, count: int) -> Tokens:
        """The layout."""
        segments = [
            Segment(f"image {i}", packed(scene, grid_hw, i), i)
            for i, grid_hw in enumerate(packed_sizes(scene))
        ]
        return segments[0].tokens if len(segments) == 1 else JoinedTokens.of(segments)


def packed_sizes(scene: Scene) -> list[Size]:
    """Rows and columns of each packed picture, as `img_ids` or `img_shapes` says."""
    shapes: Any = scene.inputs.get("img_shapes")
    if shapes is not None:
        of_one = shapes[0] if isinstance(shapes[0], list) else shapes
        return [(int(rows), int(columns)) for _, rows, columns in of_one]
    ids = scene.given("img_ids")
    ids = ids[0] if ids.dim() == 3 else ids
    return [_size(ids[:, 1], ids[:, 2])]


def _size(rows: Tensor, columns: Tensor) -> Size:
    """The size of a grid whose places come row by row."""
    size = int(rows.max()) + 1, int(columns.max()) + 1
    places = torch.arange(math.prod(size))
    expected = places // size[1], places % size[1]
    if not (rows.equal(expected[0].to(rows)) and columns.equal(expected[1].to(columns))):
        raise GeometryError(
            f"the {len(rows)} places in img_ids are no grid of {size[0]} x {size[1]} row by row"
        )
    return size


def packed(scene: Scene, grid_hw: Size, picture: int) -> Tokens:
    """The grid of one packed picture."""
    side = PACKED_PX
    view = scene.view((grid_hw[0] * side, grid_hw[1] * side), picture)
    return grid(view, grid_hw, (side, side))


def packed_length(scene: Scene) -> int:
    """Tokens of all packed pictures."""
    return sum(map(math.prod, packed_sizes(scene)))


@dataclass(frozen=True)
class LatentVideo:
    """Frame after frame of latents, each row by row.

    Attributes:
        time_axis: Axis of the input along which frames follow each other: -3 after the channels,
            -4 before them.
    """

    time_axis: int = -3

    def __call__(self, scene: Scene, count: int) -> JoinedTokens:
        """The layout."""
        times, span, cells, patch = self._clip(scene)
        return JoinedTokens.of(
            Segment(
                f"frame {i * span}",
                grid(scene.view(picture=i * span), cells, patch),
                i * span,
                span,
            )
            for i in range(times)
        )

    def length(self, scene: Scene) -> int:
        """Tokens of the whole video."""
        times, _, cells, _ = self._clip(scene)
        return times * math.prod(cells)

    def _clip(self, scene: Scene) -> tuple[int, int, Size, Size]:
        """Steps of time, frames in each, rows and columns, size of a patch."""
        size: Any = scene.setting("patch_size")
        told = getattr(scene.config, "patch_size_t", None) or 1
        span, patch = (told, pair(size)) if isinstance(size, int) else (size[0], pair(size))
        cells = floor_div(scene.input_hw, patch)
        return scene.pixels_shape[self.time_axis] // span, span, cells, patch


@dataclass(frozen=True)
class ToldVideo:
    """LTX: a video that went in as a sequence, so it has no sides; the model is told them.

    The view leads to its latents, one token each.
    """

    def __call__(self, scene: Scene, count: int) -> JoinedTokens:
        """The layout."""
        times, rows, columns = (_told(scene, name) for name in ("num_frames", "height", "width"))
        views = [scene.view((rows, columns), picture=i) for i in range(times)]
        cells = [grid(view, (rows, columns), (1, 1)) for view in views]
        return JoinedTokens.of(Segment(f"frame {i}", each, i) for i, each in enumerate(cells))


def _told(scene: Scene, name: str) -> int:
    value = scene.inputs.get(name)
    if value is None:
        raise GeometryError(
            f"the inputs have no {name}, which says how the latents of the sequence lie; there are "
            f"{sorted(scene.inputs)}: pass what the model was called with"
        )
    return int(value)


@dataclass(frozen=True)
class Codes:
    """UVit: a map of codes instead of pixels, of which layers see each or blocks."""

    def __call__(self, scene: Scene, count: int) -> Tokens:
        """The layout."""
        rows, columns = scene.given("input_ids").shape[-2:]
        return measured(scene.view((rows, columns)), count)


@dataclass(frozen=True)
class ListedLatents:
    """Z-Image: latents and captions in lists, each of its own size, all padded to 32 tokens.

    Attributes:
        image: Whether the latents are here, each (channels, 1, height, width).
        text: Whether the captions are, after them.
        multiple: To a multiple of how many tokens both are padded.

    Source: `patchify_and_embed` of diffusers 0.42.
    """

    image: bool = True
    text: bool = True
    multiple: int = 32

    def __call__(self, scene: Scene, count: int) -> Tokens:
        """The layout."""
        latents: Any = scene.inputs["x"]
        if isinstance(latents[0], list):
            raise GeometryError("several latents an item (the omni mode) have no recipe yet")
        base: list[Segment] = []
        orders = torch.full((len(latents), count), -1)
        for i, order in enumerate(orders):
            start, place = sum(segment.tokens.count for segment in base), 0
            for segment in self._item(scene, i):
                length = segment.tokens.count
                order[place : place + length] = start + torch.arange(length)
                start, place = start + length, place + _ceil_to(length, self.multiple)
                base.append(segment)
        return parted(JoinedTokens.of(base), orders)

    def _item(self, scene: Scene, i: int) -> Iterator[Segment]:
        """What item i of the batch holds."""
        if self.image:
            cells = self._cells(scene, tuple(scene.inputs["x"][i].shape), i)
            yield Segment(f"image {i}", cells, i)
        if self.text:
            yield Segment("text", Words()(scene, len(scene.inputs["cap_feats"][i])))

    def _cells(self, scene: Scene, shape: tuple[int, ...], picture: int) -> Tokens:
        """The grid of one item."""
        side = pair(scene.inputs.get("patch_size", 2))
        _, frames, *size_hw = shape
        if frames != scene.inputs.get("f_patch_size", 1):
            raise GeometryError(f"latents of {frames} frames; expected one image an item")
        return grid(scene.view(pair(size_hw), picture), floor_div(pair(size_hw), side), side)


def _ceil_to(count: int, multiple: int) -> int:
    return -(-count // multiple) * multiple

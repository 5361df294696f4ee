"""Recipes for pictures of different sizes in one batch or one sequence, and for crops."""

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from regard.errors import GeometryError
from regard.geometry import ViewTransform
from regard.layouts.grids import Raster
from regard.layouts.scene import Scene, Size, floor_div, grid, pair
from regard.layouts.windows import parted
from regard.tokens import Tokens
from regard.tokens.joined import JoinedTokens, Segment

PLAIN = Raster(("cls",), more="register")


@dataclass(frozen=True)
class SpatialShapes:
    """NaFlex: each picture of the batch is its own grid, row by row, then padding."""

    def __call__(self, scene: Scene, count: int) -> Tokens:
        """The layout."""
        sizes = [pair(size) for size in scene.given("spatial_shapes").tolist()]
        cells = torch.arange(count)
        order = [torch.where(cells < math.prod(s), cells, -1) for s in sizes]
        return _grids(scene, order, sizes, scene.patch)


def shaped_pictures(scene: Scene, total: int) -> list[Segment]:
    """LFM2-VL: the patches of each picture in its own size, merged."""
    patch, merge = scene.patch, int(scene.setting("downsample_factor"))
    stride = patch[0] * merge, patch[1] * merge
    found = []
    for i, (rows, columns) in enumerate(scene.given("spatial_shapes").tolist()):
        view = scene.view((rows * patch[0], columns * patch[1]), picture=i)
        cells = grid(view, floor_div((rows, columns), (merge, merge)), stride)
        found.append(Segment(f"image {i}", cells, i))
    return found


@dataclass(frozen=True)
class RowsAndColumns:
    """Pix2Struct: each patch begins with its row and column, counted from 1; 0 is padding."""

    def __call__(self, scene: Scene, count: int) -> Tokens:
        """The layout."""
        patches = scene.given("flattened_patches")
        places, numbers = patches[..., :2].long(), patches.shape[-1] - 2
        sizes = [pair(ids.amax(0).tolist()) for ids in places]
        order = [_order(ids, size) for ids, size in zip(places, sizes, strict=True)]
        return _grids(scene, order, sizes, pair(math.isqrt(numbers // 3)))


def _order(places: Tensor, size: Size) -> Tensor:
    row, column = places.unbind(-1)
    return torch.where(row > 0, (row - 1) * size[1] + column - 1, -1)


def _grids(scene: Scene, order: list[Tensor], sizes: list[Size], patch: Size) -> Tokens:
    """Each picture of the batch as a grid of its own."""
    segments, orders, start = [], [], 0
    for i, (one, size) in enumerate(zip(order, sizes, strict=True)):
        view = scene.view((size[0] * patch[0], size[1] * patch[1]), picture=i)
        segments.append(Segment(f"picture {i}", grid(view, size, patch), i))
        orders.append(torch.where(one < 0, -1, one + start))
        start += math.prod(size)
    base = segments[0].tokens if len(segments) == 1 else JoinedTokens.of(segments)
    return parted(base, torch.stack(orders))


@dataclass(frozen=True)
class OneAfterAnother:
    """Pixtral's tower: the patches of all pictures in one sequence."""

    def __call__(self, scene: Scene, count: int) -> Tokens:
        """The layout."""
        return JoinedTokens.of(sized_pictures(scene, count, merge=1))


def merged_pictures(scene: Scene, total: int) -> list[Segment]:
    """Mistral 3: the patches of each picture, merged."""
    return sized_pictures(scene, total, merge=int(scene.setting("spatial_merge_size")))


def sized_pictures(scene: Scene, total: int, merge: int) -> list[Segment]:
    """The grid of each picture of a padded batch, in its own size."""
    sizes = scene.inputs.get("image_sizes")
    each = [scene.input_hw] * scene.pixels_shape[0] if sizes is None else sizes.tolist()
    patch = scene.patch
    stride = patch[0] * merge, patch[1] * merge
    return [
        Segment(f"image {i}", grid(scene.view(pair(s), i), floor_div(pair(s), stride), stride), i)
        for i, s in enumerate(each)
    ]


@dataclass(frozen=True)
class Tiles:
    """Mllama: tiles one after another, each a class token, a grid, and padding to a multiple.

    Attributes:
        multiple: Each tile is padded to a multiple of this many tokens.
    """

    multiple: int = 1

    def __call__(self, scene: Scene, count: int) -> Tokens:
        """The layout."""
        tiles = math.prod(scene.pixels_shape[1:-3])
        if self.multiple > 1:  # the tower takes images one by one
            tiles = scene.pixels_shape[-4]
        patch = scene.patch
        grid_hw = floor_div(scene.input_hw, patch)
        padding = tuple(
            f"padding {i + 1}" for i in range(-(math.prod(grid_hw) + 1) % self.multiple)
        )
        return JoinedTokens.of(
            Segment(f"tile {i}", grid(scene.view(picture=i), grid_hw, patch, ("cls",), padding), i)
            for i in range(tiles)
        )


@dataclass(frozen=True)
class Resized:
    """The model makes its input smaller before it cuts it into patches.

    Attributes:
        size: Setting that holds the config of the part that sees it.
    """

    size: str

    def __call__(self, scene: Scene, count: int) -> Tokens:
        """The layout."""
        inner = scene.setting(self.size)
        view = scene.view().resize(pair(inner.image_size))
        return PLAIN(seen_through(scene, view, inner), count)


@dataclass(frozen=True)
class OverlappingCrops:
    """Depth Pro: square crops of the picture in several sizes, the largest size first.

    Source: Bochkovskii et al. 2024, "Depth Pro"; `split_to_patches` of transformers.
    """

    def __call__(self, scene: Scene, count: int) -> Tokens:
        """The layout."""
        if scene.pixels_shape[0] != 1:
            raise GeometryError(
                "crops of several pictures alternate in the batch: run one at a time"
            )
        inner = scene.setting("patch_model_config")
        segments = [
            Segment(f"crop {i}", PLAIN(seen_through(scene, view, inner), count))
            for i, view in enumerate(self._views(scene))
        ]
        base = JoinedTokens.of(segments)
        return parted(base, torch.arange(base.count).reshape(len(segments), count))

    def _views(self, scene: Scene) -> list[ViewTransform]:
        side, found = int(scene.setting("patch_size")), []
        scales = zip(
            scene.setting("scaled_images_ratios"),
            scene.setting("scaled_images_overlap_ratios"),
            strict=True,
        )
        for ratio, overlap in reversed(list(scales)):
            height, width = (int(length * ratio) for length in scene.input_hw)
            view, step = scene.view().resize((height, width)), int(side * (1 - overlap))
            found += [
                view.crop((left, top, left + side, top + side))
                for top in range(0, height - side + 1, step)
                for left in range(0, width - side + 1, step)
            ]
        return found


def seen_through(scene: Scene, view: ViewTransform, config: Any) -> Scene:
    """The scene of a part of the model that sees the input through a view of its own."""
    shape = (*scene.pixels_shape[:-2], *view.input_hw)
    inner = replace(scene, views=(view,), config=config)
    inner.__dict__["pixels_shape"] = shape
    return inner

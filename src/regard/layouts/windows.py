"""Recipes for windows and units: attention within parts of the grid, parts along the batch."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from regard.errors import GeometryError
from regard.layouts import orders
from regard.layouts.grids import Raster, measured
from regard.layouts.scene import Scene, Size, ceil_div, floor_div, grid, pair
from regard.tokens import Tokens
from regard.tokens.grid import GridTokens
from regard.tokens.joined import JoinedTokens, Segment
from regard.tokens.parted import PartedTokens
from regard.tokens.selected import SelectedTokens


def selected(base: Tokens, order: Tensor) -> Tokens:
    """The base in this order; the base itself if that is its own."""
    places: list[int] = order.tolist()
    return base if places == list(range(base.count)) else SelectedTokens.of(base, order)


def parted(base: Tokens, parts: Tensor) -> Tokens:
    """The layout of windows; of the whole, if there is one window only."""
    return selected(base, parts[0]) if len(parts) == 1 else PartedTokens.of(base, parts)


@dataclass(frozen=True)
class ShiftedWindows:
    """Swin's windows: square, padded at the bottom right, in every other layer rolled.

    The shift is the layer's own, the window is measured: layers shrink both on small maps.

    Attributes:
        merging: Whether each stage halves the map.
        block: The block's module, which knows its shift, has this attribute.
        step: How many numbers in the paths of layers lie between two stages.
        patch_px: Side of a patch, where the model does not say it.
    """

    merging: bool = True
    block: str = "shift_size"
    step: int = 1
    patch_px: int = 0

    def __call__(self, scene: Scene, count: int) -> Tokens:
        """The layout."""
        window, shift = pair(math.isqrt(count)), pair(getattr(scene.around(self.block), self.block))
        stage = scene.numbers[0] // self.step if self.merging else 0
        base = halved(scene, stage, pair(self.patch_px) if self.patch_px else None)
        return parted(base, orders.windows(base.grid_hw, window, shift))


@dataclass(frozen=True)
class Windows:
    """Windows of ViTDet and SAM: square, padded at the bottom right; 0 stands for global layers.

    Attributes:
        window: Name of the window's side, at a module around the call.
    """

    window: str = "window_size"

    def __call__(self, scene: Scene, count: int) -> Tokens:
        """The layout."""
        side = int(getattr(scene.around(self.window), self.window))
        base = Raster()(scene, math.prod(scene.cells))
        return base if side == 0 else parted(base, orders.windows(base.grid_hw, pair(side)))


@dataclass(frozen=True)
class StageWindows:
    """DaViT's windows of a fixed side, on a map that shrinks from stage to stage."""

    def __call__(self, scene: Scene, count: int) -> Tokens:
        """The layout."""
        stage = scene.numbers[0]
        stride = math.prod(scene.setting("patch_stride")[: stage + 1])
        grid_hw = ceil_div(scene.input_hw, pair(stride))
        base = grid(scene.view(), grid_hw, (stride, stride))
        return parted(base, orders.windows(grid_hw, pair(math.isqrt(count))))


@dataclass(frozen=True)
class PooledWindows:
    """SAM 2's Hiera: windows of which the first block of a stage pools the queries 2 × 2."""

    def __call__(self, scene: Scene, count: int) -> Tokens:
        """The layout."""
        block = scene.around("window_size", "query_stride")
        pools, window = self._pools(scene, scene.numbers[-1]), int(block.window_size)
        if block.query_stride:  # keys lie on the map before the pooling, queries after it
            pools -= 1
        if block.query_stride and count < scene.call.shape[3]:
            pools, window = pools + 1, window // pair(block.query_stride)[0]
        base = halved(scene, pools, stride=pair(scene.setting("patch_stride")))
        return parted(base, orders.windows(base.grid_hw, pair(window))) if window else base

    def _pools(self, scene: Scene, block: int) -> int:
        """How often the map was pooled up to the end of this block."""
        starts = [sum(scene.setting("blocks_per_stage")[:i]) for i in range(1, 4)]
        poolings = starts[: int(scene.setting("num_query_pool_stages"))]
        return sum(start <= block for start in poolings)


@dataclass(frozen=True)
class WholeWindows:
    """Square windows that split a map evenly, as in MaxViT; the map is measured by their number.

    Attributes:
        spread: Whether the cells of a window lie far from each other, each in a block of its own
            ("grid attention"), instead of side by side.
    """

    spread: bool = False

    def __call__(self, scene: Scene, count: int) -> Tokens:
        """The layout."""
        parts = scene.call.shape[0] // scene.pixels_shape[0]
        base, side = measured(scene.view(), parts * count), math.isqrt(count)
        rows, columns = base.grid_hw
        if not self.spread:
            return parted(base, orders.windows(base.grid_hw, (side, side)))
        blocks = rows // side, columns // side
        return parted(base, orders.scattered_cells(orders.raster(base.grid_hw), blocks))


@dataclass(frozen=True)
class MaskUnits:
    """Hiera: tokens unrolled so that each pooling takes the maximum over the first axis.

    Attributes:
        stride: Setting that says by how much each pooling shrinks the map, and
        patch: by how much the first convolution does.
        stages: Setting with an item for each stage.
    """

    stride: str = "query_stride"
    patch: str = "patch_stride"
    stages: str = "depths"

    def __call__(self, scene: Scene, count: int) -> Tokens:
        """The layout."""
        attention = scene.around("use_mask_unit_attn")
        strides = [pair(scene.setting(self.stride))] * (len(scene.setting(self.stages)) - 1)
        start = floor_div(scene.input_hw, pair(scene.setting(self.patch)))
        parts, pools = self._parts_and_pools(scene, attention, count, start)
        for stride in strides[:pools]:
            start = floor_div(start, stride)
        whole = orders.unrolled(start, strides[pools:])
        base = grid(scene.view(), start, _stride(scene.input_hw, start))
        if parts == 1:
            return selected(base, whole)
        return parted(base, whole.reshape(-1, parts).T)

    def _parts_and_pools(
        self, scene: Scene, attention: Any, count: int, start: Size
    ) -> tuple[int, int]:
        """Windows of an image, and how often the map was pooled, by the number of tokens."""
        parts = scene.call.shape[0] // scene.pixels_shape[0]
        if not attention.use_mask_unit_attn:
            parts = 1
        area = math.prod(pair(scene.setting(self.stride)))
        ratio = math.prod(start) / (count * parts)
        return parts, round(math.log(ratio, area))


@dataclass(frozen=True)
class WindowsWithClass:
    """Windows that split the map evenly; global layers see them one after another.

    Attributes:
        side: Setting that says how many windows lie side by side.
        prefix: Names of each window's first tokens, such as its copy of the class token.
    """

    side: str
    prefix: tuple[str, ...] = ()

    def __call__(self, scene: Scene, count: int) -> Tokens:
        """The layout."""
        patch, side = scene.patch, int(scene.setting(self.side))
        cells = grid(scene.view(), floor_div(scene.input_hw, patch), patch)
        window = floor_div(cells.grid_hw, (side, side))
        named = side * side * len(self.prefix)
        base = self._base(cells, side) if self.prefix else cells
        parts = orders.windows(cells.grid_hw, window) + named
        if self.prefix:
            own = orders.raster((side * side, len(self.prefix)))
            parts = torch.cat([own, parts], dim=1)
        return parted(base, parts) if count == parts.shape[1] else selected(base, parts.flatten())

    def _base(self, cells: GridTokens, side: int) -> JoinedTokens:
        names = [f"{name} of window {w}" for w in range(side * side) for name in self.prefix]
        return JoinedTokens.of(
            [Segment("", Tokens(len(names), prefix=tuple(names))), Segment("", cells)]
        )


@dataclass(frozen=True)
class PixelsOfPatches:
    """MobileViT: item p of the batch holds pixel p of every 2 × 2 patch of the feature map."""

    patch_hw: Size = (2, 2)

    def __call__(self, scene: Scene, count: int) -> Tokens:
        """The layout."""
        patches = measured_up(scene, count, self.patch_hw)
        cells = orders.raster(patches.grid_hw)
        return parted(patches, orders.scattered_cells(cells, self.patch_hw))


@dataclass(frozen=True)
class PatchesOfMap:
    """MobileViTV2: 2 × 2 patches of the feature map; head p weighs pixel p of every patch."""

    patch_hw: Size = (2, 2)

    def __call__(self, scene: Scene, count: int) -> GridTokens:
        """The layout."""
        cells = measured_up(scene, count, self.patch_hw)
        return grid(
            scene.view(),
            floor_div(cells.grid_hw, self.patch_hw),
            (cells.stride_px[0] * self.patch_hw[0], cells.stride_px[1] * self.patch_hw[1]),
        )


def measured_up(scene: Scene, count: int, patch_hw: Size) -> GridTokens:
    """The map that is cut into this many patches, enlarged to whole ones if it has to be."""
    for stride in (4, 8, 16, 32, 64):
        height, width = ceil_div(scene.input_hw, (stride, stride))
        patches = ceil_div((height, width), patch_hw)
        if math.prod(patches) == count:
            grid_hw = patches[0] * patch_hw[0], patches[1] * patch_hw[1]
            return grid(scene.view(), grid_hw, _stride(scene.input_hw, grid_hw))
    raise GeometryError(f"no stride makes {count} patches of {patch_hw} of {scene.input_hw}")


def halved(scene: Scene, times: int, stride: Size | None = None) -> GridTokens:
    """The map of patches, halved so many times, sides rounded up."""
    stride = stride or scene.patch
    grid_hw = ceil_div(scene.input_hw, stride)
    for _ in range(times):
        grid_hw = ceil_div(grid_hw, (2, 2))
    return grid(scene.view(), grid_hw, (stride[0] * 2.0**times, stride[1] * 2.0**times))


def _stride(size_hw: Size, grid_hw: Size) -> tuple[float, float]:
    return size_hw[0] / grid_hw[0], size_hw[1] / grid_hw[1]

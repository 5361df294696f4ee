"""Image tokens of language models: which segments the images of a prompt make, in order."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from regard.errors import GeometryError
from regard.layouts import orders
from regard.layouts.grids import measured
from regard.layouts.scene import Scene, Size, ceil_div, floor_div, grid
from regard.layouts.windows import selected
from regard.tokens import Tokens
from regard.tokens.grid import GridTokens
from regard.tokens.joined import JoinedTokens, Segment


def pictures(scene: Scene, total: int, name: str = "image") -> list[Segment]:
    """As many tokens for each picture (image, crop, frame) that went in; merging is measured."""
    count = math.prod(scene.pixels_shape[:-3])
    if total % count:
        raise GeometryError(f"{total} image tokens are no multiple of the {count} pictures")
    each = [merged(scene, total // count, picture=i) for i in range(count)]
    return [Segment(f"{name} {i}", cells, i) for i, cells in enumerate(each)]


def frames(scene: Scene, total: int) -> list[Segment]:
    """The frames of videos, as pictures are."""
    return pictures(scene, total, "frame")


def halved_frames(scene: Scene, total: int) -> list[Segment]:
    """LLaVA-OneVision: the frames of each video at half their resolution, then a token to end it.

    Source: `apply_pooling` of transformers 5.23.
    """
    videos, length = scene.pixels_shape[0], scene.frames
    rows, columns = ceil_div(scene.cells, (2, 2))
    found = []
    for i in range(videos * length):
        view = scene.view(picture=i)
        stride = view.input_hw[0] / rows, view.input_hw[1] / columns
        found.append(Segment(f"frame {i}", grid(view, (rows, columns), stride), i))
        if (i + 1) % length == 0:
            found.append(Segment("", Tokens(1, prefix=(f"end of video {i // length}",)), i))
    return found


def merged(scene: Scene, count: int, picture: int) -> GridTokens:
    """The grid of patches of a picture, merged or pooled until this many tokens are left."""
    patch, view = scene.patch, scene.view(picture=picture)
    height, width = floor_div(view.input_hw, patch)
    # factors that divide the grid first: of a small one, others may leave as many tokens
    for factor in sorted(range(1, 17), key=lambda n: bool(height % n or width % n)):
        stride = (patch[0] * factor, patch[1] * factor)
        for grid_hw in (floor_div(view.input_hw, stride), ceil_div(view.input_hw, stride)):
            for prefix in ((), ("cls",)):
                if math.prod(grid_hw) + len(prefix) == count:
                    return grid(view, grid_hw, stride, prefix)
    side = math.isqrt(count)
    if side * side != count:
        raise GeometryError(f"no merging of patches of {patch} leaves {count} tokens of a picture")
    return grid(view, (side, side), (view.input_hw[0] / side, view.input_hw[1] / side))


def maps(scene: Scene, total: int) -> list[Segment]:
    """The cells of a feature map of each picture; its stride is measured."""
    return _maps(scene, total, ())


def mean_and_maps(scene: Scene, total: int) -> list[Segment]:
    """Florence-2: the same, each after the mean of its cells."""
    return _maps(scene, total, ("mean",))


def _maps(scene: Scene, total: int, prefix: tuple[str, ...]) -> list[Segment]:
    count = math.prod(scene.pixels_shape[:-3])
    cells = [measured(scene.view(picture=i), total // count, prefix) for i in range(count)]
    return [Segment(f"image {i}", each, i) for i, each in enumerate(cells)]


def broken_rows(scene: Scene, total: int) -> list[Segment]:
    """Fuyu: as many rows as the prompt has runs of placeholders, a line break after each.

    All runs are one picture; the view is that of its whole patches.
    """
    if len(scene.inputs["input_ids"]) > 1:
        raise GeometryError("rows of several prompts are not told apart: run each by itself")
    ids, patch = scene.inputs["input_ids"][0], int(scene.setting("patch_size"))
    at = (ids == int(scene.setting("image_token_id"))).nonzero()[:, 0]
    rows = 1 + int((at.diff() > 1).sum())
    if total % rows or (at.diff()[total // rows - 1 :: total // rows] == 1).any():
        raise GeometryError(f"{total} image tokens are no {rows} rows of one length: one picture")
    grid_hw = rows, total // rows
    view = scene.view((grid_hw[0] * patch, grid_hw[1] * patch))
    return [Segment("image 0", grid(view, grid_hw, (patch, patch)))]


@dataclass(frozen=True)
class Packed:
    """Pictures of any size in one sequence; each a grid of patches, as `*_grid_thw` says."""

    def __call__(self, scene: Scene, total: int) -> list[Segment]:
        """One segment for each frame of each picture, after merging."""
        merge = int(scene.vision.spatial_merge_size)
        return [segment for segment, _ in _grids(scene, merge)]


@dataclass(frozen=True)
class MergeBlocks:
    """Qwen2-VL's tower: cells of each 2 × 2 block side by side, pictures one after another.

    Where the tower attends within windows, these are sorted by window (Qwen2.5-VL). The layer
    makes one call for each picture or window.
    """

    def __call__(self, scene: Scene, count: int) -> Tokens:
        """The layout."""
        merge = int(scene.setting("spatial_merge_size"))
        full = getattr(scene.owner, "fullatt_block_indexes", None)
        base: list[Segment] = []
        places: list[Tensor] = []
        lengths: list[int] = []
        for segment, grid_hw in _grids(scene, 1):
            start = sum(other.tokens.count for other in base)
            blocks = orders.blocks(orders.raster(grid_hw), (merge, merge)) + start
            windows = [blocks] if full is None else _by_window(scene, blocks, grid_hw, merge)
            together = full is None or scene.numbers[0] in full
            places += windows
            lengths += [blocks.numel()] if together else [w.numel() for w in windows]
            base.append(segment)
        order = torch.cat(places).flatten()
        return selected(JoinedTokens.of(base), _chunk(scene, order, lengths, count))


def _by_window(scene: Scene, blocks: Tensor, grid_hw: Size, merge: int) -> list[Tensor]:
    """The merge blocks of each window, windows row by row, cut off at the edges."""
    side = scene.setting("window_size") // merge // scene.setting("patch_size")
    windows = orders.windows(floor_div(grid_hw, (merge, merge)), (side, side))
    return [blocks[window[window >= 0]] for window in windows]


def _chunk(scene: Scene, order: Tensor, lengths: list[int], count: int) -> Tensor:
    """The part of the sequence that this call of the layer attends in."""
    if count == len(order):
        return order
    chunk = scene.call.axes["call"]
    if chunk >= len(lengths) or lengths[chunk] != count:
        raise GeometryError(f"{count} tokens are not those of part {chunk} of {lengths}")
    start = sum(lengths[:chunk])
    return order[start : start + count]


def _grids(scene: Scene, merge: int) -> Iterator[tuple[Segment, Size]]:
    """The frames of all pictures: their segments after merging, rows and columns."""
    name, thw = _thw(scene)
    vision = scene.vision
    patch = int(vision.patch_size)
    span = int(getattr(vision, "temporal_patch_size", 1)) if name == "frame" else 1
    picture = 0
    for times, rows, columns in thw.tolist():
        for _ in range(times):
            input_hw, grid_hw = (rows * patch, columns * patch), (rows // merge, columns // merge)
            cells = grid(scene.view(input_hw, picture), grid_hw, (patch * merge, patch * merge))
            yield Segment(f"{name} {picture}", cells, picture, span), grid_hw
            picture += span


def _thw(scene: Scene) -> tuple[str, Tensor]:
    for name, key in (
        ("image", "image_grid_thw"),
        ("frame", "video_grid_thw"),
        ("image", "grid_thw"),
    ):
        if scene.inputs.get(key) is not None:
            return name, scene.inputs[key]
    raise GeometryError("the inputs have no image_grid_thw or video_grid_thw to lay tokens out by")

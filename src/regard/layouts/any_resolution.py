"""Image tokens of LLaVA-NeXT and its kin: the whole picture small, then large, each row ended."""

import math
from collections.abc import Iterator

import torch

from regard.geometry import ViewTransform
from regard.layouts import orders
from regard.layouts.scene import Scene, grid
from regard.layouts.windows import selected
from regard.tokens import Tokens
from regard.tokens.grid import GridTokens
from regard.tokens.joined import JoinedTokens, Segment


def any_resolution(scene: Scene, total: int) -> list[Segment]:
    """The whole picture small, then large without its padding, a token at the end of each row.

    Pictures of a prompt with several (LLaVA-OneVision) have the small one only.

    Source: Liu et al. 2024, "LLaVA-NeXT"; `pack_image_features` of transformers.
    """
    side, patch = scene.pixels_shape[-1], scene.patch[0]
    cells = side // patch
    sizes = scene.inputs["image_sizes"].tolist()
    found = []
    for i, (size, alone) in enumerate(zip(sizes, _alone(scene, len(sizes)), strict=True)):
        original_hw = (int(size[0]), int(size[1]))
        view = scene.view(original_hw, picture=i)
        small = grid(view.resize((side, side)), (cells, cells), (patch, patch))
        found.append(Segment(f"image {i}, whole", small, i))
        if alone:
            found += _rows(scene, view, i, cells)
        else:
            found.append(Segment("", Tokens(1, prefix=(f"end of image {i}",)), i))
    return found


def _alone(scene: Scene, pictures: int) -> list[bool]:
    """Whether each picture is the only one of its prompt."""
    counts = scene.inputs.get("batch_num_images")
    if counts is None:
        return [True] * pictures
    return [count == 1 for count in counts.tolist() for _ in range(count)]


def _rows(scene: Scene, view: ViewTransform, image: int, cells: int) -> Iterator[Segment]:
    """The large grid without its padding, as one segment with a newline after each row."""
    from transformers.image_processing_utils import select_best_resolution

    height, width = view.input_hw
    best_hw = select_best_resolution([height, width], scene.setting("image_grid_pinpoints"))
    side = scene.pixels_shape[-1]
    rows, columns = best_hw[0] // side * cells, best_hw[1] // side * cells
    if width / height > columns / rows:
        rows -= (rows - int(round(height * columns / width, 7))) // 2 * 2
    else:
        columns -= (columns - int(round(width * rows / height, 7))) // 2 * 2
    rows, columns = _limited(scene, rows, columns, cells)
    large = grid(view, (rows, columns), (height / rows, width / columns))
    yield Segment(f"image {image}", ended_rows(large), image)


def _limited(scene: Scene, rows: int, columns: int, cells: int) -> tuple[int, int]:
    """LLaVA-OneVision resizes grids of more cells than so many crops have."""
    limit = str(getattr(scene.config, "vision_aspect_ratio", "")).partition("anyres_max_")[2]
    if not limit:
        return rows, columns
    ratio = math.sqrt(rows * columns / (int(limit) * cells**2))
    return (int(rows // ratio), int(columns // ratio)) if ratio > 1.1 else (rows, columns)


def ended_rows(cells: GridTokens) -> Tokens:
    """A grid with a token for the line break after each row."""
    rows, columns = cells.grid_hw
    names = tuple(f"end of row {row}" for row in range(rows))
    both = JoinedTokens.of([Segment("", cells), Segment("", Tokens(rows, prefix=names))])
    breaks = cells.count + torch.arange(rows)[:, None]
    return selected(both, torch.cat([orders.raster((rows, columns)), breaks], dim=1).flatten())

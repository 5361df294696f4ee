"""Orders in which models keep the cells of a grid: windows, blocks, units.

Each is made by doing with the cells' raster indices what the model does with its tokens. -1
stands for padding.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

Size = tuple[int, int]


def raster(grid_hw: Size) -> Tensor:
    """Index of each cell, (rows, columns)."""
    return torch.arange(math.prod(grid_hw)).reshape(grid_hw)


def windows(grid_hw: Size, window_hw: Size, shift_hw: Size = (0, 0)) -> Tensor:
    """Cells of each window, (windows, cells), windows and cells row by row.

    The grid is padded at the bottom and right to whole windows, then rolled up and left by the
    shift. Source: Liu et al. 2021, "Swin Transformer"; Li et al. 2022, "ViTDet".
    """
    below, right = -grid_hw[0] % window_hw[0], -grid_hw[1] % window_hw[1]
    cells = F.pad(raster(grid_hw), (0, right, 0, below), value=-1)
    cells = cells.roll((-shift_hw[0], -shift_hw[1]), dims=(0, 1))
    return blocks(cells, window_hw)


def blocks(cells: Tensor, block_hw: Size) -> Tensor:
    """A grid (rows, columns) cut into blocks, (blocks, cells), both row by row."""
    height, width = block_hw
    rows, columns = cells.shape[0] // height, cells.shape[1] // width
    cut = cells.reshape(rows, height, columns, width).transpose(1, 2)
    return cut.reshape(rows * columns, height * width)


def scattered_cells(cells: Tensor, block_hw: Size) -> Tensor:
    """The first cell of every block, then the second of every one, ...: (cells, blocks)."""
    return blocks(cells, block_hw).T


def unrolled(grid_hw: Size, strides: Sequence[Size]) -> Tensor:
    """Cells so that every pooling to come is a maximum over the first axis: (cells,).

    Source: Ryali et al. 2023, "Hiera", the reference code's unroll.
    """
    cells = raster(grid_hw)[None]
    for height, width in strides:
        n, rows, columns = cells.shape
        cut = cells.reshape(n, rows // height, height, columns // width, width)
        cells = cut.permute(0, 2, 4, 1, 3).reshape(-1, rows // height, columns // width)
    return cells.flatten()

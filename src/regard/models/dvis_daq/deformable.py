"""Deformable attention: each query reads a few sampled points of each level.

Source: Zhu et al. 2021, "Deformable DETR", section 4.1.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class DeformableAttention(nn.Module):
    """Multi-scale deformable attention.

    Args:
        channels: Width of the tokens.
        heads: Number of heads.
        levels: Feature levels that every query reads.
        points: Points that a head reads on each level.
    """

    def __init__(self, channels: int, heads: int, *, levels: int, points: int = 4) -> None:
        super().__init__()
        self.heads, self.levels, self.points = heads, levels, points
        self.sampling_offsets = nn.Linear(channels, heads * levels * points * 2)
        self.attention_weights = nn.Linear(channels, heads * levels * points)
        self.value_proj = nn.Linear(channels, channels)
        self.output_proj = nn.Linear(channels, channels)

    def forward(
        self,
        query: Tensor,
        reference_points: Tensor,
        values: Tensor,
        sizes_hw: Sequence[tuple[int, int]],
    ) -> Tensor:
        """What the queries read, (batch, queries, channels).

        Args:
            query: (batch, queries, channels).
            reference_points: (queries, 2), x and y from 0 to 1, about which each query reads.
            values: (batch, tokens of all levels, channels), level after level.
            sizes_hw: Height and width of each level.
        """
        value = self.value_proj(values).unflatten(2, (self.heads, -1))
        shape = (self.heads, self.levels, self.points)
        offsets = self.sampling_offsets(query).unflatten(2, (*shape, 2))
        weights = self.attention_weights(query).unflatten(2, (self.heads, -1))
        sizes_wh = torch.tensor([(w, h) for h, w in sizes_hw], device=query.device)
        locations = reference_points[:, None, None, None] + offsets / sizes_wh[:, None]
        read = multi_scale_deformable_attention(
            value, sizes_hw, locations, weights.softmax(-1).unflatten(3, shape[1:])
        )
        return self.output_proj(read)


def multi_scale_deformable_attention(
    value: Tensor,
    value_spatial_shapes: Sequence[tuple[int, int]],
    sampling_locations: Tensor,
    attention_weights: Tensor,
) -> Tensor:
    """Sum of the sampled values, weighted; points outside of a level count as zeros.

    Args:
        value: (batch, tokens of all levels, heads, channels of a head).
        value_spatial_shapes: Height and width of each level.
        sampling_locations: (batch, queries, heads, levels, points, 2), x and y from 0 to 1.
        attention_weights: (batch, queries, heads, levels, points); a query's weights of a head
            sum to 1.

    Returns:
        (batch, queries, heads · channels of a head).
    """
    batch, queries, heads = attention_weights.shape[:3]
    by_level = value.split([height * width for height, width in value_spatial_shapes], dim=1)
    grids = 2 * sampling_locations - 1  # grid_sample counts from -1 to 1
    read = []
    for level, (tokens, size_hw) in enumerate(zip(by_level, value_spatial_shapes, strict=True)):
        maps = tokens.permute(0, 2, 3, 1).reshape(batch * heads, -1, *size_hw)
        points = grids[:, :, :, level].transpose(1, 2).flatten(0, 1)
        read.append(F.grid_sample(maps, points, mode="bilinear", align_corners=False))
    weights = attention_weights.transpose(1, 2).reshape(batch * heads, 1, queries, -1)
    summed = (torch.cat(read, dim=-1) * weights).sum(-1)  # (batch · heads, channels, queries)
    return summed.reshape(batch, -1, queries).transpose(1, 2)


def cell_centres(sizes_hw: Sequence[tuple[int, int]], device: torch.device) -> Tensor:
    """Centres of all cells, level after level: (tokens, 2), x and y from 0 to 1."""
    centres = []
    for height, width in sizes_hw:
        y = (torch.arange(height, device=device) + 0.5) / height
        x = (torch.arange(width, device=device) + 0.5) / width
        centres.append(torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1).flatten(0, 1))
    return torch.cat(centres)

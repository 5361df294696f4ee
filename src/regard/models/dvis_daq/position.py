"""Sine position embedding of grid cells.

Source: Carion et al. 2020, "End-to-End Object Detection with Transformers", appendix A.4, with
coordinates that run from 0 to 2π over the grid.
"""

import math

import torch
from torch import Tensor

_TEMPERATURE = 10_000.0


def sine_position(size_hw: tuple[int, int], channels: int, device: torch.device) -> Tensor:
    """Embedding of each cell, (height · width, channels): y in the first half, x in the second."""
    y, x = (_waves(length, channels // 2, device) for length in size_hw)
    height, width = size_hw
    return torch.cat(
        [y[:, None].expand(-1, width, -1), x[None].expand(height, -1, -1)], dim=-1
    ).flatten(0, 1)


def _waves(length: int, channels: int, device: torch.device) -> Tensor:
    """Sines (even channels) and cosines (odd channels) of the coordinates, (length, channels)."""
    steps = torch.arange(1, length + 1, dtype=torch.float32, device=device)
    pair = torch.arange(channels, dtype=torch.float32, device=device) // 2
    angles = steps / (length + 1e-6) * 2 * math.pi
    phases = angles[:, None] / _TEMPERATURE ** (2 * pair / channels)
    return torch.stack([phases[:, 0::2].sin(), phases[:, 1::2].cos()], dim=2).flatten(1)

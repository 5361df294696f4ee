"""A small CNN that makes the features of grid cells, with the place of each cell among them.

AoANet itself has no notion of place: what a cell's features do not say, no word can tell. So the
last channels are sines and cosines of the cell's own coordinates, as in DETR.
"""

import math

import torch
from torch import Tensor, nn

STRIDE = 8
DILATIONS = (1, 2, 1, 2)
_FREQUENCIES = (0.5, 1.0, 2.0, 4.0)
POSITION_CHANNELS = 4 * len(_FREQUENCIES)


class SmallCnn(nn.Module):
    """Four convolutions, three of them of stride 2, then residual ones that see far by dilation.

    Args:
        widths: Channels at stride 2, 4 and 8.
    """

    def __init__(self, widths: tuple[int, int, int] = (24, 48, 80)) -> None:
        super().__init__()
        fine, middle, coarse = widths
        self.stem = nn.Sequential(
            _convolution(3, fine, stride=2),
            _convolution(fine, middle, stride=2),
            _convolution(middle, middle),
            _convolution(middle, coarse, stride=2),
        )
        self.blocks = nn.ModuleList(_convolution(coarse, coarse, dilation=d) for d in DILATIONS)
        self.channels = coarse + POSITION_CHANNELS

    def forward(self, x: Tensor) -> Tensor:
        """(batch, 3, height, width) to (batch, channels, height / 8, width / 8)."""
        x = self.look(x)
        places = _places(x.shape[2], x.shape[3]).to(x).expand(len(x), -1, -1, -1)
        return torch.cat([x, places], 1)

    def look(self, x: Tensor) -> Tensor:
        """The features without the places."""
        x = self.stem(x)
        for block in self.blocks:
            x = x + block(x)
        return x


def _convolution(into: int, out: int, *, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(into, out, 3, stride, padding=dilation, dilation=dilation, bias=False),
        nn.BatchNorm2d(out),
        nn.ReLU(),
    )


def _places(rows: int, columns: int) -> Tensor:
    """(1, POSITION_CHANNELS, rows, columns): sines and cosines of y, then of x."""
    waves = []
    for count, shape in ((rows, (rows, 1)), (columns, (1, columns))):
        across = (torch.arange(count) + 0.5) / count * 2 - 1
        for frequency in _FREQUENCIES:
            angle = (across * (frequency * math.pi)).view(shape).expand(rows, columns)
            waves += [angle.sin(), angle.cos()]
    return torch.stack(waves)[None]

"""A picture in the making: the background, then figures from back to front."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from regard.datasets.shapes.background import background
from regard.datasets.shapes.figure import Figure, paint
from regard.datasets.shapes.noise import stream
from regard.errors import InputError

Pixels = npt.NDArray[np.uint8]
Owners = npt.NDArray[np.int8]

BACKGROUND = -1
"""Owner of a pixel that shows no figure."""

_GRAIN = 5
"""Levels between the darkest and the brightest grain of the camera."""


class Canvas:
    """Paints scenes on one background.

    Raises:
        InputError: The seed or the size is none.
    """

    def __init__(self, seed: int, size_hw: tuple[int, int]) -> None:
        if seed < 0 or min(size_hw) < 1:
            raise InputError(
                f"seed {seed} and size_hw {size_hw}, expected a seed from 0 on and a size in pixels"
            )
        self._seed = seed
        self.size_hw = size_hw
        short = min(size_hw)
        self.extent = (size_hw[0] / short, size_hw[1] / short)
        self._ys, self._xs = (
            ((np.arange(length) + 0.5) / short).astype(np.float32) for length in size_hw
        )
        self._background = background(seed, self._ys, self._xs)
        self.stuff = self._background.stuff

    def paint(self, figures: Sequence[Figure], frame: int = 0) -> tuple[Pixels, Owners]:
        """The picture (height, width, 3), and the number of the figure that each pixel shows."""
        image = self._background.image.copy()
        owner = np.full(self.size_hw, BACKGROUND, np.int8)
        for number, figure in enumerate(figures):
            rows, columns = window = figure.window(self._ys, self._xs)
            if rows.stop - rows.start < 1 or columns.stop - columns.start < 1:
                continue
            distance = paint(figure, image[:, rows, columns], self._ys[rows], self._xs[columns])
            owner[window][distance < 0] = number
        grain = stream(self._seed, 100 + frame).integers(0, _GRAIN, self.size_hw, np.uint8)
        image += grain.astype(np.float32) - np.float32(_GRAIN // 2 - 0.5)
        pixels = np.clip(image, 0, 255).astype(np.uint8)
        return np.ascontiguousarray(pixels.transpose(1, 2, 0)), owner

"""The white sheet that panels, bars and type are laid out on."""

from collections.abc import Sequence

import numpy as np

from regard.render import style
from regard.render.arrays import Pixels
from regard.render.colour import Scale
from regard.render.picture import (
    Align,
    Line,
    Picture,
    Ring,
    Text,
    Weight,
    fit_text,
)
from regard.render.style import Colour


class Sheet:
    """A picture in the making. Places are pixels from the upper left corner."""

    def __init__(self, width: int, height: int) -> None:
        self.raster: Pixels = np.full((height, width, 3), style.PAPER, np.uint8)
        self._texts: list[Text] = []
        self._rings: list[Ring] = []
        self._lines: list[Line] = []
        self._scales: list[Scale] = []

    def panel(self, pixels: Pixels, x: int, y: int, scale: Scale | None = None) -> None:
        """Lay ``pixels`` down with their upper left corner at (x, y)."""
        height, width = pixels.shape[:2]
        self.raster[y : y + height, x : x + width] = pixels
        if scale is not None:
            self._scales.append(scale)

    def text(
        self,
        words: str,
        x: float,
        y: float,
        *,
        size: float = style.TEXT,
        colour: Colour = style.INK,
        weight: Weight = "regular",
        align: Align = "left",
        width: float = np.inf,
        degrees: float = 0,
        halo: bool = False,
    ) -> None:
        """Set one line with its baseline at ``y``, shortened to ``width`` pixels."""
        line = fit_text(words, width, size, weight)
        if line:
            self._texts.append(Text(line, x, y, size, colour, weight, align, degrees, halo))

    def ring(self, x: float, y: float, radius: float) -> None:
        """Mark a point."""
        self._rings.append(Ring(x, y, radius))

    def line(
        self,
        points: Sequence[tuple[float, float]],
        *,
        colour: Colour = style.INK,
        width: float = 2,
        dashed: bool = False,
    ) -> None:
        """Draw a line through points, above the panels and below the type."""
        self._lines.append(Line(tuple(points), colour, width, dashed))

    def picture(self) -> Picture:
        """The finished picture."""
        return Picture(
            self.raster,
            tuple(self._texts),
            tuple(self._rings),
            tuple(self._scales),
            tuple(self._lines),
        )

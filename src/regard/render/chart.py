"""A chart of what happens over frames: lines or bars, with the frames that count shaded."""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from regard.errors import GeometryError
from regard.render import style
from regard.render.arrays import Array, Flags, as_flags, as_maps
from regard.render.colour import number
from regard.render.page import draw_page
from regard.render.palette import distinct
from regard.render.picture import Picture, text_width
from regard.render.sheet import Sheet
from regard.render.style import Colour

SHADE: Colour = (232, 238, 247)
"""Ground of shaded frames."""

_GRID: Colour = (222, 223, 228)
_NUMBER_PITCH = 64
_LINE = 3.0


@dataclass(frozen=True)
class Curve:
    """One line of a chart."""

    values: Array
    """(frames,); NaN where there is nothing to draw, and the line is broken."""
    name: str = ""
    """In the key above the chart; none without."""
    colour: Colour | None = None
    dashed: bool = False


@dataclass(frozen=True, kw_only=True)
class Chart:
    """Curves over frames, made to be laid on a sheet; `draw_chart` makes a picture of it."""

    curves: Sequence[Curve]
    """All of one length."""
    names: Sequence[str] = ()
    """Of the places along the axis, such as numbers of frames; 0, 1, 2, ... by default."""
    shaded: Array | None = None
    """Bool (frames,): frames on a tinted ground."""
    shade_name: str = ""
    """What it means for a frame to be shaded, for the key."""
    axes: tuple[str, str] = ("frame", "")
    """What runs across and what upwards."""
    size_wh: tuple[int, int] = (1504, 420)
    """Of everything: axes, names and key."""
    top: float | None = None
    """Upper end of the axis; by default the largest value."""
    bars: bool = False
    """Bars instead of a line, for the first curve."""
    mark: int | None = None
    """A frame to draw a line at."""

    def __post_init__(self) -> None:
        lengths = {len(values) for values in self._values}
        if len(lengths) != 1:
            raise GeometryError(f"curves of {sorted(lengths)} frames, expected all of one length")
        if self.names and len(self.names) != self.count:
            raise GeometryError(f"{len(self.names)} names for {self.count} frames")

    @property
    def count(self) -> int:
        """How many frames there are."""
        return len(self._values[0])

    @functools.cached_property
    def _values(self) -> list[np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
        curves = (as_maps(curve.values, "frames", "values") for curve in self.curves)
        return [np.asarray(curve, np.float32) for curve in curves]

    @functools.cached_property
    def _shaded(self) -> Flags:
        return as_flags(self.shaded, (self.count,), "shaded")

    @functools.cached_property
    def _range(self) -> tuple[float, float]:
        """Both ends of the axis upwards; 0 is always on it."""
        known = np.concatenate([v[np.isfinite(v)] for v in self._values])
        low = min(0.0, float(known.min())) if known.size else 0.0
        high = max(0.0, float(known.max())) if known.size else 0.0
        high = high if self.top is None else self.top
        return (low, high) if high > low else (low, low + 1.0)

    @property
    def _ticks(self) -> tuple[float, ...]:
        """Values with a number; an end so near to 0 that numbers would meet has none."""
        low, high = self._range
        if low == 0:
            return low, (low + high) / 2, high
        top, bottom = self._upright
        room = 1.1 * style.SMALL * (high - low) / (bottom - top)
        return tuple(value for value in (low, 0.0, high) if value == 0 or abs(value) >= room)

    @property
    def _upright(self) -> tuple[int, int]:
        """Top and bottom of the area inside of the axes."""
        top = round(1.9 * style.SMALL if self._key() else 0.5 * style.SMALL)
        return top, self.size_wh[1] - round(3.0 * style.SMALL)

    @property
    def plot_box(self) -> tuple[int, int, int, int]:
        """Left, top, right and bottom of the area inside of the axes, from the corner."""
        widest = max(text_width(number(value), style.SMALL) for value in self._ticks)
        left = round(widest + 0.5 * style.SMALL + (1.7 * style.SMALL if self.axes[1] else 0))
        top, bottom = self._upright
        return left, top, self.size_wh[0] - 4, bottom

    def across(self, frame: float) -> float:
        """Where the middle of a frame is, in pixels from the left."""
        left, _, right, _ = self.plot_box
        return left + (frame + 0.5) * (right - left) / self.count

    def draw(self, sheet: Sheet, x: int, y: int) -> None:
        """Draw it with its upper left corner at (x, y)."""
        self._draw_shade(sheet, x, y)
        self._draw_axes(sheet, x, y)
        for index, curve in enumerate(self.curves):
            if index == 0 and self.bars:
                self._draw_bars(sheet, x, y)
            else:
                self._draw_curve(sheet, index, curve, x, y)
        if self.mark is not None:
            _, top, _, bottom = self.plot_box
            at = x + self.across(self.mark)
            sheet.line([(at, y + top), (at, y + bottom)], width=2)
        self._draw_key(sheet, x, y)

    def _down(self, value: float) -> float:
        low, high = self._range
        _, top, _, bottom = self.plot_box
        return bottom - (value - low) / (high - low) * (bottom - top)

    def _colour(self, index: int) -> Colour:
        return self.curves[index].colour or distinct(index)

    def _draw_shade(self, sheet: Sheet, x: int, y: int) -> None:
        _, top, _, bottom = self.plot_box
        if self._shaded.all():  # nothing to tell apart
            return
        for frame in np.flatnonzero(self._shaded):
            first, last = (round(x + self.across(frame + half)) for half in (-0.5, 0.5))
            sheet.raster[y + top : y + bottom, first:last] = SHADE

    def _draw_axes(self, sheet: Sheet, x: int, y: int) -> None:
        left, top, right, bottom = self.plot_box
        for value in self._ticks:
            at = y + self._down(value)
            sheet.line([(x + left, at), (x + right, at)], colour=_GRID, width=1.5)
            sheet.text(
                number(value),
                x + left - 0.4 * style.SMALL,
                at + 0.34 * style.SMALL,
                size=style.SMALL,
                colour=style.QUIET,
                align="right",
            )
        for frame in self._named():
            words = self.names[frame] if self.names else str(frame)
            at = x + self.across(frame)
            baseline = y + bottom + 1.15 * style.SMALL
            sheet.text(words, at, baseline, size=style.SMALL, colour=style.QUIET, align="center")
        middle = x + (left + right) / 2
        baseline = y + bottom + 2.6 * style.SMALL
        sheet.text(
            self.axes[0], middle, baseline, size=style.SMALL, colour=style.QUIET, align="center"
        )
        if self.axes[1]:
            sheet.text(
                self.axes[1],
                x + 0.85 * style.SMALL,
                y + (top + bottom) / 2,
                size=style.SMALL,
                colour=style.QUIET,
                align="center",
                degrees=90,
            )

    def _named(self) -> range:
        """Frames whose number is written: 1, 2, 5, 10, ... apart."""
        left, _, right, _ = self.plot_box
        pitch = (right - left) / self.count
        steps = (b * 10**e for e in range(9) for b in (1, 2, 5))
        return range(0, self.count, next(s for s in steps if s * pitch >= _NUMBER_PITCH))

    def _draw_curve(self, sheet: Sheet, index: int, curve: Curve, x: int, y: int) -> None:
        points: list[tuple[float, float]] = []
        for frame, value in enumerate([*self._values[index].tolist(), math.nan]):
            if math.isfinite(value):
                points.append((x + self.across(frame), y + self._down(value)))
                continue
            if len(points) == 1:  # a lone frame shows as a short dash
                points = [(points[0][0] - 4, points[0][1]), (points[0][0] + 4, points[0][1])]
            if points:
                sheet.line(points, colour=self._colour(index), width=_LINE, dashed=curve.dashed)
            points = []

    def _draw_bars(self, sheet: Sheet, x: int, y: int) -> None:
        zero = round(self._down(0.0))
        for frame, value in enumerate(self._values[0].tolist()):
            if not math.isfinite(value):
                continue
            first, last = (round(x + self.across(frame + half)) for half in (-0.4, 0.4))
            top, bottom = sorted((zero, round(self._down(value))))
            sheet.raster[y + top : y + bottom, first : max(last, first + 1)] = self._colour(0)

    def _key(self) -> list[tuple[str, int | None]]:
        """Words of the key, each with its curve; None for the shade."""
        named: list[tuple[str, int | None]] = [
            (curve.name, index) for index, curve in enumerate(self.curves) if curve.name
        ]
        if self.shade_name and self._shaded.any() and not self._shaded.all():
            named.append((self.shade_name, None))
        return named

    def _draw_key(self, sheet: Sheet, x: int, y: int) -> None:
        at = float(x + self.plot_box[0])
        middle = y + round(0.6 * style.SMALL)
        for words, index in self._key():
            swatch = round(1.5 * style.SMALL)
            if index is None:
                half = style.BAR_HEIGHT // 2
                sheet.raster[middle - half : middle + half, round(at) : round(at) + swatch] = SHADE
            else:
                colour, dashed = self._colour(index), self.curves[index].dashed
                ends = [(at, float(middle)), (at + swatch, float(middle))]
                sheet.line(ends, colour=colour, width=_LINE + 1, dashed=dashed)
            at += swatch + 0.4 * style.SMALL
            sheet.text(words, at, middle + 0.34 * style.SMALL, size=style.SMALL, colour=style.QUIET)
            at += text_width(words, style.SMALL) + 1.4 * style.SMALL


def draw_chart(chart: Chart, *, title: str = "", lines: Sequence[str] = ()) -> Picture:
    """A chart as a picture of its own.

    Args:
        chart: What to draw.
        title: First line, bold.
        lines: Further lines below it.
    """
    return draw_page(chart.size_wh, chart.draw, title=title, lines=lines)

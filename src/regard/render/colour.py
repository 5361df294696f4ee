"""Values to colours: colour maps by name, and the scale that says which value has which colour."""

import difflib
import functools
import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from regard.errors import GeometryError, SelectionError
from regard.render import style
from regard.render.arrays import Array, Floats

Steps: TypeAlias = npt.NDArray[np.uint8]

High = Literal["max", "p99.5"]
"""Upper end of a scale: the largest value, or the 99.5th percentile.

One token that soaks up attention (an artifact of many large models) can leave the rest of the
picture dark; the percentile keeps the rest visible, and the bar then says "≥".
"""


_NEARLY = 1.25
"""A percentile so near the largest value is not worth clipping for."""


@dataclass(frozen=True, kw_only=True)
class Scale:
    """Which values the two ends of a colour map stand for, and which values there were."""

    low: float
    """Value of the first colour."""
    high: float
    """Value of the last colour."""
    smallest: float
    """Smallest finite value of the data."""
    largest: float
    """Largest finite value of the data; above `high` where values are clipped."""

    @classmethod
    def of(cls, *values: Array, high: High | float = "max") -> "Scale":
        """Scale that holds for all ``values`` together, whatever their order.

        It starts at 0, or at the smallest value where there are negative ones. NaN and infinite
        values do not count.

        Raises:
            GeometryError: There is no finite value.
        """
        finite = [a[np.isfinite(a)] for a in (np.asarray(v, np.float32) for v in values)]
        known = np.concatenate([a.ravel() for a in finite]) if finite else np.empty(0, np.float32)
        if not known.size:
            raise GeometryError("nothing to show: no finite value in the map")
        smallest, largest = float(known.min()), float(known.max())
        if high == "p99.5":
            top = float(np.percentile(known, 99.5))
            if top <= 0 or largest <= _NEARLY * top:  # almost all is 0, or little to gain
                top = largest
        else:
            top = largest if high == "max" else float(high)
        low = min(0.0, smallest)
        return cls(low=low, high=max(top, low), smallest=smallest, largest=largest)

    @property
    def clips_high(self) -> bool:
        """Whether values above `high` are drawn in its colour."""
        return self.largest > self.high

    def fraction(self, values: Floats) -> Floats:
        """Place of each value between `low` (0) and `high` (1), clipped; NaN stays NaN."""
        width = self.high - self.low
        if width <= 0:  # all values are equal to `low`
            return np.where(np.isnan(values), np.nan, values > self.low).astype(np.float32)
        return np.asarray(np.clip((values - self.low) / np.float32(width), 0, 1))

    def steps(self, values: Floats) -> Steps:
        """Place of each value in a table of 256 colours; 0 for NaN, the last for infinity."""
        return np.nan_to_num(self.fraction(values) * 255, copy=False).round().astype(np.uint8)


NOTHING = Scale(low=0, high=0, smallest=math.nan, largest=math.nan)
"""Scale of a panel that holds no value at all."""


@functools.cache
def colour_table(name: str) -> Floats:
    """Colour map as (256, 3) float32 in 0..255, from low to high.

    Args:
        name: Any name that matplotlib knows: "inferno", "viridis", "turbo", "jet", "hot"...

    Raises:
        SelectionError: No such colour map; the message lists close names.
    """
    from matplotlib import colormaps

    if name not in colormaps:
        close = difflib.get_close_matches(name.lower(), list(colormaps), n=4, cutoff=0.5)
        known = close or ["inferno", "viridis", "cividis", "turbo", "jet", "hot"]
        raise SelectionError(f"no colour map {name!r}; try {', '.join(known)}")
    table = colormaps[name](np.linspace(0, 1, 256))[:, :3] * 255
    fixed = np.asarray(table, np.float32)
    fixed.flags.writeable = False
    return fixed


def paint(values: Floats, scale: Scale, table: Floats) -> Floats:
    """Colours of ``values`` as (..., 3) float32 in 0..255.

    NaN takes `style.UNSEEN` and ±inf `style.INFINITE`, never a colour of the map.
    """
    fraction = scale.fraction(np.nan_to_num(values, posinf=0, neginf=0))
    colours = table[np.rint(fraction * 255).astype(np.intp)]
    colours[np.isnan(values)] = style.UNSEEN
    colours[np.isinf(values)] = style.INFINITE
    return colours


def number(value: float) -> str:
    """Number with three significant digits, short enough for a colour bar.

    >>> number(12.345), number(0.000031), number(1234567.0), number(0)
    ('12.3', '3.1×10⁻⁵', '1.23×10⁶', '0')
    """
    if value == 0:
        return "0"
    if 1e-3 <= abs(value) < 1e5:
        digits = max(0, 2 - int(np.floor(np.log10(abs(value)))))
        text = f"{value:.{digits}f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    mantissa, exponent = f"{value:.2e}".split("e")
    raised = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{mantissa.rstrip('0').rstrip('.')}\N{MULTIPLICATION SIGN}10{raised}"

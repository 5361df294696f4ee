"""How values become visible: the choices that all pictures share."""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from regard.errors import SelectionError
from regard.render.arrays import Flags, Floats
from regard.render.colour import High

Unit = Literal["uniform", "weight", "value"]
"""What is written on the colour bar.

"uniform": how many times the even share a place gets. 1 is what every seen pixel would get if
    all of the query's attention, 1 in sum, were spread evenly over the seen photo. It reads
    without knowing the picture's size, and compares across heads, layers and photos. The share
    that prefix tokens keep stays lost to the photo: the mean is the mass on the photo, not 1.
"weight": attention weight per pixel (per cell in a matrix), as given.
"value": any other quantity, as given.
"""

Mixing = Literal["rising", "constant"]
"""How a map lies over a photo.

"rising": the map covers more where it is higher (value to the power 0.7), over a photo whose
    colours are muted: at 0 nothing lies over the photo, and strong colour means attention only.
"constant": the map covers the photo evenly, low values as well: the familiar look of jet maps.
"""

_STRENGTH = {"rising": 0.9, "constant": 0.55}
_RISE = 0.7
"""Below 1, weak attention shows; at 0.5 the dark end of inferno already stains bright skies."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """How values become visible; the defaults suit attention over a photo."""

    cmap: str = "inferno"
    """Name of a matplotlib colour map; inferno rises evenly in lightness, as jet does not."""
    high: High | float = "p99.5"
    """Upper end of the scale: the 99.5th percentile, the largest value, or a value in the unit."""
    unit: Unit = "uniform"
    """What the numbers on the bar count."""
    mixing: Mixing = "rising"
    """How a map lies over a photo."""
    strength: float | None = None
    """How much the map covers at most, 0 to 1; by default 0.9 rising, 0.55 constant."""

    def __post_init__(self) -> None:
        for name, kinds in (("unit", get_args(Unit)), ("mixing", get_args(Mixing))):
            if getattr(self, name) not in kinds:
                raise SelectionError(f"{name}={getattr(self, name)!r}, expected one of {kinds}")
        if isinstance(self.high, str) and self.high not in get_args(High):
            raise SelectionError(
                f"high={self.high!r}, expected a number or one of {get_args(High)}"
            )
        if self.strength is not None and not 0 < self.strength <= 1:
            raise SelectionError(f"strength={self.strength}, expected more than 0 and at most 1")

    def cover(self, fraction: Floats) -> Floats:
        """Share of the map in the mixture, for each place on the scale (0 to 1)."""
        most = np.float32(_STRENGTH[self.mixing] if self.strength is None else self.strength)
        if self.mixing == "constant":
            return np.full_like(fraction, most)
        return np.asarray(most * fraction ** np.float32(_RISE))

    def in_unit(self, values: Floats, seen: Flags) -> Floats:
        """Values in this look's unit; ``seen`` counts the places that attention could go to."""
        if self.unit != "uniform":
            return values
        return values * np.float32(np.count_nonzero(seen))


DEFAULT_LOOK = Look()

"""A generated world of solid toys: photos on white, and the exact parts behind them.

Every thing has two to four parts. A part knows the distance of any point in space, so its
inside, its surface and its pixels are exact. The same seed makes the same thing.
"""

from regard.datasets.solids.photo import BACKGROUND, SolidPhoto, photograph
from regard.datasets.solids.solid import COLOURS, Solid, SolidPart, solid
from regard.datasets.solids.things import KINDS

__all__ = [
    "BACKGROUND",
    "COLOURS",
    "KINDS",
    "Solid",
    "SolidPart",
    "SolidPhoto",
    "photograph",
    "solid",
]

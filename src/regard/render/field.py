"""A map in the picture's unit, and the places in it that hold no value."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from regard.render import style
from regard.render.arrays import Array, Flags, Floats, as_flags
from regard.render.look import Look
from regard.render.style import Colour


@dataclass(frozen=True)
class Place:
    """A kind of place that has no value: its words in the legend and its pattern."""

    words: str
    colour: Colour
    line: Colour
    veil: float
    """Share of `colour` over a photo, which stays recognisable in grey below it."""
    period: float
    """Distance of the hatching lines at a scale of 1."""
    slope: int


UNSEEN = Place("outside the model's view", style.UNSEEN, (252, 252, 253), 0.62, 11, 1)
MASKED = Place("masked", style.MASKED, (226, 227, 231), 0.45, 7, -1)
PADDING = Place("padding", style.PADDING, (186, 189, 197), 1.0, 18, 1)
INFINITE = Place("infinite", style.INFINITE, style.INFINITE, 1.0, 18, 1)


@dataclass(frozen=True, kw_only=True)
class Field:
    """A map in the unit of the picture, and where it holds no value."""

    values: Floats
    """(height, width); NaN where the model did not see."""
    masked: Flags
    """Attention was not allowed to go here."""
    padding: Flags
    """No part of the photo."""

    def resized(self, size_wh: tuple[int, int]) -> "Field":
        """The same map at another size: means over the pixels that were seen."""
        if size_wh == self.values.shape[::-1]:
            return self
        flags = (self.masked, self.padding)
        masked, padding = (_box(flag.astype(np.float32), size_wh) >= 0.5 for flag in flags)
        return Field(values=_mean_of_seen(self.values, size_wh), masked=masked, padding=padding)

    @property
    def shown(self) -> Floats:
        """Values that have a colour; NaN elsewhere."""
        return np.where(self.masked, np.float32(np.nan), self.values)

    def places(self) -> tuple[Place, ...]:
        """Kinds of place without a value that occur here."""
        unseen = np.isnan(self.values) & ~self.padding
        kinds = (
            (UNSEEN, unseen),
            (MASKED, self.masked & ~unseen),
            (PADDING, self.padding),
            (INFINITE, np.isinf(self.shown)),
        )
        return tuple(place for place, where in kinds if where.any())


def as_fields(
    maps: Floats, masked: Array | None, padding: Array | None, look: Look
) -> Sequence[Field]:
    """Fields of a stack of maps (..., height, width), in order.

    Args:
        maps: Density: weight per pixel; NaN where the model did not see.
        masked: Where attention was not allowed to go, of a shape that broadcasts to the maps'.
        padding: What is no part of the photo, likewise.
        look: Gives the unit.
    """
    masked_maps = as_flags(masked, maps.shape, "masked").reshape(-1, *maps.shape[-2:])
    padding_maps = as_flags(padding, maps.shape, "padding").reshape(-1, *maps.shape[-2:])
    fields = []
    for values, mask, pad in zip(
        maps.reshape(-1, *maps.shape[-2:]), masked_maps, padding_maps, strict=True
    ):
        seen = ~np.isnan(values) & ~pad
        values = np.where(pad, np.float32(np.nan), look.in_unit(values, seen))
        fields.append(Field(values=values, masked=mask, padding=pad))
    return fields


def _mean_of_seen(values: Floats, size_wh: tuple[int, int]) -> Floats:
    seen = ~np.isnan(values)
    share = _box(seen.astype(np.float32), size_wh)
    total = _box(np.nan_to_num(values, posinf=0, neginf=0), size_wh)
    mean = np.full_like(total, np.nan)
    np.divide(total, share, out=mean, where=share >= 0.5)
    for infinity in (np.inf, -np.inf):
        if (found := values == infinity).any():  # one bad pixel stays visible
            mean[_box(found.astype(np.float32), size_wh) > 0] = infinity
    return mean


def _box(values: Floats, size_wh: tuple[int, int]) -> Floats:
    return np.asarray(Image.fromarray(values).resize(size_wh, Image.Resampling.BOX))

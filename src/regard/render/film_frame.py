"""A frame of a film: attention over a photo, as fast as a film needs it.

The same mixture as in `draw_overlay`, with a table of 256 steps for the colours and whole numbers
for mixing, in Pillow's loops: a few milliseconds for a frame of 720 lines, a tenth of what mixing
in float takes. It differs from `draw_overlay` by what rounding to the tables gives. Steps are
those of the square root of a value, so that weak attention, which covers little, has no edges.
"""

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from PIL import Image

from regard.render.arrays import Floats
from regard.render.colour import Scale, colour_table
from regard.render.field import UNSEEN
from regard.render.look import Look
from regard.render.tile import draw_swatch, muted


@dataclass(frozen=True, eq=False)
class FramePainter:
    """Lays maps over the frames of one film; all on one scale, so that frames compare."""

    scale: Scale
    look: Look
    _colours: list[int] = field(init=False, repr=False)
    _cover: list[int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        places: Floats = np.linspace(0, 1, 256, dtype=np.float32) ** 2
        cover = np.rint(self.look.cover(places) * 255).astype(int)
        colours = np.rint(colour_table(self.look.cmap))[np.rint(places * 255).astype(int)].astype(
            int
        )
        object.__setattr__(self, "_cover", cover.tolist())
        object.__setattr__(self, "_colours", colours.ravel().tolist())

    def paint(self, photo: Image.Image, values: Floats) -> Image.Image:
        """The photo with a map over it, of the photo's size.

        Args:
            photo: RGB.
            values: (height, width) in the scale's unit, of the photo's extent and of any size;
                between its places it is interpolated linearly. NaN where the model did not see.
        """
        unseen = np.isnan(values)
        mixed = self.ground(photo)
        small = self._steps(values)
        if self._cover[0] or small.any():
            self._lay_over(mixed, small)
        return _hatched(mixed, photo, unseen) if unseen.any() else mixed

    def _lay_over(self, ground: Image.Image, small: npt.NDArray[np.uint8]) -> None:
        """Colour the ground, or the part around all steps above 0 if 0 covers nothing."""
        everywhere = (0, 0, *ground.size)
        box = everywhere if self._cover[0] else _box_around(small, ground.size)
        left, top, right, bottom = box
        across, down = (small.shape[1] / ground.width, small.shape[0] / ground.height)
        steps = Image.fromarray(small).resize(
            (right - left, bottom - top),
            Image.Resampling.BILINEAR,
            (left * across, top * down, right * across, bottom * down),
        )
        cover = steps.point(self._cover)
        steps.putpalette(self._colours)  # in place: they are indices of colours from now on
        ground.paste(steps.convert("RGB"), box, cover)

    def _steps(self, values: Floats) -> npt.NDArray[np.uint8]:
        place = np.nan_to_num(self.scale.fraction(values), copy=False)
        return np.asarray(np.rint(255 * np.sqrt(place)), np.uint8)

    def ground(self, photo: Image.Image) -> Image.Image:
        """What a map of nothing but zeros would leave of the photo."""
        return muted(photo) if self.look.mixing == "rising" else photo.copy()


def without_attention(photo: Image.Image) -> Image.Image:
    """The photo in grey: a frame for which there is no attention to show."""
    return photo.convert("L").convert("RGB")


def _box_around(
    small: npt.NDArray[np.uint8], size_wh: tuple[int, int]
) -> tuple[int, int, int, int]:
    """Pixels of a picture that a map's places above 0 reach, when it is interpolated over it."""
    ends = []
    for axis, side in ((1, size_wh[0]), (0, size_wh[1])):
        found = np.flatnonzero(small.any(1 - axis))
        scale = side / small.shape[axis]
        first, last = (found[0] - 1) * scale, (found[-1] + 2) * scale
        ends.append((max(0, math.floor(first)), min(side, math.ceil(last))))
    (left, right), (top, bottom) = ends
    return left, top, right, bottom


def _hatched(mixed: Image.Image, photo: Image.Image, unseen: npt.NDArray[np.bool_]) -> Image.Image:
    """With the pattern of places that the model did not see, over the photo in grey."""
    where = Image.fromarray(unseen.astype(np.uint8) * 255)
    where = where.resize(photo.size, Image.Resampling.NEAREST)
    pattern = Image.fromarray(draw_swatch(UNSEEN, photo.size))
    veiled = Image.blend(without_attention(photo), pattern, UNSEEN.veil)
    return Image.composite(veiled, mixed, where)

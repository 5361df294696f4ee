"""Several pictures as one, one below another."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from regard.errors import GeometryError
from regard.render import style
from regard.render.picture import Picture


def stack_pictures(pictures: Sequence[Picture]) -> Picture:
    """One picture, as wide as the widest, with white to the right of the others.

    Raises:
        GeometryError: No picture.
    """
    if not pictures:
        raise GeometryError("there is no picture to stack; expected one at least")
    width = max(picture.size_wh[0] for picture in pictures)
    rasters, texts, rings, y = [], [], [], 0
    for picture in pictures:
        missing = ((0, 0), (0, width - picture.size_wh[0]), (0, 0))
        rasters.append(np.pad(picture.raster, missing, constant_values=style.PAPER[0]))
        texts += [replace(text, y=text.y + y) for text in picture.texts]
        rings += [replace(ring, y=ring.y + y) for ring in picture.rings]
        y += picture.size_wh[1]
    scales = tuple(scale for picture in pictures for scale in picture.scales)
    return Picture(np.concatenate(rasters), tuple(texts), tuple(rings), scales)

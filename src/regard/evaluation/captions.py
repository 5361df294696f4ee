"""How right a caption is, and whether its words look at what they speak of."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from torch import Tensor

from regard.tokens import Tokens

LEAST_SHARE = 0.25
"""Least part of a region that an object must fill for the region to show it."""

Masks = npt.NDArray[np.bool_]


def word_accuracy(words: Sequence[str], truth: Sequence[str]) -> float:
    """Share of the places at which two captions have the same word; the longer one has them all.

    >>> word_accuracy(["a", "red", "disc"], ["a", "red", "ring", "on"])
    0.5
    """
    same = sum(word == true for word, true in zip(words, truth, strict=False))
    return same / max(len(words), len(truth), 1)


def object_at_peak(weights: Tensor, layout: Tokens, masks: Masks) -> int | None:
    """The object in the region with the most weight; None where it shows none.

    Args:
        weights: (regions,).
        layout: Where the regions lie on the photo.
        masks: (objects, height, width) of the photo's size.

    Raises:
        GeometryError: Weights of another number than the layout has regions.
    """
    layout.check(len(weights), where="weights")
    x0, y0, x1, y1 = (round(edge) for edge in layout.box_xyxy(int(weights.argmax())))
    shares = masks[:, y0:y1, x0:x1].mean((1, 2))
    return int(shares.argmax()) if len(shares) and shares.max() >= LEAST_SHARE else None

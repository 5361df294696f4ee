"""From a photo to the square picture of one object that PartCrafter is trained on, and back.

The object is cut out by its alpha channel or a mask, laid on white, and centred with a margin;
a photo without either is taken as it is. Every step is kept as geometry, so that what the model
attends to can be drawn on the photo that was given.

Source: the steps of upstream's `prepare_image`; background removal itself is left to the mask.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from regard.errors import GeometryError, InputError
from regard.geometry import ViewTransform
from regard.models.preprocessing import Preprocessing, require_rgb

LONGEST_SIDE_PX = 2000
"""Larger photos are scaled down to this."""
MARGIN = 0.1
"""White on each side of the object, as a share of its longer side."""

PREPROCESSING = Preprocessing(
    short_edge_px=256,
    crop_hw=(224, 224),
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
)
"""What the image encoder takes where a checkpoint does not say."""


@dataclass(frozen=True)
class ObjectPhoto:
    """A photo and the square picture of its object.

    Attributes:
        photo: As it was given, upright and RGB.
        picture: What the model's preprocessing starts from.
        view: Where the picture's pixels lie on the photo.
    """

    photo: Image.Image
    picture: Image.Image
    view: ViewTransform

    @classmethod
    def whole(cls, photo: Image.Image) -> "ObjectPhoto":
        """The photo as it is, nothing removed."""
        require_rgb(photo)
        return cls(photo, photo, ViewTransform.identity((photo.height, photo.width)))

    @classmethod
    def cut_out(cls, photo: Image.Image, mask: Image.Image) -> "ObjectPhoto":
        """The object alone, on white, centred in a square.

        Args:
            photo: Upright and RGB.
            mask: Grey ("L") picture of the photo's size; 255 is object, 0 background.

        Raises:
            GeometryError: The mask has another size.
            InputError: The mask is empty.
        """
        require_rgb(photo)
        if mask.size != photo.size:
            raise GeometryError(
                f"the mask is {mask.width} x {mask.height} px, the photo {photo.width} x "
                f"{photo.height} px; expected the same size"
            )
        small_hw = _at_most(LONGEST_SIDE_PX, (photo.height, photo.width))
        size_wh = (small_hw[1], small_hw[0])
        small, alpha = photo.resize(size_wh), mask.convert("L").resize(size_wh)
        found = alpha.getbbox()
        if found is None:
            raise InputError("the mask marks no object: every pixel is 0; expected 255 on it")
        picture = Image.composite(small, Image.new("RGB", size_wh, "white"), alpha)
        box = _square_around(found)
        view = ViewTransform.identity((photo.height, photo.width))
        view = view.resize(small_hw) if small_hw != view.original_hw else view
        return cls(photo, _crop_on_white(picture, box), view.crop(box))


def _at_most(longest: int, size_hw: tuple[int, int]) -> tuple[int, int]:
    if max(size_hw) <= longest:
        return size_hw
    scale = longest / max(size_hw)
    return max(1, round(size_hw[0] * scale)), max(1, round(size_hw[1] * scale))


def _square_around(box: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    """A square about the box's middle, a margin wider than its longer side on each side."""
    left, top, right, bottom = box
    longer = max(right - left, bottom - top)
    side = longer + 2 * int(longer * MARGIN)
    x, y = left - (side - (right - left)) // 2, top - (side - (bottom - top)) // 2
    return x, y, x + side, y + side


def _crop_on_white(picture: Image.Image, box: tuple[int, int, int, int]) -> Image.Image:
    canvas = np.full((box[3] - box[1], box[2] - box[0], 3), 255, np.uint8)
    pixels = np.asarray(picture)
    rows = slice(max(0, box[1]), min(pixels.shape[0], box[3]))
    columns = slice(max(0, box[0]), min(pixels.shape[1], box[2]))
    inside = pixels[rows, columns]
    y, x = rows.start - box[1], columns.start - box[0]
    canvas[y : y + inside.shape[0], x : x + inside.shape[1]] = inside
    return Image.fromarray(canvas)

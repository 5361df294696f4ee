"""What comes in: photos and maps of any array library, checked and turned into NumPy."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from regard.errors import GeometryError

Floats: TypeAlias = npt.NDArray[np.floating[Any]]
Flags: TypeAlias = npt.NDArray[np.bool_]
Pixels: TypeAlias = npt.NDArray[np.uint8]
Array: TypeAlias = npt.ArrayLike
"""NumPy array, nested sequence, or tensor on any device."""


def as_photo(photo: Image.Image | Array) -> Pixels:
    """Photo as (height, width, 3) uint8.

    Raises:
        GeometryError: Not an RGB picture of 8 bits.
    """
    if isinstance(photo, Image.Image):
        return np.asarray(photo.convert("RGB"))
    pixels = _to_numpy(photo)
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8 or not pixels.size:
        raise GeometryError(
            f"photo is {pixels.dtype} of shape {pixels.shape}, expected a PIL image or uint8 "
            "(height, width, 3)"
        )
    return pixels


def as_maps(values: Array | Sequence[Array], axes: str, name: str) -> Floats:
    """Maps as float32 with one axis for each word in ``axes``, e.g. "heads height width".

    Raises:
        GeometryError: Another number of axes, or no values at all.
    """
    maps = _to_numpy(values)
    if maps.ndim != len(axes.split()) or not maps.size:
        expected = ", ".join(axes.split())
        raise GeometryError(f"{name} has shape {maps.shape}, expected ({expected}), none empty")
    return maps.astype(np.float32, copy=False)


def as_flags(flags: Array | None, shape: tuple[int, ...], name: str) -> Flags:
    """Flags broadcast to ``shape``; None means nowhere.

    Raises:
        GeometryError: Not boolean, or of another shape.
    """
    if flags is None:
        return np.broadcast_to(np.False_, shape)
    found = _to_numpy(flags)
    if found.dtype != np.bool_:
        raise GeometryError(f"{name} is {found.dtype}, expected bool (True where {name})")
    try:
        return np.broadcast_to(found, shape)
    except ValueError as error:
        raise GeometryError(f"{name} has shape {found.shape}, expected {shape}") from error


def check_extent(shape_hw: tuple[int, int], photo_hw: tuple[int, int]) -> None:
    """Check that a map covers a photo: same size, or a smaller or larger copy of it.

    Raises:
        GeometryError: The proportions differ by more than one pixel.
    """
    (h, w), (photo_h, photo_w) = shape_hw, photo_hw
    if abs(h - w * photo_h / photo_w) > 1 and abs(w - h * photo_w / photo_h) > 1:
        raise GeometryError(
            f"map of {h} x {w} (height x width) does not cover a photo of {photo_h} x {photo_w}: "
            "the proportions differ; spread it over the photo first"
        )


def _to_numpy(values: Any) -> npt.NDArray[Any]:
    if isinstance(values, (list, tuple)):
        return np.stack([_to_numpy(value) for value in values]) if values else np.empty(0)
    if hasattr(values, "detach"):  # a tensor, without importing torch to find out
        values = values.detach().cpu()
        if values.is_floating_point():
            values = values.float()  # NumPy has no bfloat16
    return np.asarray(values)

"""From a photo to the tensor a checkpoint was trained on, with the geometry of every step."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from PIL import Image

from regard.errors import CheckpointError, GeometryError, MediaError
from regard.geometry import ViewTransform

LONG_SIDE_LIMIT = 4
"""A whole photo more elongated than 4 : 1 is shrunk until its long side is 4 short sides."""


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """What a checkpoint's ``preprocessor_config.json`` asks for.

    Source: the image processors of transformers (resize, centre crop, rescale, normalize).
    """

    short_edge_px: int | None = None
    """Length that the short side is resized to, the shape kept; excludes ``resize_hw``."""
    long_edge_px: int | None = None
    """Largest length of the long side, before which the short side gives way; with
    ``short_edge_px`` only."""
    resize_hw: tuple[int, int] | None = None
    """Height and width that the photo is resized to, the shape not kept."""
    crop_hw: tuple[int, int] | None = None
    """Height and width of the centre that is cut out after resizing; ``None`` cuts nothing."""
    pad_to_multiple_px: int = 1
    """Zeros are added at the right and at the bottom until both sides are multiples of this."""
    resample: Image.Resampling = Image.Resampling.BICUBIC
    """Filter of the resize."""
    rescale: float = 1 / 255
    """Factor from byte values to the range that ``mean`` and ``std`` are given in."""
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    """Subtracted from each rescaled channel, in RGB order."""
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)
    """Divides each channel after that, in RGB order."""

    def updated(self, config: Mapping[str, Any], *, square: bool) -> "Preprocessing":
        """These settings with those of a ``preprocessor_config.json`` in their place.

        Args:
            config: The file's content; keys it lacks keep the values of ``self``.
            square: What a bare number as ``size`` means: both sides (ViT, DeiT), or the short
                side (CLIP, DINOv2).

        Raises:
            CheckpointError: A value that is not understood.
        """
        try:
            return self._updated(config, square)
        except (TypeError, ValueError, KeyError) as error:
            raise CheckpointError(
                f"preprocessor_config.json is not understood: {error}; expected the keys of a "
                "ViT, DeiT, DINOv2, CLIP or SigLIP image processor"
            ) from error

    def _updated(self, config: Mapping[str, Any], square: bool) -> "Preprocessing":
        if config.get("do_pad"):
            raise ValueError("do_pad is not supported")
        changes: dict[str, Any] = {}
        if not config.get("do_resize", True):
            changes |= {"short_edge_px": None, "resize_hw": None}
        elif "size" in config:
            changes |= _resize_of(config["size"], square)
        if not config.get("do_center_crop", self.crop_hw is not None):
            changes["crop_hw"] = None
        elif "crop_size" in config:
            changes["crop_hw"] = _crop_of(config["crop_size"])
        if "resample" in config:
            changes["resample"] = Image.Resampling(config["resample"])
        if not config.get("do_rescale", True):
            changes["rescale"] = 1.0
        elif "rescale_factor" in config:
            changes["rescale"] = float(config["rescale_factor"])
        if not config.get("do_normalize", True):
            changes |= {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}
        else:
            if "image_mean" in config:
                changes["mean"] = _channels(config["image_mean"])
            if "image_std" in config:
                changes["std"] = _channels(config["image_std"])
                if not all(std > 0 for std in changes["std"]):
                    raise ValueError(f"image_std = {config['image_std']}, not all above 0")
        return replace(self, **changes)

    def view(self, photo_hw: tuple[int, int], before: ViewTransform | None = None) -> ViewTransform:
        """Where the pixels of a photo of ``photo_hw`` lie in the tensor that is made of it.

        Where that photo was itself made of another one, ``before`` says how.
        """
        view = before or ViewTransform.identity(photo_hw)
        resized_hw = self._resized_hw(photo_hw)
        if resized_hw != photo_hw:
            view = view.resize(resized_hw)
        if self.crop_hw is not None and self.crop_hw != resized_hw:
            if any(crop > side for crop, side in zip(self.crop_hw, resized_hw, strict=True)):
                raise GeometryError(
                    f"the preprocessor crops {_size(self.crop_hw)} out of {_size(resized_hw)}, "
                    f"what a photo of {_size(photo_hw)} is resized to; pass a larger photo, or "
                    "correct preprocessor_config.json"
                )
            view = view.center_crop(self.crop_hw)
        right, bottom = self._padding(view.input_hw)
        return view.pad(right=right, bottom=bottom) if right or bottom else view

    def tensor(self, photo: Image.Image) -> torch.Tensor:
        """The photo as the model takes it: float32 ``(1, 3, height, width)``, normalized."""
        height, width = self._resized_hw((photo.height, photo.width))
        if (photo.width, photo.height) != (width, height):
            photo = photo.resize((width, height), resample=self.resample)
        if self.crop_hw is not None:
            top = (height - self.crop_hw[0]) // 2
            left = (width - self.crop_hw[1]) // 2
            photo = photo.crop((left, top, left + self.crop_hw[1], top + self.crop_hw[0]))
        values = torch.from_numpy(np.array(photo)).permute(2, 0, 1).float() * self.rescale
        mean, std = (torch.tensor(each).view(3, 1, 1) for each in (self.mean, self.std))
        right, bottom = self._padding((photo.height, photo.width))
        normal = torch.nn.functional.pad((values - mean) / std, (0, right, 0, bottom))
        return normal.unsqueeze(0).contiguous()

    def _padding(self, size_hw: tuple[int, int]) -> tuple[int, int]:
        height, width = (-side % self.pad_to_multiple_px for side in size_hw)
        return width, height

    def _resized_hw(self, photo_hw: tuple[int, int]) -> tuple[int, int]:
        if self.resize_hw is not None:
            return self.resize_hw
        if self.short_edge_px is None:
            return photo_hw
        height, width = photo_hw
        short_edge: float = self.short_edge_px
        if self.long_edge_px is not None:
            short_edge = min(short_edge, self.long_edge_px * min(photo_hw) / max(photo_hw))
        long_edge = max(1, int(short_edge * max(photo_hw) / min(photo_hw)))
        short_edge = max(1, round(short_edge))
        if width <= height:
            return long_edge, short_edge
        return short_edge, long_edge


def whole_photo(
    settings: Preprocessing,
    photo_hw: tuple[int, int],
    *,
    short_side_px: int,
    patch_hw: tuple[int, int],
) -> Preprocessing:
    """The same settings for a model that takes any size: the whole photo, nothing cut off.

    Both sides are the nearest multiple of the patch, at least one patch, so the shape changes by
    less than half a patch a side. The long side is at most ``LONG_SIDE_LIMIT`` short sides.
    """
    scale = min(
        short_side_px / min(photo_hw),
        LONG_SIDE_LIMIT * short_side_px / max(photo_hw),
    )
    height, width = (
        max(1, round(side * scale / patch)) * patch
        for side, patch in zip(photo_hw, patch_hw, strict=True)
    )
    return replace(settings, short_edge_px=None, crop_hw=None, resize_hw=(height, width))


def require_rgb(photo: Image.Image) -> None:
    """Raise ``MediaError`` unless the photo is an RGB picture with at least one pixel."""
    if photo.mode != "RGB" or 0 in photo.size:
        raise MediaError(
            f"the photo is {photo.mode} of {photo.width} x {photo.height} pixels; expected RGB; "
            "convert it first, e.g. photo.convert('RGB')"
        )


def _resize_of(size: Any, square: bool) -> dict[str, Any]:
    match size:
        case int() if square:
            return {"short_edge_px": None, "resize_hw": (_side(size), _side(size))}
        case int() | {"shortest_edge": int()} if not isinstance(size, dict) or len(size) == 1:
            edge = size if isinstance(size, int) else size["shortest_edge"]
            return {"short_edge_px": _side(edge), "resize_hw": None}
        case {"height": int(height), "width": int(width)} if len(size) == 2:
            return {"short_edge_px": None, "resize_hw": (_side(height), _side(width))}
    raise ValueError(f"size = {size!r}")


def _crop_of(size: Any) -> tuple[int, int]:
    match size:
        case int():
            return _side(size), _side(size)
        case {"height": int(height), "width": int(width)}:
            return _side(height), _side(width)
    raise ValueError(f"crop_size = {size!r}")


def _side(pixels: int) -> int:
    if not 1 <= pixels <= 16_384:
        raise ValueError(f"a side of {pixels} pixels, outside 1 to 16384")
    return pixels


def _channels(values: Any) -> tuple[float, float, float]:
    red, green, blue = (float(value) for value in values)
    return red, green, blue


def _size(size_hw: tuple[int, int]) -> str:
    return f"{size_hw[1]} x {size_hw[0]} px"

"""What detectors and segmenters do to a photo: its short side to 800 px, then padding."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image

from regard.errors import CheckpointError, GeometryError
from regard.models.checkpoint import read_json
from regard.models.preprocessing import Preprocessing

# what both papers test with; ImageNet's mean and deviation
USUAL = Preprocessing(
    short_edge_px=800,
    long_edge_px=1333,
    resample=Image.Resampling.BILINEAR,
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
)


def preprocessing_in(folder: Path, usual: Preprocessing = USUAL) -> Preprocessing:
    """The settings in a checkpoint folder, or the usual ones where it has none.

    The size is read as the short side and the largest long side. Padding is not read: the
    families say how much they need, and add it without stretching the photo.

    Raises:
        CheckpointError: Settings that are not understood.
    """
    path = folder / "preprocessor_config.json"
    if not path.is_file():
        return usual
    config = read_json(path)
    plain = {key: value for key, value in config.items() if key not in ("size", "do_pad")}
    settings = usual.updated(plain, square=False)
    if not config.get("do_resize", True):
        return settings
    try:
        return replace(settings, **_edges(config.get("size"), config.get("max_size")))
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: size = {config.get('size')!r} is not understood") from error


def shortened(settings: Preprocessing, short_side_px: int | None) -> Preprocessing:
    """The same settings with another short side, the limit of the long side in proportion.

    Raises:
        GeometryError: Fewer than 32 pixels, which make no token.
    """
    if short_side_px is None:
        return settings
    if short_side_px < 32:
        raise GeometryError(f"short_side_px is {short_side_px}; expected at least 32 pixels")
    usual = settings.short_edge_px or short_side_px
    long_edge = None
    if settings.long_edge_px is not None:
        long_edge = round(settings.long_edge_px * short_side_px / usual)
    return replace(
        settings, short_edge_px=short_side_px, long_edge_px=long_edge, resize_hw=None, crop_hw=None
    )


def _edges(size: Any, max_size: Any) -> dict[str, Any]:
    if size is None:
        return {}
    if isinstance(size, int):
        return {"short_edge_px": size, "long_edge_px": int(max_size or USUAL.long_edge_px or 0)}
    if isinstance(size, Mapping) and set(size) == {"height", "width"}:
        return {
            "short_edge_px": None,
            "long_edge_px": None,
            "resize_hw": (int(size["height"]), int(size["width"])),
        }
    if isinstance(size, Mapping) and {"shortest_edge"} <= set(size):
        longest = size.get("longest_edge", max_size)
        return {
            "short_edge_px": int(size["shortest_edge"]),
            "long_edge_px": None if longest is None else int(longest),
        }
    raise ValueError("unknown size")

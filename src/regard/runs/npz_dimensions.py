"""Sizes of a video's frames for the model, as ``image_dimensions.json`` of the DVIS pipeline."""

from typing import Any

from regard.geometry import ViewTransform
from regard.models.dvis_daq.dinov2 import PATCH_PX
from regard.models.dvis_daq.preparation import DIVISIBILITY_PX


def image_dimensions(view: ViewTransform) -> dict[str, Any]:
    """Sizes before and after padding; "original" is that pipeline's word for resized."""
    height, width = view.input_hw
    _, _, right, bottom = (round(edge) for edge in view.content_box_xyxy)
    return {
        "padded_image_height": height,
        "padded_image_width": width,
        "H_patches": height // PATCH_PX,
        "W_patches": width // PATCH_PX,
        "patch_size": PATCH_PX,
        "size_divisibility": DIVISIBILITY_PX,
        "original_image_height": bottom,
        "original_image_width": right,
        "pad_top": 0,
        "pad_left": 0,
        "pad_bottom": height - bottom,
        "pad_right": width - right,
        "pad_height": height - bottom,
        "pad_width": width - right,
        "note": "original is the frame after resizing, before padding",
    }

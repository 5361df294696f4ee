"""Segment ids as COCO's panoptic PNGs hold them: R + 256 G + 65536 B.

Source: https://cocodataset.org/#format-data, section 4.
"""

import io

import numpy as np
import numpy.typing as npt
from PIL import Image


def segment_png(ids: npt.NDArray[np.integer]) -> bytes:
    """The PNG of (height, width) ids below 256 ** 3."""
    colours = np.stack([ids % 256, ids // 256 % 256, ids // 256**2], axis=-1).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(colours).save(file, "PNG")
    return file.getvalue()

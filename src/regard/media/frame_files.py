"""A video that lies on the disk as one image a frame."""

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image

from regard.errors import MediaError
from regard.media.frames import EVERY_FRAME, Frame, FrameRange
from regard.media.image import image_size_hw, read_image

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".ppm")
"""Endings of the images that a folder of frames is made of."""


def frame_paths(folder: Path) -> list[Path]:
    """Images in a folder, in the order of their names; numbers count as numbers."""
    images = (path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    return sorted((path for path in images if not path.name.startswith(".")), key=_by_number)


def _by_number(path: Path) -> list[tuple[int, str]]:
    """Sorts ``frame_2`` before ``frame_10``."""
    parts = re.split(r"([0-9]+)", path.name)
    return [(int(part), part) if part.isdigit() else (-1, part) for part in parts]


class FrameFiles:
    """One image file a frame, in the order given.

    Args:
        name: What messages call the video.
        paths: Image files, all of one size.
        size_hw: Height and width that they must have; None: as the first.

    Raises:
        MediaError: There are none, or the first cannot be read.
    """

    def __init__(
        self,
        name: str,
        paths: Sequence[str | os.PathLike[str]],
        *,
        size_hw: tuple[int, int] | None = None,
    ) -> None:
        if not paths:
            raise MediaError(f"{name!r} has no frames; expected at least one image")
        self.name = name
        self.paths = list(paths)
        self.size_hw = size_hw or image_size_hw(paths[0])
        self.frame_count = len(self.paths)
        self.frames_per_second: float | None = None

    def frames(self, wanted: FrameRange = EVERY_FRAME) -> Iterator[Frame]:
        """The wanted frames, in order; see `Video`."""
        for index in range(len(self.paths))[wanted.start : wanted.stop : wanted.step]:
            image = read_image(self.paths[index])
            self._require_size(image, index)
            yield Frame(index, None, image)

    def _require_size(self, image: Image.Image, index: int) -> None:
        height, width = self.size_hw
        if image.size != (width, height):
            raise MediaError(
                f"{os.fspath(self.paths[index])!r}, frame {index} of {self.name!r}, is "
                f"{image.width} x {image.height} pixels, expected {width} x {height}: all frames "
                "of a video must be of one size"
            )

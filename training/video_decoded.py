"""What the frozen backbone and pixel decoder make of every clip of a pool, kept in files.

The predictor learns from it, and its answers are kept in turn: `training.video_segmented`.
Mask features are kept at half their size, in cells of 4 pixels of the clip.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from regard.models.dvis_daq.model import DvisDaq
from regard.models.dvis_daq.preparation import prepare_frame
from regard.models.dvis_daq.settings import Settings
from training.video_pool import Pool

Array = np.ndarray[Any, np.dtype[Any]]

_NAMES = ("level_32", "level_16", "level_8", "features")
_SAY_CLIPS = 20


@dataclass(frozen=True)
class DecodedPool:
    """Files in float16, (clips, frames, channels, height, width) each, mapped into memory.

    Attributes:
        levels: Of the predictor, at strides 32, 16 and 8.
        features: Mask features.
    """

    levels: tuple[Array, ...]
    features: Array

    def frames(self, clips: Sequence[int], frames: Sequence[int]) -> tuple[list[Tensor], Tensor]:
        """Levels and mask features of one frame of each clip, float32."""
        places = (list(clips), list(frames))
        return [floats(level[places]) for level in self.levels], floats(self.features[places])

    def clip(self, index: int) -> tuple[list[Tensor], Tensor]:
        """Levels and mask features of all frames of a clip, float32."""
        return [floats(level[index]) for level in self.levels], floats(self.features[index])


def floats(array: Array) -> Tensor:
    """A float32 copy of what was kept."""
    return torch.from_numpy(array.astype(np.float32))


def keep(paths: Sequence[Path], count: int, one: Any, *, what: str) -> list[Array]:
    """Arrays in files, made clip by clip unless they are there already.

    Args:
        paths: A file for each array.
        count: How many clips.
        one: Gives the tensors of a clip by its number.
        what: What is done with them, for people.
    """
    if not all(path.is_file() for path in paths):
        parts = [path.with_suffix(".part") for path in paths]
        arrays: list[Array] = []
        for clip in range(count):
            tensors = one(clip)
            if not arrays:
                arrays = [
                    np.lib.format.open_memmap(
                        part, mode="w+", dtype=np.float16, shape=(count, *tensor.shape)
                    )
                    for part, tensor in zip(parts, tensors, strict=True)
                ]
            for array, tensor in zip(arrays, tensors, strict=True):
                array[clip] = tensor.half().numpy()
            if (clip + 1) % _SAY_CLIPS == 0:
                print(f"{what} {clip + 1} of {count} clips", flush=True)
        for part, path in zip(parts, paths, strict=True):
            part.replace(path)
    return [np.load(path, mmap_mode="r") for path in paths]


@torch.no_grad()
def decoded(network: DvisDaq, pool: Pool, settings: Settings, folder: Path) -> DecodedPool:
    """Of a pool; what the folder holds already is not computed again."""

    def one(clip: int) -> list[Tensor]:
        features = network.backbone(_pixels(pool.images[clip], settings))
        masks, levels = network.sem_seg_head.pixel_decoder(features)
        return [*levels, F.avg_pool2d(masks, 2)]

    paths = [folder / f"decoded_{name}.npy" for name in _NAMES]
    *levels, features = keep(paths, len(pool), one, what="decoded")
    return DecodedPool(tuple(levels), features)


def _pixels(images: Array, settings: Settings) -> Tensor:
    """Frames (frames, 3, height, width) of a clip as the network takes them."""
    frames = [Image.fromarray(image.transpose(1, 2, 0)) for image in images]
    pixels = torch.stack([prepare_frame(frame, settings)[0] for frame in frames])
    return pixels.to(memory_format=torch.channels_last)  # faster

"""What the frozen segmenter says about every clip of a pool, kept in files.

The later stages read it many times; so the segmenter runs once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from regard.models.dvis_daq.model import DvisDaq, SegmentedFrames
from regard.models.dvis_daq.predictor import FrameQueries
from regard.models.dvis_daq.preparation import normalised
from regard.models.dvis_daq.settings import Settings
from training.video_pool import Pool
from training.video_tracker import SegmentedFrame

Array = np.ndarray[Any, np.dtype[Any]]

_NAMES = ("embeds", "logits", "masks", "features")
_SAY_CLIPS = 100


@dataclass(frozen=True)
class SegmentedPool:
    """Files in float16, (clips, frames, ...) each, mapped into memory."""

    embeds: Array
    logits: Array
    masks: Array
    features: Array

    def frame(self, clips: Sequence[int], frame: int) -> SegmentedFrame:
        """One frame of several clips."""
        chosen = list(clips)
        return SegmentedFrame(
            **{name: _floats(getattr(self, name)[chosen, frame]) for name in _NAMES}
        )

    def clip(self, index: int) -> SegmentedFrames:
        """All frames of a clip, as the network gives them."""
        embeds, logits, masks, features = (_floats(getattr(self, name)[index]) for name in _NAMES)
        return SegmentedFrames(
            queries=FrameQueries(embeds=embeds, logits=logits, masks=masks),
            mask_features=features,
            level_sizes_hw=(),
        )


def _floats(array: Array) -> Tensor:
    return torch.from_numpy(array.astype(np.float32))


@torch.no_grad()
def segmented(network: DvisDaq, pool: Pool, folder: Path) -> SegmentedPool:
    """Of a pool; what the folder holds already is not computed again."""
    paths = [folder / f"segmented_{name}.npy" for name in _NAMES]
    if not all(path.is_file() for path in paths):
        parts = [path.with_suffix(".part") for path in paths]
        arrays: list[Array] = []
        for clip in range(len(pool)):
            pixels = [normalised(torch.from_numpy(f.copy()), Settings()) for f in pool.images[clip]]
            found: SegmentedFrames = network(torch.stack(pixels))
            queries = found.queries
            said = (queries.embeds, queries.logits, queries.masks, found.mask_features)
            if not arrays:
                arrays = [
                    np.lib.format.open_memmap(
                        part, mode="w+", dtype=np.float16, shape=(len(pool), *tensor.shape)
                    )
                    for part, tensor in zip(parts, said, strict=True)
                ]
            for array, tensor in zip(arrays, said, strict=True):
                array[clip] = tensor.half().numpy()
            if (clip + 1) % _SAY_CLIPS == 0:
                print(f"segmented {clip + 1} of {len(pool)} clips", flush=True)
        for part, path in zip(parts, paths, strict=True):
            part.replace(path)
    return SegmentedPool(*(np.load(path, mmap_mode="r") for path in paths))

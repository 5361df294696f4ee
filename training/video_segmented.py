"""What the frozen segmenter says about every clip of a pool, kept in files.

The later stages read it many times; so the segmenter runs once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from regard.models.dvis_daq.model import DvisDaq, SegmentedFrames
from regard.models.dvis_daq.predictor import FrameQueries
from training.video_decoded import Array, DecodedPool, floats, keep
from training.video_tracker import SegmentedFrame

_NAMES = ("embeds", "logits", "masks")


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
            embeds=floats(self.embeds[chosen, frame]),
            logits=floats(self.logits[chosen, frame]),
            masks=floats(self.masks[chosen, frame]),
            features=floats(self.features[chosen, frame]),
        )

    def clip(self, index: int) -> SegmentedFrames:
        """All frames of a clip, as the network gives them."""
        return SegmentedFrames(
            queries=FrameQueries(
                embeds=floats(self.embeds[index]),
                logits=floats(self.logits[index]),
                masks=floats(self.masks[index]),
            ),
            mask_features=floats(self.features[index]),
            level_sizes_hw=(),
        )


@torch.no_grad()
def segmented(network: DvisDaq, clips: DecodedPool, folder: Path) -> SegmentedPool:
    """Of a pool; what the folder holds already is not computed again."""

    def one(clip: int) -> list[Tensor]:
        queries: FrameQueries = network.sem_seg_head.predictor(*clips.clip(clip))
        return [queries.embeds, queries.logits, queries.masks]

    paths = [folder / f"segmented_{name}.npy" for name in _NAMES]
    embeds, logits, masks = keep(paths, len(clips.features), one, what="segmented")
    return SegmentedPool(embeds, logits, masks, clips.features)

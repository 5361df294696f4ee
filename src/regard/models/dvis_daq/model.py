"""The whole network: what an official checkpoint holds, under the names that it uses."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from regard.models.dvis_daq.pixel_decoder import PixelDecoder
from regard.models.dvis_daq.predictor import FrameQueries, Predictor
from regard.models.dvis_daq.refiner import Refiner
from regard.models.dvis_daq.tracker import Tracker


class SegmentationHead(nn.Module):
    """Pixel decoder and predictor."""

    def __init__(self, pixel_decoder: PixelDecoder, predictor: Predictor) -> None:
        super().__init__()
        self.pixel_decoder = pixel_decoder
        self.predictor = predictor


@dataclass(frozen=True, kw_only=True)
class SegmentedFrames:
    """What the network says about frames, each by itself."""

    queries: FrameQueries
    """Object queries of each frame."""
    mask_features: Tensor
    """(frames, channels, height, width) at stride 4."""
    level_sizes_hw: tuple[tuple[int, int], ...]
    """Height and width of the levels that the predictor looked at, in its order."""


class DvisDaq(nn.Module):
    """Network of a DVIS-DAQ model; `regard.models.dvis_daq.inference` runs it over a video.

    Attributes:
        backbone: (frames, 3, height, width) to features at strides 4, 8, 16 and 32.
        sem_seg_head: Features to object queries of each frame.
        tracker: Object queries to tracks.
        refiner: Tracks, over the whole video; ``None`` in online models.
    """

    def __init__(
        self,
        backbone: nn.Module,
        sem_seg_head: SegmentationHead,
        tracker: Tracker,
        refiner: Refiner | None,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.sem_seg_head = sem_seg_head
        self.tracker = tracker
        self.refiner = refiner

    @property
    def learned_queries(self) -> Tensor:
        """What the predictor's queries start from, (queries, channels)."""
        return self.sem_seg_head.predictor.query_feat.weight

    def forward(self, pixels: Tensor) -> SegmentedFrames:
        """Frames, each by itself: (frames, 3, height, width), normalised and padded."""
        features: Sequence[Tensor] = self.backbone(pixels)
        mask_features, levels = self.sem_seg_head.pixel_decoder(features)
        return SegmentedFrames(
            queries=self.sem_seg_head.predictor(levels, mask_features),
            mask_features=mask_features,
            level_sizes_hw=tuple((level.shape[2], level.shape[3]) for level in levels),
        )

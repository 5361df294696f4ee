"""What the model says about a video: rows, detections, masks."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from regard.closing import Closing
from regard.models.dvis_daq.frame_store import FrameStore
from regard.models.dvis_daq.refiner import Refined
from regard.models.dvis_daq.tracks import Track, TrackedFrame

_PIXELS_AT_ONCE = 2**24
"""Masks are resized a few at a time: all of a frame can take gigabytes."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One candidate for the result: an instance over the whole video."""

    track: Track | None
    """The track that it is; ``None`` for a chain of frame queries linked by similarity alone,
    with which offline models fill up their rows."""
    chain: tuple[int, ...] | None
    """Frame query in each frame, of such a chain."""
    logits: Tensor
    """Class logits, (classes + 1,)."""

    def lives_in(self, frame: int) -> bool:
        """Whether it has an observation in this frame."""
        return self.track is None or self.track.start <= frame < self.track.end


@dataclass(frozen=True, kw_only=True)
class Detection:
    """An instance with one of its classes; a row can be found under several."""

    row: int
    """Index of the row."""
    label: int
    """Class, from 0."""
    score: float
    """Probability of the class."""


@dataclass(eq=False)
class VideoOutput(Closing):
    """What the model says about a video; `masks` are computed when they are asked for.

    Use it in a ``with`` or call `close`: it may hold a temporary file.
    """

    detections: list[Detection]
    """Best first."""
    rows: list[Row]
    """What the detections point to."""
    tracked: list[TrackedFrame] = field(repr=False)
    """For each frame, which query of the tracker was which track."""
    windows: list[range] = field(repr=False)
    """Frames of each window."""
    level_sizes_hw: tuple[tuple[int, int], ...]
    """Height and width of the levels that the predictor looked at, in its order."""
    refined: Refined | None = field(repr=False)
    """Of the refiner; ``None`` for online models."""
    _masks: Callable[[int, list[int]], Tensor] = field(repr=False)
    _store: FrameStore = field(repr=False)

    @property
    def frames(self) -> int:
        """Frames of the video."""
        return len(self.tracked)

    def mask_logits(self, frame: int, rows: Iterable[int]) -> Tensor:
        """Mask logits of some rows at stride 4 of the padded input, (rows, height, width).

        They are on the device of the model.
        """
        return self._masks(frame, list(rows))

    def masks(
        self,
        frame: int,
        rows: Iterable[int],
        *,
        padded_hw: tuple[int, int],
        content_hw: tuple[int, int],
        size_hw: tuple[int, int],
    ) -> Tensor:
        """Masks of some rows in one frame: bool (rows, height, width) of the original frame.

        They are made where the model is, and given on the CPU.

        Args:
            frame: Index of the frame.
            rows: Indices of rows.
            padded_hw: Size of the model's input.
            content_hw: Size of the frame in it, at the top left.
            size_hw: Size of the original frame.
        """
        logits = self.mask_logits(frame, rows)
        masks = torch.empty(len(logits), *size_hw, dtype=torch.bool)
        if not len(logits):
            return masks
        at_once = max(1, _PIXELS_AT_ONCE // max(math.prod(padded_hw), math.prod(size_hw)))
        for some, place in zip(logits.split(at_once), masks.split(at_once), strict=True):
            grown = F.interpolate(some[None], size=padded_hw, mode="bilinear", align_corners=False)
            content = grown[..., : content_hw[0], : content_hw[1]]
            found = F.interpolate(content, size=size_hw, mode="bilinear", align_corners=False)
            place.copy_(found[0] > 0)
        return masks

    def close(self) -> None:
        """Delete the temporary file; masks cannot be computed afterwards."""
        self._store.close()


def best_detections(rows: list[Row], count: int) -> list[Detection]:
    """The best pairs of row and class."""
    if not rows:
        return []
    scores = torch.stack([row.logits for row in rows]).softmax(-1)[:, :-1]
    classes = scores.shape[1]
    best = scores.flatten().topk(min(count, scores.numel()))
    return [
        Detection(row=index // classes, label=index % classes, score=score)
        for score, index in zip(best.values.tolist(), best.indices.tolist(), strict=True)
    ]

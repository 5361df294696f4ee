"""Who lived when in a video: what the chain from an instance to pixels goes by."""

from dataclasses import dataclass, field
from typing import Literal, Protocol

from torch import Tensor

from regard.attention import Attention
from regard.geometry import ViewTransform
from regard.models.dvis_daq.output import Row, VideoOutput
from regard.models.dvis_daq.tracks import TrackedFrame

Keep = Literal["predicted", "all", "maps"]
"""What is kept of a run.

"predicted": the rows of the predicted instances in tracker and refiner, and the chosen layers of
    the predictor whole, as an instance is a mixture of all frame queries. Everything can be
    looked at afterwards: heads, layers, masked and unmasked.
"all": every attention call of the network, backbone included.
"maps": for each track and frame one map over the cells of the chosen layers, made while the model
    runs and kept on disk: mean of heads, masked, by the last tracker layer. Memory does not grow.
"""


@dataclass(frozen=True, kw_only=True)
class RowStory:
    """One instance over the whole video."""

    track_id: int | None
    """The track that it is; ``None`` for a chain of object queries linked by similarity alone."""
    life: range
    """Frames in which it has an observation."""
    chain: tuple[int, ...] | None = None
    """Object query in each frame, of such a chain."""

    @classmethod
    def of(cls, row: Row, frames: int) -> "RowStory":
        """Of a row of a model's output over so many frames."""
        if row.track is None:
            return cls(track_id=None, life=range(frames), chain=row.chain)
        return cls(track_id=row.track.id, life=range(row.track.start, row.track.end))


@dataclass(frozen=True, eq=False, kw_only=True)
class VideoStory:
    """What is known of a run over a video besides the attention itself."""

    rows: tuple[RowStory, ...]
    """What detections point to."""
    tracked: tuple[TrackedFrame, ...] = field(repr=False)
    """For each frame, which query of the tracker was which track."""
    windows: tuple[range, ...] = field(repr=False)
    """Frames of each window."""
    view: ViewTransform | None
    """Where the input's pixels lie on a frame; ``None`` where nobody noted it."""
    object_queries: int
    """Object queries of a frame."""
    channels: int = 0
    """Channels of a query; 0 where nobody noted it."""
    candidates: int
    """Candidates for new tracks in each frame but the first."""
    tracker_layers: int
    """Layers of the tracker."""
    refiner_layers: int
    """Layers of the refiner; 0 for online models."""
    layers: tuple[int, ...]
    """Layers of the predictor that were kept."""
    keep: Keep
    """What was kept."""
    frame_weights: Tensor | None = field(default=None, repr=False)
    """Share of each frame in each row's class, (rows, frames); of offline models."""
    contributions: Tensor | None = field(default=None, repr=False)
    """What each frame adds to each class logit, (rows, frames, classes + 1)."""

    @property
    def frame_count(self) -> int:
        """Frames of the video that were run."""
        return len(self.tracked)

    def window_of(self, frame: int) -> range:
        """The window that a frame was run in."""
        return next(window for window in self.windows if frame in window)


class Calls(Protocol):
    """The kept calls, in memory or on disk."""

    def find(self, stem: str, place: int, layer: int) -> Attention | None:
        """The call of one layer at one place; ``None`` if it was not kept.

        Args:
            stem: Path of the layers, such as ``PREDICTOR``.
            place: First frame of the window (predictor), the frame (tracker), or the row
                (attention over time, kept row by row).
            layer: Index of the layer; -1 where layers have no number.
        """

    def maps(self, frame: int) -> Tensor | None:
        """Finished maps of the tracks that live after a frame, (tracks, cells of all layers)."""


def story_rows(output: VideoOutput) -> tuple[RowStory, ...]:
    """The rows of a model's output."""
    return tuple(RowStory.of(row, output.frames) for row in output.rows)

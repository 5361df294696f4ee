"""One video of a run: what was found in it, and everything that was kept of where the model looked.

Nothing is read before it is asked for, and no more than a few windows of frames are held.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor

from regard.datasets.rle import Mask, decode_mask
from regard.errors import CaptureError, MediaError, SelectionError
from regard.geometry import ViewTransform
from regard.media.frame_files import FrameFiles
from regard.media.frames import Frame, FrameRange, Video
from regard.media.prefetch import prefetched
from regard.media.video import open_video
from regard.models.dvis_daq.story import VideoStory
from regard.models.dvis_daq.track_attention import (
    FrameImportance,
    Mixing,
    TrackAttention,
    TrackerKind,
)
from regard.tokens.spread import Between

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, eq=False, kw_only=True)
class RecordedInstance:
    """Something that was found: a row of the result with one of its classes."""

    row: int
    """Index of the row; a row can be found under several classes."""
    score: float
    """Probability of the class."""
    category_id: int
    """Class, as the dataset numbers it."""
    category: str
    """Its name."""
    label: int
    """Class, as the model numbers it, from 0; a place in `FrameImportance.contributions`."""
    track_id: int | None
    """Its track; ``None`` for a chain of object queries linked by similarity alone."""
    life: range
    """Frames in which it has an observation."""
    rles: tuple[dict[str, Any] | None, ...] = field(repr=False)
    """Its mask in each frame as COCO's run lengths; ``None`` where it is empty."""
    size_hw: tuple[int, int]
    """Height and width of the frames."""

    def masks(self, frame: int) -> Mask:
        """Its mask in a frame: bool (height, width) of the original frame."""
        if not 0 <= frame < len(self.rles):
            raise SelectionError(
                f"frame {frame} does not exist; there are {len(self.rles)} "
                f"(0..{len(self.rles) - 1})"
            )
        stored = self.rles[frame]
        if stored is None:
            return torch.zeros(self.size_hw, dtype=torch.bool).numpy()
        return decode_mask(stored, self.size_hw)


@dataclass(frozen=True, eq=False, kw_only=True)
class VideoContent:
    """What a reader of some format found about a video."""

    attention: TrackAttention
    """The kept calls, and who lived when."""
    instances: tuple[RecordedInstance, ...]
    """Best first."""
    size_hw: tuple[int, int]
    """Height and width of the original frames."""
    frame_indices: tuple[int, ...]
    """Place in the video of each frame that was run."""
    frame_seconds: tuple[float | None, ...]
    """Time of each frame that was run, where it is known."""
    frame_names: tuple[str, ...] | None
    """Names of the files that the frames are; ``None`` for video files."""
    frames_per_second: float | None
    """Rate of the video, where it states one."""
    source: Path | None
    """The video file, or the folder that ``frame_names`` begin in; ``None`` if nobody noted it."""


class RecordedVideo:
    """A video of a run. Frames are counted among those that were run.

    Args:
        id: Name of the video in its run.
        load: Reads what there is; called when something is first asked for.
    """

    def __init__(self, id: str, load: Callable[[], VideoContent]) -> None:  # noqa: A002
        self.id = id
        self._load = load

    def __repr__(self) -> str:
        return f"<RecordedVideo {self.id!r}>"

    @cached_property
    def _content(self) -> VideoContent:
        return self._load()

    @property
    def attention(self) -> TrackAttention:
        """The algebra below all methods here, with every option."""
        return self._content.attention

    @property
    def story(self) -> VideoStory:
        """Who lived when: rows, tracks, windows."""
        return self.attention.story

    @property
    def frame_count(self) -> int:
        """Frames that were run."""
        return self.story.frame_count

    @property
    def frame_indices(self) -> tuple[int, ...]:
        """Place in the source of each frame that was run."""
        return self._content.frame_indices

    @property
    def frame_seconds(self) -> tuple[float | None, ...]:
        """Time of each frame from the start of the source; ``None`` where it is not known."""
        return self._content.frame_seconds

    @property
    def frame_names(self) -> tuple[str, ...] | None:
        """Name of the file of each frame that was run; ``None`` for video files."""
        return self._content.frame_names

    @property
    def frames_per_second(self) -> float | None:
        """Rate of the frames that were run; ``None`` where the source states none."""
        return self._content.frames_per_second

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width of the original frames."""
        return self._content.size_hw

    @property
    def view(self) -> ViewTransform | None:
        """Where the model's pixels lie on a frame; ``None`` where the run does not say it."""
        return self.story.view

    @property
    def instances(self) -> tuple[RecordedInstance, ...]:
        """What was found, best first."""
        return self._content.instances

    def instance(self, index: int) -> RecordedInstance:
        """One of `instances`.

        Raises:
            SelectionError: There are fewer.
        """
        if not 0 <= index < len(self.instances):
            raise SelectionError(
                f"instance {index} does not exist; {len(self.instances)} were found in video "
                f"{self.id!r}"
            )
        return self.instances[index]

    def frames(self, images: str | os.PathLike[str] | None = None) -> Iterator[Frame]:
        """The frames that were run, read once more from their source, in order.

        Args:
            images: Where the source is now: the video file, or the folder that the frames' names
                begin in; by default where it was when the run was made.

        Raises:
            MediaError: The source is not there any more, or is another one.
        """
        content = self._content
        source = content.source if images is None else Path(images)
        if source is None or not source.exists():
            raise MediaError(
                f"the frames of video {self.id!r} are not at "
                f"{'a known place' if source is None else repr(str(source))}; say where they are "
                "(images=..., --images)"
            )
        yield from self._checked_frames(prefetched(self._chosen(self._video(source))))

    def _video(self, source: Path) -> Video:
        names = self._content.frame_names
        if names is None:
            return open_video(source)
        return FrameFiles(self.id, [source / name for name in names], size_hw=self.size_hw)

    def _chosen(self, video: Video) -> Iterator[Frame]:
        """The frames of the run; those of files are in their places already."""
        indices = self._content.frame_indices
        if self._content.frame_names is not None:
            for index, frame in zip(indices, video.frames(), strict=True):
                yield Frame(index, frame.seconds, frame.image)
            return
        step = indices[1] - indices[0] if len(indices) > 1 else 1
        yield from video.frames(FrameRange(indices[0], indices[-1] + 1, step))

    def _checked_frames(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        height, width = self.size_hw
        for frame in frames:
            if frame.image.size != (width, height):
                raise MediaError(
                    f"frame {frame.index} of video {self.id!r} is {frame.image.width} x "
                    f"{frame.image.height} pixels, but {width} x {height} when it was run: this "
                    "is another video"
                )
            yield frame

    def importance(self, row: int) -> FrameImportance:
        """How much each frame counts for the class of an instance; offline models only.

        Returns:
            ``weights`` (frames,), ``contributions`` (frames, classes + 1) or None, ``alive``
            (frames,).
        """
        return self._ask(self.attention.importance, row)

    @property
    def weighs_frames(self) -> bool:
        """Whether it is known how much each frame counts: that of an offline model is."""
        return self.story.frame_weights is not None

    @property
    def refiner_layers(self) -> tuple[int, ...]:
        """Layers of the refiner; none for online models."""
        return tuple(range(self.story.refiner_layers))

    def temporal(self, layer: int, row: int, head: int | None = None) -> Tensor:
        """Attention of the refiner from frame to frame for one instance, (frames, frames)."""
        return self._ask(self.attention.time_weights, row, layer, head)

    @property
    def tracker_layers(self) -> tuple[int, ...]:
        """Layers of the tracker."""
        return tuple(range(self.story.tracker_layers))

    def tracker(
        self,
        layer: int,
        row: int,
        frame: int,
        head: int | None = None,
        *,
        kind: TrackerKind = "cross",
    ) -> Tensor | None:
        """What an instance's query of the tracker looks at in a frame.

        Args:
            layer: Layer of the tracker; -1 is the last.
            row: Index of the instance's row.
            frame: Index of the frame.
            head: A head of the layer; None for the mean of all.
            kind: "cross" to the frame's object queries, "self" among the tracker's queries,
                "slot" of the track's slot to the object queries.

        Returns:
            (keys,), 1 in sum; None where the instance is no track or does not live.
        """
        ask = self.attention.tracker_weights
        return self._ask(ask, row, frame, layer, kind=kind, head=head)

    def tracker_names(self, frame: int) -> tuple[str, ...]:
        """What the tracker's queries of a frame are: "track 3", "candidate 0"."""
        return self._ask(self.attention.tracker_names, frame)

    def query_of(self, row: int, frame: int) -> int | None:
        """Index of an instance among the tracker's queries of a frame; ``None`` if it has none."""
        return self._ask(self.attention.query_of, row, frame)

    @property
    def decoder_layers(self) -> tuple[int, ...]:
        """Layers of the predictor that were kept."""
        return self.attention.layers

    def level_hw(self, layer: int) -> tuple[int, int]:
        """Rows and columns of the cells that a layer of the predictor looks at."""
        return self._ask(self.attention.layout, layer).grid_hw

    def decoder(
        self, layer: int, frame: int, masked: bool = True, head: int | None = None
    ) -> Tensor:
        """What every object query of a frame looks at, (queries, rows, columns), 1 in sum each.

        Args:
            layer: Layer of the predictor, one of `decoder_layers`.
            frame: Index of the frame.
            masked: False for the same queries and keys with every mask left open.
            head: A head of the layer; None for the mean of all.
        """
        weights = self._ask(self.attention.decoder_weights, layer, frame, masked=masked, head=head)
        return weights.reshape(len(weights), *self.level_hw(layer))

    def heat(
        self,
        row: int,
        frame: int,
        layers: Iterable[int] | None = None,
        mixing: Mixing = "weighted",
        masked: bool = True,
        temporal: bool = False,
        size_hw: tuple[int, int] | None = None,
        between: Between = "linear",
        **options: Any,
    ) -> Tensor | None:
        """Weight of each pixel of the original frame, (height, width) float32.

        Args:
            row: Index of the instance's row.
            frame: Index of the frame.
            layers: Layers of the predictor to average over; by default all that were kept.
            mixing: See `Mixing`.
            masked: False for every mask left open.
            temporal: Whether it is multiplied by how much the frame counts for the class.
            size_hw: Size of the map; by default that of the frame.
            between: "linear", or exactly on each cell ("cells").
            options: ``tracker_layer``, ``head`` of the tracker, ``decoder_head``.

        Returns:
            None where the instance does not live in the frame.
        """
        if mixing != "weighted":
            options["mixing"] = mixing
        return self._ask(
            self.attention.heat,
            row,
            frame,
            layers=layers,
            masked=masked,
            temporal=temporal,
            size_hw=size_hw,
            between=between,
            **options,
        )

    def _ask(self, what: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
        """What is asked for; that something was not kept is a choice that does not exist."""
        try:
            return what(*arguments, **options)
        except CaptureError as error:
            raise SelectionError(f"video {self.id!r}: {error}") from error

"""What a figure is about: an instance that was found in a video, or an object query."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from regard.datasets.rle import Mask
from regard.errors import CaptureError, RegardError, SelectionError
from regard.runs import RecordedInstance, RecordedVideo, Run
from regard.runs.choice import Choice


@dataclass(frozen=True, eq=False)
class Subject:
    """Something in a video whose attention is shown."""

    video: RecordedVideo
    name: str
    """In file names, such as "instance_0"."""
    words: str
    """For people, such as "fish, score 0.97"."""
    life: range
    """Frames in which there is attention to show."""
    instance: RecordedInstance | None = None
    """The instance, if it is one."""
    query: int | None = None
    """The object query, if it is one."""
    options: dict[str, Any] = field(default_factory=dict)
    """How attention is put together: ``mixing``, ``masked``, ``decoder_head``, ``head``,
    ``tracker_layer``; see `TrackAttention.cell_weights`."""

    def choices(self) -> dict[str, Any]:
        """What sets its attention apart, as numbers and words."""
        return {"subject": self.name, **self.options}

    @property
    def frame_names(self) -> list[str]:
        """Place in the source of each frame that was run, as words."""
        return [str(index) for index in self.video.frame_indices]

    def cell_weights(self, frame: int, layer: int) -> Tensor | None:
        """Weight of each cell of a layer's feature level, (cells,); None outside of its life.

        Raises:
            SelectionError: The run does not hold what is asked for.
        """
        attention = self.video.attention
        try:
            if self.instance is not None:
                return attention.cell_weights(self.instance.row, frame, layer, **self.options)
            masked, head = self.options.get("masked", True), self.options.get("decoder_head")
            weights = attention.decoder_weights(layer, frame, masked=masked, head=head)
            return weights[self.query]
        except CaptureError as error:
            raise SelectionError(f"video {self.video.id!r}: {error}") from error

    def mask(self, frame: int) -> Mask | None:
        """Where the instance is in a frame; None if there is no such place."""
        if self.instance is None or self.instance.rles[frame] is None:
            return None
        return self.instance.masks(frame)

    def frame_weights(self) -> Tensor:
        """How much each frame counts for its class, (frames,); of offline models.

        Raises:
            SelectionError: The model weighs no frames, or this is an object query.
        """
        if self.instance is None:
            raise SelectionError(
                f"{self.name.replace('_', ' ')} has no weights of frames; instances have them"
            )
        return self.video.importance(self.instance.row).weights

    def require_life(self) -> range:
        """Frames in which there is attention to show.

        Raises:
            SelectionError: There is none.
        """
        if not self.life:
            raise SelectionError(
                f"{self.name} of video {self.video.id!r} ({self.words}) has no attention to show: "
                "it was linked by similarity, and this run does not say by which object queries; "
                "record the videos again with regard run, or choose a track"
            )
        return self.life

    def alive(self) -> Tensor:
        """Whether there is attention to show, bool (frames,)."""
        return torch.tensor([frame in self.life for frame in range(self.video.frame_count)])


def choose(
    video: RecordedVideo,
    *,
    instances: Iterable[int] = (),
    category: str | None = None,
    track: int | None = None,
    query: int | None = None,
    **options: Any,
) -> list[Subject]:
    """What of a video is shown; the best instance where nothing is said.

    Args:
        video: Of a run.
        instances: Places in the list of instances, 0 is the best.
        category: Every instance of a class, by name or by number.
        track: The instance that is this track, under its best class.
        query: An object query, the same one in every frame.
        options: See `Subject.options`.

    Raises:
        SelectionError: More than one way of choosing, or nothing that fits.
    """
    instances = tuple(instances)
    asked = [bool(instances), category is not None, track is not None, query is not None]
    if sum(asked) > 1:
        raise SelectionError("choose by instance, class, track or query, not by several of them")
    if query is not None:
        return [_of_query(video, query, options)]
    wanted = Choice(
        best=None if category is not None else 1,
        places=instances,
        category=category,
        track=track,
    )
    wanted.check([video])
    found = [place for place, _ in wanted.of(video)]
    if not found:
        raise SelectionError(f"nothing was found in video {video.id!r}")
    return [_of_instance(video, place, options) for place in found]


OnFailure = Callable[[RegardError], object]
"""What is done about something that cannot be shown."""


def raised(error: RegardError) -> None:
    """Do not go on."""
    raise error


def subjects(
    run: Run, videos: Sequence[str], chosen: Mapping[str, Any], on_failure: OnFailure = raised
) -> Iterator[Subject]:
    """What is chosen of the videos of a run, one after the other.

    Args:
        run: See `open_run`.
        videos: Which ones; all by default.
        chosen: Keywords of `choose`.
        on_failure: Called for videos that do not hold what is chosen.
    """
    for name in videos or run.videos:
        try:
            found = choose(run.video(name), **chosen)
        except SelectionError as error:
            on_failure(error)
            continue
        yield from found


def _of_instance(video: RecordedVideo, place: int, options: dict[str, Any]) -> Subject:
    one = video.instance(place)
    return Subject(
        video,
        f"instance_{place}",
        f"{one.category}, score {one.score:.2f}",
        one.life,
        instance=one,
        options=options,
    )


def _of_query(video: RecordedVideo, query: int, options: dict[str, Any]) -> Subject:
    count = video.story.object_queries
    if not 0 <= query < count:
        raise SelectionError(f"object query {query} does not exist; there are {count}")
    every = range(video.frame_count)
    return Subject(
        video, f"query_{query}", f"object query {query}", every, query=query, options=options
    )

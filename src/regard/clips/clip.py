"""A clip, what a model found in it, and where it looked: `regard.video`."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from regard.closing import Closing
from regard.errors import DeviceError, MediaError, SelectionError
from regard.media.frames import Frame, FrameRange, Video
from regard.media.prefetch import prefetched
from regard.media.video import open_video
from regard.models.dvis_daq.model import DvisDaq
from regard.models.dvis_daq.observe import Sink
from regard.models.dvis_daq.output import Detection
from regard.models.dvis_daq.preparation import prepare_frame
from regard.models.dvis_daq.pretrained import Pretrained, pretrained
from regard.models.dvis_daq.record_video import checked_layers, record_video
from regard.models.dvis_daq.recorded_bytes import recorded_bytes
from regard.models.dvis_daq.settings import Settings
from regard.models.dvis_daq.story import Keep
from regard.models.dvis_daq.video_attention import VideoAttention

_PREPARED_AHEAD = 4  # a frame takes tens of megabytes


@dataclass(eq=False, kw_only=True)
class ClipAttention(Closing):
    """What a model found in a clip and where it looked.

    Frames are counted among those that were run: ``frame_indices[i]`` is the place of frame *i*
    in the video. Use it in a ``with``, or `close` it: it may hold temporary files.
    """

    video: Video
    """The clip; pictures read their frames from it once more."""
    wanted: FrameRange
    """Which frames were run."""
    frame_indices: list[int] = field(repr=False)
    """Place in the video of each frame that was run."""
    frame_seconds: list[float | None] = field(repr=False)
    """Time of each frame that was run."""
    attention: VideoAttention = field(repr=False)
    """Everything that was recorded; see `VideoAttention`."""
    settings: Settings = field(repr=False)
    """How it was run."""
    class_names: tuple[str, ...]
    """Names of the classes, where they are known."""
    model_name: str
    """Name of the checkpoint; empty for a network that was given."""

    @property
    def instances(self) -> list[Detection]:
        """What was found, best first; a row can be there under several classes."""
        return self.attention.output.detections

    def class_name(self, label: int) -> str:
        """Name of a class, or its number where it has no name."""
        known = label < len(self.class_names)
        return self.class_names[label] if known else f"class {label}"

    def instance(self, index: int) -> Detection:
        """One of `instances`.

        Raises:
            SelectionError: There are fewer.
        """
        if not 0 <= index < len(self.instances):
            raise SelectionError(
                f"instance {index} does not exist; {len(self.instances)} were found "
                f"in {self.video.name!r}"
            )
        return self.instances[index]

    def frames_of(self, index: int) -> range:
        """Frames of an instance's life."""
        track = self.attention.output.rows[self.instance(index).row].track
        return range(len(self.frame_indices)) if track is None else range(track.start, track.end)

    def masks(self, frame: int, rows: Sequence[int]) -> Tensor:
        """Masks of some rows in one frame: bool (rows, height, width) of the original frame."""
        view = self.attention.view
        _, _, right, bottom = view.content_box_xyxy
        return self.attention.output.masks(
            frame,
            rows,
            padded_hw=view.input_hw,
            content_hw=(round(bottom), round(right)),
            size_hw=view.original_hw,
        )

    def images(self) -> Iterator[Frame]:
        """The frames that were run, read once more; at most a few are held at a time."""
        return prefetched(self.video.frames(self.wanted))

    def save(
        self,
        folder: str | os.PathLike[str],
        *,
        instances: int = 3,
        cmap: str = "inferno",
        **options: Any,
    ) -> list[Path]:
        """Write a run with this one video, and draw it; the paths of what was written.

        Args:
            folder: Where to; it is made. Clips run in the same way can share it.
            instances: How many of the best instances get pictures.
            cmap: A matplotlib colour map.
            options: As for `RecordedVideo.heat`, such as ``layers`` or ``mixing``.

        Raises:
            RunError: The folder cannot be written to, or holds another run.
        """
        from regard.clips.files import save  # it reads the run again, as everybody does

        return list(save(self, folder, instances=instances, cmap=cmap, **options))

    def close(self) -> None:
        """Delete temporary files; masks cannot be computed afterwards."""
        self.attention.close()


def video(
    source: str | os.PathLike[str] | Video,
    *,
    model: str | os.PathLike[str] | Pretrained | DvisDaq,
    settings: Settings | None = None,
    frames: FrameRange | str = ":",
    keep: Keep = "predicted",
    layers: Sequence[int] | None = None,
    class_names: Sequence[str] | None = None,
    online: bool | None = None,
    device: str = "cpu",
    notify: Callable[[str], None] | None = None,
    on_frame: Callable[[int], None] | None = None,
) -> ClipAttention:
    """What a DVIS-DAQ model finds in a video, and where it looks.

    Args:
        source: A video file, a folder of frames, or an opened video.
        model: ``"mini-dvis-daq"``, which is shipped; an official checkpoint file; a folder as
            `pretrained` reads it; or what is loaded already.
        settings: Thresholds, sizes, windows; by default those that the model brings, or those of
            the official OVIS models. `Settings.from_yaml` reads upstream's files.
        frames: Which frames, such as "0:100" or "::5".
        keep: "predicted" keeps what the instances of the result looked with; "all" every
            attention call; "maps" one finished map for each track and frame, in constant memory.
        layers: Layers of the predictor whose attention is kept; by default the last three, one
            for each feature level.
        class_names: Names of the model's classes, in their order; by default those that it brings.
        online: True leaves out the refiner, False demands one; for a name, folder or file.
        device: Where the model runs.
        notify: Called with a line for people before the run.
        on_frame: Called with the number of frames that have been read.

    Raises:
        MediaError: The video cannot be read, or ends early.
        CheckpointError, ModelNotFound: The model cannot be loaded.
        SelectionError: Frames, layers or a way of keeping that do not exist.
    """
    wanted = FrameRange.parse(frames) if isinstance(frames, str) else frames
    clip = open_video(source) if isinstance(source, (str, os.PathLike)) else source
    loaded = _loaded(model, online)
    return look_at(
        clip,
        loaded.network,
        settings or loaded.settings,
        wanted,
        keep=keep,
        layers=layers,
        class_names=loaded.class_names if class_names is None else class_names,
        model_name=_name(model),
        device=device,
        notify=notify,
        on_frame=on_frame,
    )


def look_at(
    clip: Video,
    network: DvisDaq,
    settings: Settings,
    wanted: FrameRange,
    *,
    keep: Keep,
    layers: Sequence[int] | None,
    class_names: Sequence[str] = (),
    model_name: str = "",
    device: str = "cpu",
    notify: Callable[[str], None] | None = None,
    on_frame: Callable[[int], None] | None = None,
    sink: Sink | None = None,
) -> ClipAttention:
    """As `video`, with everything opened.

    ``sink`` takes the calls of each window as soon as they are complete; they are not held in
    memory then. See `record_video`.
    """
    move(network, device)
    _, view = prepare_frame(_first(clip, wanted).image, settings)
    indices: list[int] = []
    seconds: list[float | None] = []

    def pixels() -> Iterator[Tensor]:
        for frame, prepared in prepared_frames(clip.frames(wanted), settings):
            indices.append(frame.index)
            seconds.append(frame.seconds)
            if on_frame is not None:
                on_frame(len(indices))
            yield prepared

    if notify is not None:
        count = None if clip.frame_count is None else wanted.count(clip.frame_count)
        frames, chosen = count or settings.window, checked_layers(network, keep, layers)
        size = recorded_bytes(network, view, settings, keep, chosen, frames)
        notify(_told(clip.name, count, size / frames, keep))
    attention = record_video(network, pixels(), settings, view, keep=keep, layers=layers, sink=sink)
    return ClipAttention(
        video=clip,
        wanted=wanted,
        frame_indices=indices,
        frame_seconds=seconds,
        attention=attention,
        settings=settings,
        class_names=tuple(class_names),
        model_name=model_name,
    )


def prepared_frames(frames: Iterable[Frame], settings: Settings) -> Iterator[tuple[Frame, Tensor]]:
    """Each frame, and how the model takes it; read and prepared on a thread, a few ahead."""
    prepared = ((frame, prepare_frame(frame.image, settings)[0]) for frame in frames)
    return prefetched(prepared, ahead=_PREPARED_AHEAD)


def _loaded(
    model: str | os.PathLike[str] | Pretrained | DvisDaq, online: bool | None
) -> Pretrained:
    if isinstance(model, (str, os.PathLike)):
        return pretrained(model, online=online)
    if online is not None:
        raise SelectionError(
            "online is for a model's name, folder or file; this one is loaded already: "
            "pretrained(..., online=...) makes the choice"
        )
    return model if isinstance(model, Pretrained) else Pretrained(network=model)


def _name(model: str | os.PathLike[str] | Pretrained | DvisDaq) -> str:
    return Path(model).name if isinstance(model, (str, os.PathLike)) else ""


def _told(name: str, count: int | None, bytes_a_frame: float, keep: Keep) -> str:
    """What the run will keep, for people."""
    where = "on disk" if keep == "maps" else "in memory"
    total = (
        "" if count is None else f", {count * bytes_a_frame / 2**20:,.0f} MiB for {count} frames"
    )
    return f"{name}: keeping about {bytes_a_frame / 2**20:.2g} MiB a frame {where}{total}"


def _first(clip: Video, wanted: FrameRange) -> Frame:
    """The first wanted frame; only its size is needed."""
    first = next(clip.frames(FrameRange(0, 1)), None)
    if first is None or (clip.frame_count is not None and not wanted.count(clip.frame_count)):
        raise MediaError(
            f"{clip.name!r} has {clip.frame_count or 0} frames, and none of them is in {wanted}"
        )
    return first


def move(network: DvisDaq, device: str) -> None:
    """Bring a network to a device.

    Raises:
        DeviceError: There is none of this name here.
    """
    try:
        there = torch.empty(0, device=device).device
        if any(tensor.device != there for tensor in network.parameters()):
            network.to(device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise DeviceError(f"cannot use device {device!r} here ({reason}); try cpu") from error

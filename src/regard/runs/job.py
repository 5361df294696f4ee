"""What is run over every video of a run, and one video run: its calls stream to the disk."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from regard.clips.clip import ClipAttention, look_at
from regard.datasets.rle import encode_mask
from regard.media.frame_files import FrameFiles
from regard.media.frames import EVERY_FRAME, FrameRange, Video
from regard.models.dvis_daq.model import DvisDaq
from regard.models.dvis_daq.preparation import view_of
from regard.models.dvis_daq.record_video import checked_layers
from regard.models.dvis_daq.recorded_bytes import recorded_bytes
from regard.models.dvis_daq.settings import Settings
from regard.models.dvis_daq.story import Keep
from regard.runs.about import About, relative_source, weights_sha256
from regard.runs.folder import write_sealed
from regard.runs.journal import Unit
from regard.runs.parts import PartWriter, add_recording
from regard.runs.reader import unit_name, video_stem
from regard.runs.video_file import Rle, VideoFileContent, pack_video


@dataclass(frozen=True, eq=False)
class Source:
    """A video to run."""

    name: str
    """What it is called in the run."""
    open: Callable[[], Video] = field(repr=False)
    """Opens it; raises what is wrong with it."""
    path: Path
    """The video file, or the folder that the names of frame files begin in."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Job:
    """What is run over every video."""

    network: DvisDaq = field(repr=False)
    settings: Settings
    wanted: FrameRange = EVERY_FRAME
    keep: Keep = "predicted"
    layers: Sequence[int] | None = None
    device: str = "cpu"

    @property
    def kept_layers(self) -> tuple[int, ...]:
        """Layers of the predictor that are kept, in order.

        Raises:
            SelectionError: A layer or a way of keeping that does not exist.
        """
        return checked_layers(self.network, self.keep, self.layers)

    def about(
        self,
        model: str,
        categories: Sequence[tuple[int, str]],
        sources: Sequence[Source],
        run: Path,
    ) -> About:
        """How a run of this job over some videos is made.

        Args:
            model: Name of the checkpoint.
            categories: (id, name) of each class, in the model's order.
            sources: The videos.
            run: Folder of the run.
        """
        return About(
            model=model,
            model_sha256=weights_sha256(self.network),
            settings=self.settings,
            keep=self.keep,
            layers=self.kept_layers,
            frames=str(self.wanted),
            categories=tuple(categories),
            videos=tuple((source.name, relative_source(source.path, run)) for source in sources),
        )

    def bytes_of(self, video: Video) -> int:
        """About what a video will take on the disk; a video that does not say its length: 0."""
        if video.frame_count is None:
            return 0
        return recorded_bytes(
            self.network,
            view_of(video.size_hw, self.settings),
            self.settings,
            self.keep,
            self.kept_layers,
            self.wanted.count(video.frame_count),
        )

    def run(self, run: Path, source: Source, on_frame: Callable[[int], None] | None = None) -> Unit:
        """Run a video and write what is kept of it into a run.

        Args:
            run: Folder of the run.
            source: The video.
            on_frame: Called with the number of frames that have been read.

        Returns:
            The unit of work, for the journal: until it stands there the video is not done.

        Raises:
            RunError: The run cannot be written to.
            RegardError: Something is wrong with the video.
        """
        with (
            part_writer(run, source.name) as parts,
            look_at(
                source.open(),
                self.network,
                self.settings,
                self.wanted,
                keep=self.keep,
                layers=self.layers,
                device=self.device,
                on_frame=on_frame,
                sink=parts.add,
            ) as clip,
        ):
            return finish_video(run, source.name, clip, parts, source.path)


def part_writer(run: Path, name: str) -> PartWriter:
    """What takes the calls of a video of a run."""
    return PartWriter(video_stem(name), lambda file, data: write_sealed(run, file, data))


def finish_video(run: Path, name: str, clip: ClipAttention, parts: PartWriter, root: Path) -> Unit:
    """Write what is not on the disk yet of a video that was run.

    Args:
        run: Folder of the run.
        name: Name of the video in it.
        clip: What was found; nothing of its recording has been written.
        parts: Has taken what was streamed while the model ran.
        root: Folder that the names of frame files begin in.

    Returns:
        The unit of work, for the journal.
    """
    add_recording(parts, clip.attention.recording)
    if clip.attention.keep == "maps":
        for frame in range(clip.attention.story.frame_count):
            maps = clip.attention.calls.maps(frame)
            assert maps is not None
            parts.add_maps(frame, maps)
    parts.flush()  # they are written while masks are made
    content = _content(clip, parts, root)
    parts.finish()
    path = f"{video_stem(name)}.safetensors"
    seal = write_sealed(run, path, pack_video(content))
    return Unit(unit_name(name), parts.seals | {path: seal})


def _content(clip: ClipAttention, parts: PartWriter, root: Path) -> VideoFileContent:
    rate = clip.video.frames_per_second
    return VideoFileContent(
        story=clip.attention.story,
        found=tuple((found.row, found.label, found.score) for found in clip.instances),
        rles=_rles(clip),
        size_hw=clip.attention.view.original_hw,
        frame_indices=tuple(clip.frame_indices),
        frame_seconds=tuple(clip.frame_seconds),
        frame_names=_names(clip, root),
        frames_per_second=None if rate is None else rate / clip.wanted.step,
        parts=tuple(parts.parts),
        unrecorded=tuple(clip.attention.recording.unrecorded),
    )


def _rles(clip: ClipAttention) -> dict[int, list[Rle | None]]:
    """Masks of all rows that were found."""
    rows = sorted({found.row for found in clip.instances})
    rles: dict[int, list[Rle | None]] = {row: [] for row in rows}
    for frame in range(len(clip.frame_indices)):
        for row, mask in zip(rows, clip.masks(frame, rows).numpy(), strict=True):
            rles[row].append(encode_mask(mask) if mask.any() else None)
    return rles


def _names(clip: ClipAttention, root: Path) -> tuple[str, ...] | None:
    if not isinstance(clip.video, FrameFiles):
        return None
    paths = (clip.video.paths[index] for index in clip.frame_indices)
    return tuple(Path(os.path.relpath(path, root)).as_posix() for path in paths)

"""A clip that was run, as the folder of a run with its first pictures."""

import csv
import io
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from regard.clips.clip import ClipAttention
from regard.figures.film import FilmLook, film
from regard.figures.subject import choose
from regard.file_names import safe_name
from regard.media.animation import mp4_bytes
from regard.media.frame_files import FrameFiles
from regard.media.video_file import VideoFile
from regard.render.look import Look
from regard.runs.about import About, class_categories, relative_source, weights_sha256
from regard.runs.folder import RunFolder
from regard.runs.job import finish_video, part_writer
from regard.runs.recorded_video import RecordedVideo
from regard.runs.run import Run, open_run
from regard.runs.run_videos import begin, finish

DEFAULT_FRAMES_PER_SECOND = 10.0
"""Of the pictures of a clip that does not state its own."""


def save(
    clip: ClipAttention,
    folder: str | os.PathLike[str],
    *,
    instances: int = 3,
    cmap: str = "inferno",
    **options: Any,
) -> Iterator[Path]:
    """Write a run with this one video, and draw it; gives the paths of what is written.

    Args:
        clip: Of `regard.video`.
        folder: Where to; it is made. Clips run in the same way can share it.
        instances: How many of the best instances get pictures.
        cmap: A matplotlib colour map.
        options: ``layers``, ``temporal``, and what `TrackAttention.cell_weights` takes.

    Raises:
        RunError: The folder cannot be made or written to, or holds another run; what is in it is
            whole.
    """
    path = Path(folder)
    name = safe_name(clip.video.name, otherwise="clip")
    root = _root(clip)
    with RunFolder(path) as run:
        begin(run, _about(clip, name, root, path))
        with part_writer(path, name) as parts:
            run.acknowledge(finish_video(path, name, clip, parts, root))
        finish(run, {})
        for unit in run.units:
            yield from (path / file for file in unit.files)
    yield from draw_pictures(open_run(path), name, instances=instances, cmap=cmap, options=options)


def draw_pictures(
    run: Run, name: str, *, instances: int, cmap: str, options: Mapping[str, Any]
) -> Iterator[Path]:
    """Draw the best instances of a video; gives paths of what is written, none if it was there.

    ``videos/NAME_instance_I.mp4``: the frames with the attention behind an instance over them.
    ``inference/NAME_instance_I_frames.csv``: how much each frame counts (offline models).

    Args:
        run: The run.
        name: The video.
        instances: How many of the best instances.
        cmap: A matplotlib colour map.
        options: ``layers``, ``temporal``, and what `TrackAttention.cell_weights` takes.

    Raises:
        MediaError: The frames are not there any more.
        RunError: The run cannot be written to.
    """
    how = {"instances": instances, "cmap": cmap, **options}
    with RunFolder(run.path) as folder:
        if instances == 0 or folder.is_done(f"pictures {name}", how):
            return
        files = _pictures(run.video(name), instances, cmap, options)
        folder.add(f"pictures {name}", files, how)
        unit = folder.unit(f"pictures {name}")
    assert unit is not None
    yield from (run.path / file for file in unit.files)


def _pictures(
    video: RecordedVideo, instances: int, cmap: str, options: Mapping[str, Any]
) -> Iterator[tuple[str, bytes]]:
    rate = video.frames_per_second or DEFAULT_FRAMES_PER_SECOND
    for index in range(min(instances, len(video.instances))):
        if video.refiner_layers:
            yield f"inference/{video.id}_instance_{index}_frames.csv", importance_csv(video, index)
        frames = _film(video, index, cmap, **options)
        yield f"videos/{video.id}_instance_{index}.mp4", mp4_bytes(frames, rate)


def _film(
    video: RecordedVideo,
    index: int,
    cmap: str,
    *,
    layers: Sequence[int] | None = None,
    temporal: bool = False,
    **options: Any,
) -> Iterator[Image.Image]:
    (subject,) = choose(video, instances=[index], **options)
    scaling = "temporal_across_frames" if temporal else "across_frames"
    return film(subject, video.frames(), layers, FilmLook(scaling=scaling, look=Look(cmap=cmap)))


def importance_csv(video: RecordedVideo, index: int) -> bytes:
    """One line a frame: whether the instance lives, and how much the frame counts for its class.

    ``weight`` is the frame's share in what the class is read from; ``logit`` what it adds to the
    class logit, signed.
    """
    instance = video.instance(index)
    found = video.importance(instance.row)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["frame", "seconds", "alive", "weight", "logit"])
    for place, frame in enumerate(video.frame_indices):
        seconds, added = video.frame_seconds[place], found.contributions
        writer.writerow(
            [
                frame,
                "" if seconds is None else f"{seconds:.3f}",
                int(found.alive[place]),
                f"{found.weights[place]:.8g}",
                "" if added is None else f"{added[place, instance.label]:.8g}",
            ]
        )
    return text.getvalue().encode()


def _about(clip: ClipAttention, name: str, root: Path, run: Path) -> About:
    network = clip.attention.model
    return About(
        model=clip.model_name,
        model_sha256=weights_sha256(network),
        settings=clip.settings,
        keep=clip.attention.keep,
        layers=clip.attention.layers,
        frames=str(clip.wanted),
        categories=class_categories(network, clip.class_names),
        videos=((name, relative_source(root, run)),),
    )


def _root(clip: ClipAttention) -> Path:
    """The file of a clip, or the folder that its frames lie in."""
    if isinstance(clip.video, VideoFile):
        return Path(clip.video.path)
    if isinstance(clip.video, FrameFiles):
        return Path(os.path.commonpath([Path(path).parent for path in clip.video.paths]))
    return Path()

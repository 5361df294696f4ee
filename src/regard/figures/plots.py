"""`regard plot`: pictures of a run, written into it."""

import io
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from PIL import Image

from regard.analysis.temporal_rollout import Fusion, column_mean, stretched, temporal_rollout
from regard.errors import MediaError, SelectionError
from regard.figures.decoder import DecoderLook, draw_decoder
from regard.figures.importance import draw_importance
from regard.figures.overview import draw_overview
from regard.figures.room import Room
from regard.figures.subject import OnFailure, Subject, raised, subjects
from regard.figures.temporal import TimeAttention, draw_temporal
from regard.figures.tracker import draw_tracker
from regard.file_names import safe_name
from regard.media.frames import FrameRange
from regard.render.picture import Picture
from regard.runs import RecordedVideo, Run

Kind = Literal["decoder", "temporal", "tracker", "importance", "page"]
"""What is drawn.

"decoder": where the predictor looks, over frames, by layer and in the mean.
"temporal": attention from frame to frame in the refiner, by layer and rolled out.
"tracker": which object queries the tracker reads, by layer.
"importance": which frames count, and what attention does along the track.
"page": all of this on one page.
"""

DEFAULT_FRAMES = 6
"""Frames that are shown where nobody says which."""


@dataclass(frozen=True, kw_only=True)
class PlotOptions:
    """How plots are made; each kind takes what concerns it."""

    layers: Sequence[int] | None = None
    """Of the network part that is drawn; all that were kept by default."""
    frames: FrameRange | None = None
    """Frames that are shown, counted among those that were run; six of its life by default."""
    decoder: DecoderLook = field(default_factory=DecoderLook)
    head: int | None = None
    by_head: bool = False
    residual: float = 0.5
    fusion: Fusion = "mean"
    file_type: Literal["png", "pdf", "svg"] = "png"
    images: str | os.PathLike[str] | None = None
    """Where the frames are now; by default where they were when the run was made."""

    def choices(self) -> dict[str, Any]:
        """What the bytes of a plot depend on, as numbers, words and lists."""
        found = asdict(self) | {"layers": _listed(self.layers), "frames": _worded(self.frames)}
        return {name: value for name, value in found.items() if name != "images"}


def _listed(numbers: Sequence[int] | None) -> list[int] | None:
    return None if numbers is None else list(numbers)


def _worded(frames: FrameRange | None) -> str | None:
    return None if frames is None else str(frames)


def plot_subject(kind: Kind, subject: Subject, options: PlotOptions) -> Picture:
    """One plot of an instance or an object query.

    Args:
        kind: See `Kind`.
        subject: What it is about; see `choose`.
        options: How it is made.

    Raises:
        SelectionError: Something that the run does not hold.
        MediaError: The frames are not where they were.
    """
    if kind == "temporal":
        return draw_temporal(
            subject,
            options.layers,
            head=options.head,
            by_head=options.by_head,
            residual=options.residual,
            fusion=options.fusion,
        )
    if kind == "tracker":
        return draw_tracker(subject, options.layers, head=options.head)
    if kind == "importance":
        wanted = _most_counting(subject)
        photos = read_photos(subject.video, wanted, options.images) if wanted else None
        return draw_importance(subject, photos, options.layers)
    if kind not in get_args(Kind):
        raise SelectionError(f"no plot is called {kind!r}; there are {', '.join(get_args(Kind))}")
    photos = read_photos(subject.video, shown_frames(subject, options.frames), options.images)
    if kind == "page":
        return draw_overview(subject, photos, options.layers, options.decoder)
    return draw_decoder(subject, photos, options.layers, options.decoder)


def plot_run(
    run: Run,
    kind: Kind,
    *,
    videos: Sequence[str] = (),
    chosen: Mapping[str, Any] | None = None,
    options: PlotOptions = PlotOptions(),
    out: str | os.PathLike[str] | None = None,
    on_failure: OnFailure = raised,
) -> Iterator[Path]:
    """Write plots of a run into it; gives each path once it is written.

    They are `plots/VIDEO/KIND_instance_0...png`; the kind "temporal" also leaves the numbers of
    its rollout in `attention_maps/rolled_out/`.

    Args:
        run: See `open_run`.
        kind: See `Kind`.
        videos: Which ones; all by default.
        chosen: Which instances, as keywords of `choose`; the best of each video by default.
        options: How plots are made.
        out: Another folder than the run's own.
        on_failure: Called with what a video does not hold or whose frames are gone; the others
            are drawn. By default it is raised.

    Raises:
        SelectionError: Something that the run does not hold.
        MediaError, RunError: Frames cannot be read, or files not written.
    """
    with Room(run, out) as room:
        for subject in subjects(run, videos, chosen or {}, on_failure):
            stem = f"{kind}_{subject.name}{_suffix(kind, subject, options)}"
            path = f"plots/{_safe(subject)}/{stem}.{options.file_type}"
            figure, how = f"plot {path}", options.choices() | subject.choices()
            try:
                if there := room.made(figure, how):
                    yield from there
                else:
                    content = plot_subject(kind, subject, options).to_bytes(options.file_type)
                    yield from room.write(figure, [(path, content)], how)
                if kind == "temporal":
                    yield from _rollout(room, subject, options)
            except (SelectionError, MediaError) as error:
                on_failure(error)


def _rollout(room: Room, subject: Subject, options: PlotOptions) -> list[Path]:
    """Write the numbers of a rollout, unless they are there."""
    assert subject.instance is not None
    figure = f"rollout {_safe(subject)} {subject.instance.row}"
    how = options.choices()
    return room.made(figure, how) or room.write(figure, rollout_files(subject, options), how)


def rollout_files(subject: Subject, options: PlotOptions) -> list[tuple[str, bytes]]:
    """The numbers of a rollout, under the names that the DVIS attention pipeline gives them.

    With all layers, and without the first one: `rollout` (frames, frames), `col_avg` (frames,),
    its mean over rows, and `col_avg_norm`, the same from 0 to 1.
    """
    time = TimeAttention.of(subject, options.layers, options.head)
    assert subject.instance is not None
    stem = f"attention_maps/rolled_out/video_{_safe(subject)}"
    stem += f"_refiner_{subject.instance.row}_rollout"
    files = []
    for suffix, layers in (("", time.heads), ("_nolayer0", time.heads[1:])):
        if not layers:
            continue
        rolled = temporal_rollout(layers, residual=options.residual, fusion=options.fusion)
        mean = column_mean(rolled)
        files += [
            (f"{stem}{suffix}.npz", _npz(rollout=rolled)),
            (f"{stem}{suffix}_col_avg.npz", _npz(col_avg=mean)),
            (f"{stem}{suffix}_col_avg_norm.npz", _npz(col_avg_norm=stretched(mean))),
        ]
    return files


def read_photos(
    video: RecordedVideo, wanted: Sequence[int], images: str | os.PathLike[str] | None = None
) -> dict[int, Image.Image]:
    """Some frames of a video, by index among those that were run.

    Raises:
        MediaError: They are not where they were.
    """
    found, last = {}, max(wanted)
    frames = video.frames(images)
    for index, frame in enumerate(frames):
        if index in wanted:
            found[index] = frame.image
        if index == last:
            break
    frames.close()  # type: ignore[attr-defined]
    if missing := set(wanted) - set(found):
        raise MediaError(f"frame {min(missing)} of video {video.id!r} is not there any more")
    return found


def shown_frames(subject: Subject, wanted: FrameRange | None) -> list[int]:
    """The frames that are asked for, or some of the subject's life at even distances."""
    count = subject.video.frame_count
    if wanted is not None:
        found = [frame for frame in range(count) if frame in wanted]
        if not found:
            raise SelectionError(f"frames {wanted}: video {subject.video.id!r} has {count}")
        return found
    life = subject.require_life()
    picks = np.linspace(life.start, life.stop - 1, min(DEFAULT_FRAMES, len(life)))
    return sorted({round(pick) for pick in picks.tolist()})


def _safe(subject: Subject) -> str:
    return safe_name(subject.video.id, otherwise="video")


def _most_counting(subject: Subject) -> list[int]:
    if subject.instance is None or not subject.video.weighs_frames:
        return []
    order = np.argsort(-np.asarray(subject.frame_weights()), kind="stable")
    return sorted(order[:DEFAULT_FRAMES].tolist())


def _suffix(kind: Kind, subject: Subject, options: PlotOptions) -> str:
    """What tells the files of different options apart; nothing for those by default."""
    parts = []
    if kind == "decoder":
        parts += [options.decoder.view, options.decoder.scaling]
    if kind in ("decoder", "page", "importance"):
        mixing = subject.options.get("mixing", "weighted")
        parts += [mixing] if mixing != "weighted" else []
        parts += [] if subject.options.get("masked", True) else ["unmasked"]
    if kind in ("temporal", "tracker") and options.head is not None:
        parts.append(f"head_{options.head}")
    if kind == "temporal":
        parts += ["by_head"] if options.by_head else []
        parts += [options.fusion] if options.fusion != "mean" else []
        parts += [f"residual_{options.residual:g}"] if options.residual != 0.5 else []
    if options.layers is not None:
        parts.append("layers_" + "_".join(map(str, options.layers)))
    return "".join(f"_{part}" for part in parts)


def _npz(**arrays: Any) -> bytes:
    file = io.BytesIO()
    content: dict[str, Any] = {name: np.asarray(array) for name, array in arrays.items()}
    np.savez_compressed(file, **content)
    return file.getvalue()

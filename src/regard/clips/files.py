"""Everything that a run over a clip leaves, written into a folder."""

import csv
import dataclasses
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from regard import __version__
from regard.atomic import write_atomically
from regard.clips.clip import ClipAttention
from regard.clips.pictures import Mask, draw_instance
from regard.errors import MediaError
from regard.media.animation import mp4_bytes

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
    """Write what was found and where the model looked; gives each path once it is written.

    `results.json`: instances with their masks, as YTVIS result files have them, and the frames
    that they live in. `instance_I.mp4`: the clip with the attention behind an instance over it.
    `instance_I_frames.csv`: how much each frame counts (offline models). `attention.safetensors`:
    the kept calls. `run.json`: settings and versions.

    Args:
        clip: Of `regard.video`.
        folder: Where to; it is made.
        instances: How many of the best instances get pictures.
        cmap: A matplotlib colour map.
        options: As for `VideoAttention.heat`.

    Raises:
        MediaError: The folder cannot be made or written to; what is in it is whole.
    """
    target = Path(folder)
    try:
        target.mkdir(parents=True, exist_ok=True)
        for name, data in _files(clip, instances, cmap, options):
            write_atomically(target / name, data)
            yield target / name
        if clip.attention.recording:
            yield clip.attention.recording.save(target / "attention.safetensors")
    except MediaError:
        raise
    except OSError as error:
        raise MediaError(f"cannot write into {str(target)!r}: {error.strerror}") from error


def _files(
    clip: ClipAttention, instances: int, cmap: str, options: dict[str, Any]
) -> Iterator[tuple[str, bytes]]:
    yield "run.json", _json(summary(clip))
    yield "results.json", _json(results(clip))
    rate = clip.video.frames_per_second or DEFAULT_FRAMES_PER_SECOND
    for index in range(min(instances, len(clip.instances))):
        if clip.attention.output.refined is not None:
            yield f"instance_{index}_frames.csv", importance_csv(clip, index)
        frames = draw_instance(clip, index, cmap=cmap, **options)
        yield f"instance_{index}.mp4", mp4_bytes(frames, rate / clip.wanted.step)


def results(clip: ClipAttention) -> list[dict[str, Any]]:
    """Rows of a YTVIS result file: one mask a frame as run lengths, null where there is none."""
    rows = sorted({detection.row for detection in clip.instances})
    masks: dict[int, list[Any]] = {row: [] for row in rows}
    for frame in range(len(clip.frame_indices)):
        for row, mask in zip(rows, clip.masks(frame, rows).numpy(), strict=True):
            masks[row].append(run_lengths(mask) if mask.any() else None)
    return [
        {
            "video_id": clip.video.name,
            "score": round(detection.score, 6),
            "category_id": detection.label + 1,
            "category": clip.class_name(detection.label),
            "row": detection.row,
            "frames": [clip.frame_indices[frame] for frame in clip.frames_of(index)],
            "segmentations": masks[detection.row],
        }
        for index, detection in enumerate(clip.instances)
    ]


def run_lengths(mask: Mask) -> dict[str, Any]:
    """A mask as COCO's uncompressed run lengths, down the columns, starting with zeros."""
    flat = mask.T.reshape(-1)
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    counts = np.diff(np.concatenate([[0], edges, [flat.size]])).tolist()
    return {"size": list(mask.shape), "counts": [0, *counts] if flat[0] else counts}


def importance_csv(clip: ClipAttention, index: int) -> bytes:
    """One line a frame: whether the instance lives, and how much the frame counts for its class.

    ``weight`` is the frame's share in what the class is read from; ``logit`` what it adds to the
    class logit, signed.
    """
    found, label = clip.attention.importance(clip.instance(index).row), clip.instance(index).label
    assert found.contributions is not None
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["frame", "seconds", "alive", "weight", "logit"])
    for place, frame in enumerate(clip.frame_indices):
        seconds = clip.frame_seconds[place]
        writer.writerow(
            [
                frame,
                "" if seconds is None else f"{seconds:.3f}",
                int(found.alive[place]),
                f"{found.weights[place]:.8g}",
                f"{found.contributions[place, label]:.8g}",
            ]
        )
    return text.getvalue().encode()


def summary(clip: ClipAttention) -> dict[str, Any]:
    """Settings, frames and versions of a run."""
    import torch

    attention = clip.attention
    return {
        "regard": __version__,
        "torch": torch.__version__,
        "video": clip.video.name,
        "frames": str(clip.wanted),
        "frame_count": len(clip.frame_indices),
        "size_hw": list(attention.view.original_hw),
        "view": attention.view.to_json(),
        "kept": attention.keep,
        "predictor_layers": list(attention.layers),
        "is_offline_model": attention.output.refined is not None,
        "settings": dataclasses.asdict(clip.settings),
        "windows": [[window.start, window.stop] for window in attention.output.windows],
        "tracks": [
            {"id": track.id, "start": track.start, "end": track.end}
            for track in (row.track for row in attention.output.rows)
            if track is not None
        ],
    }


def _json(content: Any) -> bytes:
    return (json.dumps(content, indent=1) + "\n").encode()

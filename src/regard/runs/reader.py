"""Reading a run of ours."""

import json
from pathlib import Path

from regard.errors import FormatError
from regard.models.dvis_daq.track_attention import TrackAttention
from regard.runs.about import read_about
from regard.runs.journal import latest, read_journal, sealed_files
from regard.runs.recorded_video import RecordedInstance, VideoContent
from regard.runs.results import FAILED
from regard.runs.run import Run
from regard.runs.stored_calls import CallsOnDisk, SealedFiles
from regard.runs.video_file import VideoFileContent, unpack_video
from regard.storage import TensorFile, readable


def open_ours(folder: Path) -> Run:
    """The run in a folder; videos without a line in the journal are not done."""
    about = read_about(folder)
    assert about is not None
    units = read_journal(folder)
    files = SealedFiles(folder, sealed_files(units))
    done = latest(units)
    categories = tuple((int(entry["id"]), str(entry["name"])) for entry in about["categories"])
    sources = {str(video["id"]): video["source"] for video in about["videos"]}

    def read(name: str) -> VideoContent:
        return _content(folder, name, files, categories, sources[name])

    videos = tuple(name for name in sources if unit_name(name) in done)
    failed = _failed(files) if "results" in done else {}
    return Run(
        path=folder,
        categories=dict(categories),
        videos=videos,
        failed={name: reason for name, reason in failed.items() if name not in videos},
        about=about,
        _read=read,
    )


def unit_name(video: str) -> str:
    """The unit of work that a video is."""
    return f"video {video}"


def is_video(unit: str) -> bool:
    """Whether a unit of work is a video."""
    return unit.startswith(unit_name(""))


def video_stem(video: str) -> str:
    """How the names of a video's files begin."""
    return f"attention_maps/video_{video}"


def _failed(files: SealedFiles) -> dict[str, str]:
    content: dict[str, str] = json.loads(files.path(FAILED).read_bytes())
    return content


def _content(
    folder: Path,
    name: str,
    files: SealedFiles,
    categories: tuple[tuple[int, str], ...],
    source: str | None,
) -> VideoContent:
    path = files.path(f"{video_stem(name)}.safetensors")
    with readable(path):
        found = unpack_video(TensorFile(path))
    return VideoContent(
        attention=TrackAttention(story=found.story, calls=CallsOnDisk(found.parts, files)),
        instances=_instances(found, categories, path),
        size_hw=found.size_hw,
        frame_indices=found.frame_indices,
        frame_seconds=found.frame_seconds,
        frame_names=found.frame_names,
        frames_per_second=found.frames_per_second,
        source=None if source is None else folder / source,
    )


def _instances(
    found: VideoFileContent, categories: tuple[tuple[int, str], ...], path: Path
) -> tuple[RecordedInstance, ...]:
    instances = []
    for row, label, score in found.found:
        if label >= len(categories):
            raise FormatError(f"{path}: class {label} of {len(categories)} in run.json")
        of = found.story.rows[row]
        instances.append(
            RecordedInstance(
                row=row,
                score=score,
                label=label,
                category_id=categories[label][0],
                category=categories[label][1],
                track_id=of.track_id,
                life=of.life,
                rles=tuple(found.rles[row]),
                size_hw=found.size_hw,
            )
        )
    return tuple(instances)

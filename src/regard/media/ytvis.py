"""Videos and their categories as YouTube-VIS and OVIS list them in a JSON file."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from regard.errors import MediaError
from regard.media.frame_files import FrameFiles

_FILE_LIMIT_BYTES = 2**32


@dataclass(frozen=True, kw_only=True)
class YtvisVideos:
    """What a YTVIS JSON file lists."""

    videos: dict[int, FrameFiles]
    """By id, in the order of the file."""
    categories: dict[int, str]
    """Names by id."""


def read_ytvis(
    path: str | os.PathLike[str], images: str | os.PathLike[str] | None = None
) -> YtvisVideos:
    """The videos of a YTVIS JSON file. No image is opened yet.

    Args:
        path: JSON with ``videos`` (``id``, ``file_names``, ``height``, ``width``) and
            ``categories``; annotations are not read.
        images: Folder that ``file_names`` begin in; by default ``JPEGImages`` beside the file.

    Raises:
        MediaError: The file is no such JSON, or names a file outside of the folder.
    """
    path = Path(path)
    folder = Path(images) if images is not None else path.parent / "JPEGImages"
    content = _read(path)
    videos = {_number(path, entry, "id"): _video(path, entry, folder) for entry in content[0]}
    return YtvisVideos(videos=videos, categories=content[1])


def read_class_names(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """Names of the classes that a model trained with a YTVIS JSON file numbers, from 0.

    Raises:
        MediaError: The file is no such JSON, or names no categories.
    """
    names = _read(Path(path))[1]
    if not names:
        raise MediaError(f"{os.fspath(path)!r} names no categories")
    return tuple(names[number] for number in sorted(names))


def _read(path: Path) -> tuple[list[Mapping[str, Any]], dict[int, str]]:
    try:
        if path.stat().st_size > _FILE_LIMIT_BYTES:
            raise ValueError(f"it has over {_FILE_LIMIT_BYTES:,} bytes")
        content = json.loads(path.read_bytes())
        videos = content["videos"]
        names = {int(entry["id"]): str(entry["name"]) for entry in content.get("categories", [])}
        if not isinstance(videos, list) or not videos:
            raise ValueError("it lists no videos")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        reason = f"it has no {error}" if isinstance(error, KeyError) else str(error)
        raise MediaError(
            f"{os.fspath(path)!r} is no YTVIS file: {reason}; expected JSON with videos "
            "(id, file_names, height, width) and categories"
        ) from error
    return videos, names


def _video(path: Path, entry: Mapping[str, Any], folder: Path) -> FrameFiles:
    number = _number(path, entry, "id")
    names = entry.get("file_names")
    if not isinstance(names, list) or not names or not all(isinstance(n, str) for n in names):
        raise MediaError(f"{os.fspath(path)!r}: video {number} has no list of file_names")
    size = (_number(path, entry, "height"), _number(path, entry, "width"))
    return FrameFiles(str(number), [_inside(path, folder, name) for name in names], size_hw=size)


def _number(path: Path, entry: Mapping[str, Any], key: str) -> int:
    value = entry.get(key) if isinstance(entry, dict) else None
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise MediaError(
            f"{os.fspath(path)!r}: a video has {key} {value!r}, expected a whole number"
        )
    return value


def _inside(path: Path, folder: Path, name: str) -> Path:
    """The file of that name; a name must not lead out of the folder."""
    parts = Path(name).parts
    if Path(name).is_absolute() or ".." in parts or not parts:
        raise MediaError(f"{os.fspath(path)!r} names the file {name!r}, outside of {folder}")
    return folder / name

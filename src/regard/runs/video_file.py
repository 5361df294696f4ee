"""What a run says about one video, as a file: who lived when, what was found, which parts it has.

The attention itself lies in the parts beside it (`parts.py`).
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

from regard.geometry import ViewTransform
from regard.models.dvis_daq.story import RowStory, VideoStory
from regard.models.dvis_daq.tracks import TrackedFrame
from regard.packing import Piece, safetensors_pieces
from regard.recording import Unrecorded
from regard.runs.parts import StoredPart, tensor_of_text, text_of_tensor
from regard.storage import TensorFile

FORMAT = "regard-video"
VERSION = 1
Rle = dict[str, Any]


@dataclass(frozen=True, eq=False, kw_only=True)
class VideoFileContent:
    """What the file of a video holds."""

    story: VideoStory
    """Who lived when."""
    found: tuple[tuple[int, int, float], ...]
    """(row, label, score) of each instance, best first."""
    rles: dict[int, list[Rle | None]] = field(repr=False)
    """Masks of each row that was found, frame by frame; ``None`` where they are empty."""
    size_hw: tuple[int, int]
    """Height and width of the original frames."""
    frame_indices: tuple[int, ...] = field(repr=False)
    """Place in the video of each frame."""
    frame_seconds: tuple[float | None, ...] = field(repr=False)
    """Time of each frame."""
    frame_names: tuple[str, ...] | None = field(repr=False)
    """Files that the frames are."""
    frames_per_second: float | None
    """Rate of the frames that were run."""
    parts: tuple[StoredPart, ...]
    """Where the kept calls are."""
    unrecorded: tuple[Unrecorded, ...] = ()
    """What looked like attention and has no record."""


def pack_video(content: VideoFileContent) -> list[Piece]:
    """The bytes of the file; the same content gives the same bytes."""
    story, tracked = content.story, content.story.tracked
    seconds = [float("nan") if s is None else s for s in content.frame_seconds]
    tensors = {
        "words": tensor_of_text(json.dumps(_words(content), sort_keys=True)),
        "rles": tensor_of_text(json.dumps(content.rles)),
        "frame_indices": torch.tensor(content.frame_indices, dtype=torch.int64),
        "frame_seconds": torch.tensor(seconds, dtype=torch.float64),
        "entered": _ragged([frame.entered for frame in tracked]),
        "entered_count": _counts([frame.entered for frame in tracked]),
        "left": _ragged([frame.left for frame in tracked]),
        "left_count": _counts([frame.left for frame in tracked]),
        "left_queries": _ragged([frame.left_queries for frame in tracked]),
        "left_seen": _ragged([frame.left_seen for frame in tracked]),
    }
    if story.frame_weights is not None:
        tensors["frame_weights"] = story.frame_weights
    if story.contributions is not None:
        tensors["contributions"] = story.contributions
    header = json.dumps({"format": FORMAT, "version": VERSION})
    return safetensors_pieces(tensors, {FORMAT: header})


def unpack_video(file: TensorFile) -> VideoFileContent:
    """What `pack_video` wrote.

    Raises:
        KeyError, ValueError, TypeError: The file holds something else.
    """
    version = json.loads(file.metadata[FORMAT])["version"]
    if version != VERSION:
        raise ValueError(f"format version {version}, expected {VERSION}: update regard to read it")
    words: dict[str, Any] = json.loads(text_of_tensor(file["words"]))
    rles = json.loads(text_of_tensor(file["rles"]))
    names = words["frame_names"]
    return VideoFileContent(
        story=_story(words, file),
        found=tuple((row, label, score) for row, label, score in words["found"]),
        rles={int(row): masks for row, masks in rles.items()},
        size_hw=(words["size_hw"][0], words["size_hw"][1]),
        frame_indices=tuple(file["frame_indices"].tolist()),
        frame_seconds=tuple(None if s != s else s for s in file["frame_seconds"].tolist()),
        frame_names=None if names is None else tuple(names),
        frames_per_second=words["frames_per_second"],
        parts=tuple(StoredPart(*part) for part in words["parts"]),
        unrecorded=tuple(Unrecorded(**item) for item in words["unrecorded"]),
    )


def _words(content: VideoFileContent) -> dict[str, Any]:
    """Everything that is no long row of numbers."""
    story = content.story
    assert story.view is not None
    return {
        "rows": [
            [row.track_id, row.life.start, row.life.stop, row.chain and list(row.chain)]
            for row in story.rows
        ],
        "windows": [[window.start, window.stop] for window in story.windows],
        "view": story.view.to_json(),
        "object_queries": story.object_queries,
        "channels": story.channels,
        "candidates": story.candidates,
        "tracker_layers": story.tracker_layers,
        "refiner_layers": story.refiner_layers,
        "layers": list(story.layers),
        "keep": story.keep,
        "found": [list(found) for found in content.found],
        "size_hw": list(content.size_hw),
        "frame_names": content.frame_names and list(content.frame_names),
        "frames_per_second": content.frames_per_second,
        "parts": [[part.kind, part.first, part.stop, part.name] for part in content.parts],
        "unrecorded": [asdict(item) for item in content.unrecorded],
    }


def _story(words: dict[str, Any], file: TensorFile) -> VideoStory:
    return VideoStory(
        rows=tuple(
            RowStory(track_id=track, life=range(first, stop), chain=chain and tuple(chain))
            for track, first, stop, chain in words["rows"]
        ),
        tracked=_tracked(file),
        windows=tuple(range(first, stop) for first, stop in words["windows"]),
        view=ViewTransform.from_json(words["view"]),
        object_queries=words["object_queries"],
        channels=words["channels"],
        candidates=words["candidates"],
        tracker_layers=words["tracker_layers"],
        refiner_layers=words["refiner_layers"],
        layers=tuple(words["layers"]),
        keep=words["keep"],
        frame_weights=_own(file.get("frame_weights")),
        contributions=_own(file.get("contributions")),
    )


def _own(tensor: Tensor | None) -> Tensor | None:
    """In memory of its own, so that the file need not stay open."""
    return None if tensor is None else tensor.clone()


def _tracked(file: TensorFile) -> tuple[TrackedFrame, ...]:
    entered = _split(file["entered"], file["entered_count"])
    left = _split(file["left"], file["left_count"])
    queries = _split(file["left_queries"], file["left_count"])
    seen = _split(file["left_seen"], file["left_count"])
    return tuple(
        TrackedFrame(
            frame=frame,
            entered=entered[frame],
            left=left[frame],
            left_queries=queries[frame],
            left_seen=tuple(map(bool, seen[frame])),
        )
        for frame in range(len(left))
    )


def _ragged(rows: Sequence[Sequence[int]]) -> Tensor:
    """Rows of different lengths, one after the other."""
    return torch.tensor([int(value) for row in rows for value in row], dtype=torch.int32)


def _counts(rows: Sequence[Sequence[int]]) -> Tensor:
    return torch.tensor([len(row) for row in rows], dtype=torch.int32)


def _split(values: Tensor, counts: Tensor) -> list[tuple[int, ...]]:
    return [tuple(row.tolist()) for row in torch.split(values, counts.tolist())]

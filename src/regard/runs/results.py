"""What a run found, in the form of YTVIS result files, and with the ids of rows and tracks."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from regard.runs.recorded_video import RecordedVideo

RESULTS = "inference/results.json"
"""As the YTVIS evaluation takes it."""
TEMPORAL = "inference/results_temporal.json"
"""The same with the row and the track of each entry."""
FAILED = "inference/failed.json"
"""Why videos have no result."""


def result_files(
    videos: Iterable[RecordedVideo], failed: Mapping[str, str]
) -> list[tuple[str, bytes]]:
    """Files that sum up a run, made of what its videos hold."""
    plain: list[bytes] = []
    temporal: list[bytes] = []
    for video in videos:
        for entry in entries(video):
            temporal.append(json.dumps(entry).encode())
            official = ("video_id", "score", "category_id", "segmentations")
            plain.append(json.dumps({name: entry[name] for name in official}).encode())
    return [
        (RESULTS, _listed(plain)),
        (TEMPORAL, _listed(temporal)),
        (FAILED, (json.dumps(dict(failed), indent=1) + "\n").encode()),
    ]


def entries(video: RecordedVideo) -> Iterable[dict[str, Any]]:
    """What was found in a video, entry by entry."""
    for instance in video.instances:
        yield {
            "video_id": int(video.id) if video.id.isdecimal() else video.id,
            "score": instance.score,
            "category_id": instance.category_id,
            "refiner_id": instance.row,
            "track_id": instance.track_id,
            "frames": [video.frame_indices[frame] for frame in instance.life],
            "segmentations": list(instance.rles),
        }


def _listed(entries: list[bytes]) -> bytes:
    """A JSON list, one entry a line."""
    return b"[" + b",".join(b"\n" + entry for entry in entries) + b"\n]\n"

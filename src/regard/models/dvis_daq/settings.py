"""How a video is run: thresholds, windows, limits; from keywords or upstream's YAML files."""

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from regard.errors import CheckpointError

_FILE_LIMIT_BYTES = 2**20
_MAX_BASES = 16


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings of inference; the defaults are those of the official OVIS models."""

    new_instances: int | None = None
    """Candidates for new tracks in each frame; ``None``: as many as there are object queries.
    Candidate *j* looks from where frame query *j* lies."""
    first_frame_threshold: float = 0.01
    """Score above which an object query starts a track in the first frame."""
    threshold: float = 0.1
    """Score above which a track is seen in a later frame, or a new one starts."""
    slot_threshold: float = 0.01
    """Score that the slot of a track must pass as well, with ``ovis_infer``."""
    ovis_infer: bool = True
    """Whether slots take part in deciding if a track is seen."""
    offline_mode: bool = False
    """Decide by the mean of track and slot logits instead of by both (``ovis_infer`` only)."""
    max_unseen_frames: int = 8
    """Frames in a row that a track may be unseen; in the last of them it ends."""
    max_tracks: int | None = None
    """Most tracks that may live at once; while so many live, no new one begins."""
    min_frames: int = 5
    """Shorter tracks are noise, unless the video ends first."""
    refined_tracks: int = 40
    """Most tracks that the refiner looks at."""
    max_instances: int = 20
    """Most (track, class) pairs in the result, best first."""
    window: int = 5
    """Frames that the backbone takes at once. Changes memory and speed only."""
    short_side_px: int = 480
    """Length that the short side of a frame is resized to."""
    long_side_px: int = 1333
    """Longest that the other side may become; then the short side becomes shorter."""
    pixel_mean: tuple[float, float, float] = (123.675, 116.28, 103.53)
    """Subtracted from RGB bytes."""
    pixel_std: tuple[float, float, float] = (58.395, 57.12, 57.375)
    """Divides after that."""

    def __post_init__(self) -> None:
        counts = ("max_unseen_frames", "min_frames", "max_instances", "window", "short_side_px")
        for name in counts:
            if getattr(self, name) < 1:
                raise CheckpointError(f"{name} is {getattr(self, name)}, expected 1 or more")
        for name in ("new_instances", "max_tracks"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise CheckpointError(f"{name} is {value}, expected 1 or more, or None")

    @classmethod
    def from_yaml(cls, path: str | os.PathLike[str], **changes: Any) -> Self:
        """Settings of one of upstream's YAML files and the files that it is based on.

        Args:
            path: A file such as ``DAQ_Offline_R50.yaml``. Files that its ``_BASE_`` names must
                lie where it says.
            changes: Fields to set besides.

        Raises:
            CheckpointError: The file cannot be read, or asks for another task than ``vis``.
        """
        values = _flat(_read_with_bases(Path(path)))
        task = values.get("MODEL.MASK_FORMER.TEST.TASK", "vis")
        if task != "vis":
            raise CheckpointError(f"{path} is for the task {task!r}; only 'vis' is run here")
        found = {field: values[key] for field, key in _UPSTREAM.items() if key in values}
        for name in ("pixel_mean", "pixel_std"):
            if name in found:
                found[name] = tuple(float(number) for number in found[name])
        return cls(**(found | changes))

    def updated(self, **changes: Any) -> Self:
        """These settings with others in their place."""
        return dataclasses.replace(self, **changes)


_UPSTREAM = {
    "new_instances": "MODEL.VIDEO_HEAD.NUM_NEW_INS",
    "first_frame_threshold": "MODEL.VIDEO_HEAD.AUX_INFERENCE_SELECT_THRESHOLD",
    "threshold": "MODEL.VIDEO_HEAD.INFERENCE_SELECT_THRESHOLD",
    "slot_threshold": "MODEL.VIDEO_HEAD.DIS_FG_THRESHOLD",
    "ovis_infer": "MODEL.VIDEO_HEAD.OVIS_INFER",
    "min_frames": "MODEL.VIDEO_HEAD.NOISE_FRAME_NUM",
    "refined_tracks": "MODEL.VIDEO_HEAD.OFFLINE_TOPK_NUM",
    "max_instances": "MODEL.MASK_FORMER.TEST.MAX_NUM",
    "short_side_px": "INPUT.MIN_SIZE_TEST",
    "long_side_px": "INPUT.MAX_SIZE_TEST",
    "pixel_mean": "MODEL.PIXEL_MEAN",
    "pixel_std": "MODEL.PIXEL_STD",
}
"""Field -> key of the YAML files. TEST.WINDOW_SIZE is left out on purpose: upstream runs windows
of 5 whatever it says, and the result does not depend on it."""


def _read_with_bases(path: Path) -> dict[str, Any]:
    """Content of the file over that of the files it is based on."""
    chain: list[dict[str, Any]] = []
    while True:
        if len(chain) == _MAX_BASES:
            raise CheckpointError(f"{path}: more than {_MAX_BASES} files are based on each other")
        content = _read_yaml(path)
        chain.append(content)
        base = content.pop("_BASE_", None)
        if base is None:
            break
        path = path.parent / str(base)
    merged: dict[str, Any] = {}
    for content in reversed(chain):
        merged = _merge(merged, content)
    return merged


def _read_yaml(path: Path) -> dict[str, Any]:
    import yaml

    try:
        if path.stat().st_size > _FILE_LIMIT_BYTES:
            raise ValueError(f"{path.stat().st_size:,} bytes, at most {_FILE_LIMIT_BYTES:,}")
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(f"{path} cannot be read as YAML: {reason}") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} holds no settings; expected one of upstream's YAML files")
    return content


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if both else value
    return merged


def _flat(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in content.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat

"""File names of the DVIS attention pipeline: what each npz file of its ``attention_maps`` holds.

Source: the repository fish-dvis, ``attention_extractor.py``; its README also describes one
predictor file a frame instead of a window.
"""

import re
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

MAPS = "attention_maps"

_VIDEO = r"video_(?P<video>.+?)_"
_FRAMES = r"(?:frames(?P<first>\d+)-\d+|frame_(?P<frame>\d+))_"
_PREDICTOR = re.compile(
    _VIDEO + _FRAMES + r"predictor_cross_attn_layer_(?P<layer>\d+)(?:_level_\d+)?\.npz"
)
_TRACKER = re.compile(_VIDEO + r"frame_(?P<frame>\d+)_tracker_cross_layer_(?P<layer>\d+)_attn\.npz")
_REFINER = re.compile(
    _VIDEO + r"(?:frames\d+-\d+_)?refiner_temporal_layer_(?P<layer>\d+)_attn\.npz"
)
_ACTIVATION = re.compile(_VIDEO + r"(?:frames\d+-\d+_)?activation_proj_weights\.npz")


@dataclass(eq=False)
class NpzFiles:
    """The npz files of one video."""

    predictor: dict[tuple[int, int], Path] = field(default_factory=dict)
    """By first frame and layer."""
    tracker: dict[tuple[int, int], Path] = field(default_factory=dict)
    """By frame and layer."""
    refiner: dict[int, Path] = field(default_factory=dict)
    """By layer."""
    activation: Path | None = None


def npz_files(run: Path) -> dict[str, NpzFiles]:
    """The npz files of each video of a run."""
    found: dict[str, NpzFiles] = defaultdict(NpzFiles)
    for path in sorted((run / MAPS).glob("video_*.npz")):
        if match := _PREDICTOR.fullmatch(path.name):
            first = int(match["first"] or match["frame"])
            found[match["video"]].predictor[first, int(match["layer"])] = path
        elif match := _TRACKER.fullmatch(path.name):
            place = int(match["frame"]), int(match["layer"])
            found[match["video"]].tracker[place] = path
        elif match := _REFINER.fullmatch(path.name):
            found[match["video"]].refiner[int(match["layer"])] = path
        elif match := _ACTIVATION.fullmatch(path.name):
            found[match["video"]].activation = path
    return dict(found)


def meta_path(npz: Path) -> Path:
    """The file beside an npz file that describes it."""
    return npz.with_name(npz.name.removesuffix(".npz") + ".meta.json")

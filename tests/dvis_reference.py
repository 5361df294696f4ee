"""The frozen run of the official DVIS-DAQ code, and our network with its weights."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor

from regard.models.dvis_daq.checkpoint import from_state
from regard.models.dvis_daq.model import DvisDaq
from regard.models.dvis_daq.preparation import normalised
from regard.models.dvis_daq.settings import Settings

ONLINE = Settings()
OFFLINE = Settings(threshold=0.05, refined_tracks=15)
SMALL = OFFLINE.updated(short_side_px=64, first_frame_threshold=0.0, min_frames=1)
# Fewer candidates than queries and other decisions, as the repository fish-dvis runs DVIS-DAQ.
FORK = Settings(threshold=0.05, new_instances=8, ovis_infer=False, offline_mode=True, window=4)

# float32 against the official code's float32: other orders of summation. The official code's own
# float32 and float64 differ by as much. Times the standard deviation where that is above 1: the
# tracker's mask logits spread by 10, and are off by 1.2e-4.
FLOAT_TOLERANCE = 1e-4


@dataclass(frozen=True)
class Reference:
    """What the official code computed, file by file."""

    folder: Path

    def file(self, name: str) -> dict[str, Tensor]:
        return _file(self.folder / f"{name}.safetensors")

    @property
    def config(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.folder / "config.json").read_text())
        return content

    @property
    def frames(self) -> list[Tensor]:
        """Frames as the model takes them, (3, height, width)."""
        frames = self.file("inputs")["frames"]
        height, width = frames.shape[-2:]
        padding = (0, -width % 32, 0, -height % 32)
        return [F.pad(normalised(frame, ONLINE), padding) for frame in frames]

    def state(self, *, offline: bool = True, local_conv: bool = False) -> dict[str, Tensor]:
        state = dict(self.file("weights"))
        if local_conv:
            state |= self.file("weights_refiner_local")
        return {k: v for k, v in state.items() if offline or not k.startswith("refiner.")}

    def model(self, *, offline: bool = True, local_conv: bool = False) -> DvisDaq:
        return from_state(self.state(offline=offline, local_conv=local_conv))


@cache
def _file(path: Path) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = load_file(path)
    return tensors


def assert_near(
    found: Tensor, expected: Tensor, what: str, tolerance: float = FLOAT_TOLERANCE
) -> None:
    assert found.shape == expected.shape, (what, found.shape, expected.shape)
    if not found.numel():
        return
    error = (found.float() - expected.float()).abs().max().item()
    spread = expected.float().std().item() if expected.is_floating_point() else 1.0
    assert error <= tolerance * max(1.0, spread), f"{what}: off by {error}"

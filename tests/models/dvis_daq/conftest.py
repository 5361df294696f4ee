"""The frozen run of the official code, and our own runs on its frames."""

from pathlib import Path

import pytest
import torch

from dvis_reference import Reference
from regard.models.dvis_daq.model import SegmentedFrames


@pytest.fixture(scope="session")
def reference(shared: Path) -> Reference:
    folder = shared / "parity" / "dvis_daq"
    if not folder.is_dir():
        pytest.skip(f"no frozen run of the official DVIS-DAQ code: {folder} is not there")
    return Reference(folder)


@pytest.fixture(scope="session")
def segmented(reference: Reference) -> SegmentedFrames:
    with torch.no_grad():
        found: SegmentedFrames = reference.model()(torch.stack(reference.frames))
    return found

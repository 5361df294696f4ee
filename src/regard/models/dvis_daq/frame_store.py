"""Tensors of one frame after the other, in memory while they are few and on disk beyond."""

import tempfile

import numpy as np
import torch
from torch import Tensor

from regard.closing import Closing

_IN_MEMORY_BYTES = 2**28


class FrameStore(Closing):
    """One float32 tensor a frame; read back exactly. Closing it deletes the file.

    Args:
        in_memory_bytes: What is kept in memory before a temporary file is begun.
    """

    def __init__(self, in_memory_bytes: int = _IN_MEMORY_BYTES) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=in_memory_bytes)  # noqa: SIM115
        self._places: list[tuple[int, torch.Size]] = []

    def close(self) -> None:
        """Delete what is stored."""
        self._file.close()

    def __len__(self) -> int:
        return len(self._places)

    def append(self, tensor: Tensor) -> None:
        """Store the tensor of the next frame."""
        self._places.append((self._file.seek(0, 2), tensor.shape))
        self._file.write(tensor.detach().float().cpu().contiguous().numpy().tobytes())

    def __getitem__(self, frame: int) -> Tensor:
        """The tensor of a frame, on the CPU."""
        place, shape = self._places[frame]
        self._file.seek(place)
        content = bytearray(self._file.read(shape.numel() * 4))
        return torch.from_numpy(np.frombuffer(content, dtype=np.float32)).reshape(shape)

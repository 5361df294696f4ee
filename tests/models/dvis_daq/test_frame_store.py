"""Tensors come back as they went in, from memory and from disk."""

import pytest
import torch

from regard.models.dvis_daq.frame_store import FrameStore


@pytest.mark.parametrize("in_memory_bytes", [2**20, 64])
def test_tensors_come_back(in_memory_bytes: int) -> None:
    tensors = [torch.randn(n, 3, 5).transpose(1, 2) for n in (4, 0, 7)]
    with FrameStore(in_memory_bytes) as store:
        for tensor in tensors:
            store.append(tensor)
        assert len(store) == 3
        for frame in (2, 0, 1, 2):
            assert torch.equal(store[frame], tensors[frame])
        store.append(tensors[0])  # also after it was read
        assert torch.equal(store[3], tensors[0])

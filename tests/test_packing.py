"""Our safetensors files are the library's."""

import json
from pathlib import Path

import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from recorded import random
from regard.packing import safetensors_pieces

DTYPES = (
    *(torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64),
    *(torch.uint16, torch.uint32, torch.uint64, torch.float16, torch.bfloat16, torch.float32),
    *(torch.float64, torch.complex64, torch.float8_e4m3fn, torch.float8_e5m2),
)


def read(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    loaded: dict[str, Tensor] = safetensors.torch.load(b"".join(safetensors_pieces(tensors, {})))
    return loaded


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_dtype(dtype: torch.dtype) -> None:
    tensor = (10 * random(3, 5)).abs().to(dtype)
    found = read({"one": torch.ones(3, dtype=torch.uint8), "x": tensor})
    assert found["x"].dtype == dtype
    assert torch.equal(found["x"].view(torch.uint8), tensor.view(torch.uint8))


@given(
    st.dictionaries(
        st.text(max_size=5).filter(lambda name: name != "__metadata__"),
        st.tuples(st.lists(st.integers(0, 4), max_size=4), st.sampled_from(DTYPES[:6])),
    )
)
def test_any_shapes_and_names(shapes: dict[str, tuple[list[int], torch.dtype]]) -> None:
    tensors = {name: (100 * torch.rand(shape)).to(dtype) for name, (shape, dtype) in shapes.items()}
    found = read(tensors)
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in tensors.items())
    assert all(found[name].shape == tensor.shape for name, tensor in tensors.items())


def test_views_and_gradients_are_written_as_they_look() -> None:
    x = random(4, 6).requires_grad_()
    tensors = {"t": x.T, "step": x[::2, 1:4], "wide": x[:1].expand(3, 6), "row": x[2]}
    found = read(tensors)
    assert all(torch.equal(found[name], tensor) for name, tensor in tensors.items())


def test_nothing_is_copied() -> None:
    x = random(8, 8)
    _, piece = safetensors_pieces({"x": x}, {})
    x[0, 0] = 7
    assert torch.frombuffer(piece, dtype=torch.float32)[0] == 7


def test_header(tmp_path: Path) -> None:
    metadata = {"story": json.dumps({"ü": "日本", "quote": '"\\'})}
    path = tmp_path / "x.safetensors"
    path.write_bytes(b"".join(safetensors_pieces({"x": random(3), "b": random(2) > 0}, metadata)))
    with safetensors.safe_open(path, framework="pt") as file:
        assert file.metadata() == metadata
    size = int.from_bytes(path.read_bytes()[:8], "little")
    assert size % 8 == 0
    assert path.stat().st_size == 8 + size + 12 + 2
    assert safetensors_pieces({}, {}) == [(24).to_bytes(8, "little") + b'{"__metadata__":{}}     ']


def test_a_dtype_that_the_format_does_not_know() -> None:
    with pytest.raises(KeyError, match="complex128"):
        safetensors_pieces({"x": torch.zeros(2, dtype=torch.complex128)}, {})

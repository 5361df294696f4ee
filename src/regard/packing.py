"""Tensors as the bytes of a safetensors file, piece by piece and without a copy.

The library puts all tensors of a file into one string of bytes, twice, while every other thread
waits. A model that goes on while its attention is written must not wait. So what lies on a card
comes over in one transfer for each dtype, and not behind what the model asks the card for.

Source: the format, as in the README of huggingface/safetensors.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from itertools import groupby

import torch
from torch import Tensor
from torch._utils import _flatten_dense_tensors

Piece = bytes | memoryview
"""Bytes that a file holds one after the other."""

_NAMES = {
    torch.bool: "BOOL",
    torch.uint8: "U8",
    torch.int8: "I8",
    torch.float8_e4m3fn: "F8_E4M3",
    torch.float8_e5m2: "F8_E5M2",
    torch.int16: "I16",
    torch.uint16: "U16",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int32: "I32",
    torch.uint32: "U32",
    torch.float32: "F32",
    torch.complex64: "C64",
    torch.float64: "F64",
    torch.int64: "I64",
    torch.uint64: "U64",
}
_ALIGNED = 8


def beside_model(device: torch.device) -> AbstractContextManager[object]:
    """A context for another thread, to bring over what is on a card by now while the model goes on.

    It is made where the model runs and entered by the thread that packs.
    """
    if device.type != "cuda":
        return nullcontext()
    stream = _stream_of(device)
    stream.wait_stream(torch.cuda.current_stream(device))
    return torch.cuda.stream(stream)


@lru_cache
def _stream_of(device: torch.device) -> torch.cuda.Stream:
    """The same for all that is packed, as each stream has memory of its own."""
    stream: torch.cuda.Stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    return stream


def safetensors_pieces(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> list[Piece]:
    """A safetensors file with these tensors: its header, then each tensor.

    The pieces lie in the tensors' own memory where that is in order and on the CPU.

    Args:
        tensors: By name, of any shape and device.
        metadata: What else the header says.

    Raises:
        KeyError: A tensor is of a dtype that the format does not know.
    """
    header: dict[str, object] = {"__metadata__": dict(metadata)}
    offset = 0
    order = sorted(tensors.items(), key=_widest_first)
    for name, tensor in order:
        place = [offset, offset := offset + tensor.numel() * tensor.element_size()]
        kind, shape = _NAMES[tensor.dtype], list(tensor.shape)
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": place}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNED)
    pieces = _pieces([tensor for _, tensor in order])
    return [len(text).to_bytes(8, "little") + text, *pieces]


def _widest_first(named: tuple[str, Tensor]) -> tuple[int, str, str]:
    name, tensor = named
    return -tensor.element_size(), _NAMES[tensor.dtype], name


@torch.no_grad()
def _pieces(tensors: Sequence[Tensor]) -> Iterator[Piece]:
    """The bytes of each tensor, those of neighbours on a card together."""
    for (device, _), alike in groupby(tensors, lambda tensor: (tensor.device, tensor.dtype)):
        if device.type == "cpu":
            yield from map(_bytes, alike)
        else:
            flat: Tensor = _flatten_dense_tensors(list(alike))  # type: ignore[no-untyped-call]
            yield _bytes(_on_cpu(flat))


def _on_cpu(tensor: Tensor) -> Tensor:
    """The tensor, through memory that a card writes to by itself, which torch uses again."""
    if tensor.device.type != "cuda":
        return tensor.cpu()
    moved = tensor.to("cpu", non_blocking=True)
    torch.cuda.current_stream(tensor.device).synchronize()
    return moved


def _bytes(tensor: Tensor) -> memoryview:
    data: memoryview = tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy().data
    return data

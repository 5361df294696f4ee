"""Tensors as the bytes of a safetensors file, piece by piece and without a copy.

The library puts all tensors of a file into one string of bytes, twice, while every other thread
waits. A model that goes on while its attention is written must not wait.

Source: the format, as in the README of huggingface/safetensors.
"""

import json
from collections.abc import Mapping

import torch
from torch import Tensor

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
    pieces: list[Piece] = []
    offset = 0
    widest_first = sorted(tensors, key=lambda name: (-tensors[name].element_size(), name))
    for name in widest_first:
        tensor = tensors[name].detach()
        piece = tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data
        place = [offset, offset := offset + len(piece)]
        kind, shape = _NAMES[tensor.dtype], list(tensor.shape)
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": place}
        pieces.append(piece)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNED)
    return [len(text).to_bytes(8, "little") + text, *pieces]

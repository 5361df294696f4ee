"""The weights inside an ONNX file, read from its protobuf wire format.

Only what a weight conversion needs is read: the initializers of the main graph, and which
initializer each operator takes as input. Nothing is executed and no ONNX library is needed.

Source: field numbers of ``onnx.proto`` (ModelProto.graph 7; GraphProto.node 1, initializer 5;
NodeProto.input 1, name 3, op_type 4; TensorProto.dims 1, data_type 2, name 8, raw_data 9) and
the protobuf encoding guide (wire types 0 varint, 1 eight bytes, 2 length-delimited, 5 four bytes).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regard.errors import CheckpointError

_FLOAT32 = 1
_VARINT, _FIXED64, _LENGTH_DELIMITED, _FIXED32 = 0, 1, 2, 5


@dataclass(frozen=True)
class OnnxNode:
    """One operator of the graph."""

    name: str
    """Path of the operator, e.g. ``/encoder/layer.0/attention/query/MatMul``."""
    op_type: str
    """Operator, e.g. ``MatMul``."""
    inputs: tuple[str, ...]
    """Names of its inputs, in order; weights among them are keys of ``OnnxWeights.tensors``."""


@dataclass(frozen=True)
class OnnxWeights:
    """What an ONNX file stores: its float32 initializers and the operators that use them."""

    tensors: dict[str, NDArray[np.float32]]
    """Read-only views into the file's bytes, by initializer name; other dtypes are left out."""
    nodes: tuple[OnnxNode, ...]
    """All operators of the main graph, in file order."""


def read_onnx(data: bytes) -> OnnxWeights:
    """Weights and operators of an ONNX model.

    Args:
        data: The whole file.

    Raises:
        CheckpointError: The bytes are no ONNX model, end too early, or a tensor's bytes do not
            fill its shape.
    """
    tensors: dict[str, NDArray[np.float32]] = {}
    nodes: list[OnnxNode] = []
    for field, graph in _messages(memoryview(data)):
        if field != 7:
            continue
        for member, message in _messages(graph):
            if member == 1:
                nodes.append(_node(message))
            elif member == 5:
                tensors |= _float_tensor(message)
    if not tensors:
        raise CheckpointError(
            f"no float32 weights in these {len(data):,} bytes; expected an ONNX model "
            "with its weights stored inside"
        )
    return OnnxWeights(tensors, tuple(nodes))


def _node(message: memoryview) -> OnnxNode:
    name = op_type = ""
    inputs: list[str] = []
    for field, value in _messages(message):
        if field == 1:
            inputs.append(_text(value))
        elif field == 3:
            name = _text(value)
        elif field == 4:
            op_type = _text(value)
    return OnnxNode(name, op_type, tuple(inputs))


def _float_tensor(message: memoryview) -> dict[str, NDArray[np.float32]]:
    dims: list[int] = []
    name, data_type, raw = "", 0, memoryview(b"")
    for field, value in _fields(message):
        match field, value:
            case 1, int():
                dims.append(value)
            case 1, memoryview():  # packed dims
                dims.extend(_varints(value))
            case 2, int():
                data_type = value
            case 8, memoryview():
                name = _text(value)
            case 9, memoryview():
                raw = value
    if data_type != _FLOAT32:
        return {}
    values = int(np.prod(dims, dtype=object)) if dims else 1
    if len(raw) != 4 * values:
        raise CheckpointError(
            f"ONNX tensor {name!r} of shape {dims} needs {4 * values:,} bytes, "
            f"the file holds {len(raw):,}; it is damaged or keeps its weights in another file"
        )
    return {name: np.frombuffer(raw, dtype="<f4").reshape(dims)}


def _messages(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    for field, value in _fields(data):
        if isinstance(value, memoryview):
            yield field, value


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    position = 0
    while position < len(data):
        key, position = _varint(data, position)
        field, wire_type = key >> 3, key & 7
        if wire_type == _VARINT:
            number, position = _varint(data, position)
            yield field, number
            continue
        if wire_type == _LENGTH_DELIMITED:
            length, position = _varint(data, position)
        elif wire_type in (_FIXED64, _FIXED32):
            length = 8 if wire_type == _FIXED64 else 4
        else:
            raise CheckpointError(
                f"not an ONNX file: wire type {wire_type} at byte {position}, expected 0, 1, 2 or 5"
            )
        if position + length > len(data):
            raise CheckpointError(
                f"ONNX file ends early: field {field} wants {length:,} bytes, "
                f"{len(data) - position:,} are left; download it again"
            )
        yield field, data[position : position + length]
        position += length


def _varints(data: memoryview) -> Iterator[int]:
    position = 0
    while position < len(data):
        number, position = _varint(data, position)
        yield number


def _varint(data: memoryview, position: int) -> tuple[int, int]:
    number = 0
    for shift in range(0, 70, 7):
        if position >= len(data):
            raise CheckpointError("ONNX file ends inside a number; download it again")
        byte = data[position]
        position += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, position
    raise CheckpointError(f"not an ONNX file: a number of more than 10 bytes ends at {position}")


def _text(value: memoryview) -> str:
    return bytes(value).decode("utf-8", errors="replace")

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from regard.errors import CheckpointError
from regard.models.onnx_tensors import OnnxNode, read_onnx


def varint(number: int) -> bytes:
    groups = []
    while True:
        number, group = number >> 7, number & 0x7F
        groups.append(group | (0x80 if number else 0))
        if not number:
            return bytes(groups)


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def message(field: int, content: bytes) -> bytes:
    return varint(field << 3 | 2) + varint(len(content)) + content


def tensor(name: str, values: np.ndarray, *, packed: bool = False, data_type: int = 1) -> bytes:
    if packed:
        dims = message(1, b"".join(varint(side) for side in values.shape))
    else:
        dims = b"".join(number(1, side) for side in values.shape)
    kind, label = number(2, data_type), message(8, name.encode())
    return message(5, dims + kind + label + message(9, values.tobytes()))


def node(name: str, op_type: str, *inputs: str) -> bytes:
    names = b"".join(message(1, each.encode()) for each in inputs)
    return message(1, names + message(3, name.encode()) + message(4, op_type.encode()))


def model(*members: bytes) -> bytes:
    ir_version, producer = number(1, 8), message(2, b"pytorch")
    eight_bytes, four_bytes = varint(30 << 3 | 1) + bytes(8), varint(31 << 3 | 5) + bytes(4)
    return ir_version + producer + eight_bytes + four_bytes + message(7, b"".join(members))


@pytest.mark.parametrize("packed", [False, True])
def test_reads_tensors_and_their_users(packed: bool) -> None:
    weight = np.arange(600, dtype=np.float32).reshape(2, 300)
    bias = np.array(-1.5, np.float32)

    found = read_onnx(
        model(
            node("/layer/MatMul", "MatMul", "x", "weight"),
            tensor("weight", weight, packed=packed),
            tensor("bias", bias, packed=packed),
            tensor("shape", np.array([1, 2], np.int64), packed=packed, data_type=7),
        )
    )

    assert found.nodes == (OnnxNode("/layer/MatMul", "MatMul", ("x", "weight")),)
    assert found.tensors.keys() == {"weight", "bias"}
    np.testing.assert_array_equal(found.tensors["weight"], weight)
    np.testing.assert_array_equal(found.tensors["bias"], bias)


def test_every_truncation_is_an_error() -> None:
    whole = model(tensor("weight", np.ones((2, 3), np.float32)))
    for length in range(len(whole)):
        with pytest.raises(CheckpointError):
            read_onnx(whole[:length])


def test_a_shape_that_its_bytes_do_not_fill_is_an_error() -> None:
    dims = number(1, 2**40) + number(1, 2**40)
    lying = message(5, dims + number(2, 1) + message(8, b"weight") + message(9, bytes(8)))
    with pytest.raises(CheckpointError, match=r"'weight'.*the file holds 8"):
        read_onnx(message(7, lying))


@given(st.binary(max_size=300))
def test_other_bytes_are_a_checkpoint_error(data: bytes) -> None:
    with pytest.raises(CheckpointError):
        read_onnx(data)

"""Weights in detectron2's ``.pkl`` files, read without running anything that a pickle names.

Such a file is a pickled dictionary of NumPy arrays. A pickle may name any function to be called;
here every name stands for a small stand-in of our own, and any name beyond these few is refused.
Not even NumPy's own unpickling runs: it takes shapes and item sizes at their word.
"""

import math
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch

from regard.errors import CheckpointError, UnsafeCheckpoint

_LARGEST_AXES = 32


def read_detectron_pickle(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of the file's ``model`` entry, or of its top where it has none.

    Raises:
        UnsafeCheckpoint: It names something other than plain arrays.
        CheckpointError: It is damaged, or holds no weights.
    """
    try:
        with path.open("rb") as file:
            content = _Reader(file, encoding="latin1").load()
    except UnsafeCheckpoint:
        raise
    except Exception as error:  # damaged pickles raise any kind
        raise CheckpointError(
            f"{path} is damaged, or no pickle of arrays: {type(error).__name__}: {error}"
        ) from error
    weights = content.get("model", content) if isinstance(content, dict) else None
    if not isinstance(weights, dict):
        raise CheckpointError(f"{path} holds a {type(weights).__name__}; expected named arrays")
    found = {str(name): v.tensor() for name, v in weights.items() if isinstance(v, _Array)}
    if not found:
        raise CheckpointError(f"{path} holds no arrays; expected detectron2's model file")
    return found


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """The stand-in for a name that the pickle asks for."""
        stand_in = _STAND_INS.get((module.replace("numpy._core", "numpy.core"), name))
        if stand_in is None:
            raise UnsafeCheckpoint(
                f"the pickle asks for {module}.{name}, which could run code, so it was not read; "
                "expected detectron2's dictionary of NumPy arrays"
            )
        return stand_in

    def persistent_load(self, pid: Any) -> NoReturn:
        """Refused: nothing outside the file is read."""
        raise UnsafeCheckpoint("the pickle points outside itself; expected plain arrays")


class _Kind:
    """Stands for ``numpy.dtype``: kind, size and byte order."""

    def __init__(self, code: str, *_: Any) -> None:
        self.dtype = np.dtype(str(code))
        if self.dtype.kind not in "fiub":
            raise CheckpointError(f"an array of dtype {code!r}; expected numbers")

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        order = state[1]
        if order in ("<", ">"):
            self.dtype = self.dtype.newbyteorder(order)


class _Array:
    """Stands for an array; it is made when the state arrives, and checked."""

    values: "np.ndarray[Any, np.dtype[Any]]"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        shape, kind, fortran, data = state[-4:]
        if isinstance(data, str):  # written by Python 2
            data = data.encode("latin1")
        if not isinstance(data, bytes) or not isinstance(kind, _Kind):
            raise CheckpointError("an array without plain bytes")
        shape = tuple(int(side) for side in shape)
        if len(shape) > _LARGEST_AXES or min(shape, default=0) < 0:
            raise CheckpointError(f"an array of shape {shape}")
        if math.prod(shape) * kind.dtype.itemsize != len(data):
            raise CheckpointError(f"an array of shape {shape} in {len(data)} bytes")
        flat = np.frombuffer(data, kind.dtype)
        self.values = flat.reshape(shape, order="F" if fortran else "C")

    def tensor(self) -> torch.Tensor:
        """A tensor of its own memory."""
        native = self.values.astype(self.values.dtype.newbyteorder("="), order="C")
        return torch.from_numpy(native.copy())


class _ArrayClass:
    """Stands for ``numpy.ndarray`` where the pickle names it, and cannot be called."""

    def __new__(cls, *_: Any) -> NoReturn:
        raise CheckpointError("a pickle that builds arrays in an unknown way")


def _empty_array(*_: Any) -> _Array:
    return _Array()


def _number(kind: _Kind, data: Any) -> Any:
    raw = data.encode("latin1") if isinstance(data, str) else bytes(data)
    return np.frombuffer(raw, kind.dtype)[0].item()


def _bytes(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise CheckpointError(f"bytes written as {encoding!r}")
    return text.encode("latin1")


_STAND_INS: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _empty_array,
    ("numpy.core.multiarray", "scalar"): _number,
    ("numpy", "ndarray"): _ArrayClass,
    ("numpy", "dtype"): _Kind,
    ("_codecs", "encode"): _bytes,
    ("collections", "OrderedDict"): OrderedDict,
}

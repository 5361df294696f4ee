"""A tensor that a recording keeps by reference, with proof that nobody has written to it since."""

from collections.abc import Iterable

import torch
from torch import Tensor

from regard.errors import StaleRecord


def compact_view(tensor: Tensor) -> Tensor:
    """The tensor with every expanded (stride 0) axis cut to length 1: the same numbers, once."""
    for axis, (size, stride) in enumerate(zip(tensor.shape, tensor.stride(), strict=True)):
        if size > 1 and stride == 0:
            tensor = tensor.narrow(axis, 0, 1)
    return tensor


def storage_key(tensor: Tensor) -> int:
    """Identity of the memory that a tensor lies in."""
    key: int = tensor.untyped_storage()._cdata
    return key


def layout(tensor: Tensor) -> tuple[tuple[int, int], ...]:
    """Sizes and strides, with axes merged that run on in memory.

    The same for all views of the same numbers in the same order, such as (batch·heads, n, d) and
    (batch, heads, n, d).
    """
    merged: list[tuple[int, int]] = []
    for size, stride in zip(tensor.shape, tensor.stride(), strict=True):
        if size == 1:
            continue
        if merged and merged[-1][1] == size * stride:
            merged[-1] = (merged[-1][0] * size, stride)
        else:
            merged.append((size, stride))
    return tuple(merged)


class Kept:
    """One recorded tensor.

    It is held by reference as long as that is safe; `get` refuses when it was overwritten in
    place after the recording (inference tensors carry no version and cannot be checked).
    """

    __slots__ = ("__weakref__", "_shape", "_tensor", "_version")

    def __init__(self, tensor: Tensor) -> None:
        self.replace(tensor)
        self._shape = tensor.shape

    def replace(self, tensor: Tensor) -> None:
        """Hold this tensor instead (the same numbers in a place of their own)."""
        self._tensor = compact_view(tensor.detach())
        self._version = None if tensor.is_inference() else tensor._version

    def get(self) -> Tensor:
        """The tensor as it was when it was recorded."""
        return self.compact().expand(self._shape)

    def compact(self) -> Tensor:
        """The same without repetition: axes that were expanded have length 1."""
        if self._version is not None and self._tensor._version != self._version:
            raise StaleRecord(
                f"a recorded tensor of shape {tuple(self._shape)} was overwritten in place after "
                "the recording ended (a reused cache or buffer?); read the weights before the "
                "model runs again, or keep a copy with recording.save(path)"
            )
        return self._tensor

    @property
    def kept(self) -> list["Kept"]:
        """Itself: a tensor that is made of nothing else."""
        return [self]

    @property
    def is_unversioned(self) -> bool:
        """Whether the tensor carries no version, so that nobody can tell if it was written to."""
        return self._version is None

    @property
    def nbytes(self) -> int:
        """Bytes that the distinct numbers take."""
        return self._tensor.numel() * self._tensor.element_size()

    @property
    def storage_key(self) -> int:
        """Identity of the memory that the tensor lies in."""
        return storage_key(self._tensor)

    @property
    def storage_nbytes(self) -> int:
        """Bytes of that memory, all of which the tensor keeps alive."""
        return self._tensor.untyped_storage().nbytes()

    @property
    def identity(self) -> tuple[object, ...]:
        """Equal for two records of the same numbers in the same memory, in the same order."""
        t = self._tensor
        return (self.storage_key, t.storage_offset(), layout(t), t.dtype, self._version)

    def clone(self) -> None:
        """Move the numbers to a place of their own."""
        self.replace(self._tensor.clone().expand(self._shape))

    def follow(self, moved: "Kept") -> None:
        """Take the numbers from where another record of the same numbers has moved them."""
        numbers = moved._tensor.reshape(self._tensor.shape)
        self.replace(numbers.expand(self._shape))

    @property
    def shape(self) -> torch.Size:
        """Shape as the model had it, expanded axes included."""
        return self._shape

    @property
    def dtype(self) -> torch.dtype:
        """Element type."""
        return self._tensor.dtype


def clone_together(group: Iterable[Kept]) -> None:
    """Move records to places of their own; those of the same numbers stay together."""
    moved: dict[tuple[object, ...], Kept] = {}
    for kept in group:
        identity = kept.identity
        if identity in moved:
            kept.follow(moved[identity])
        else:
            kept.clone()
            moved[identity] = kept

"""A tensor that a recording keeps by reference, with proof that nobody has written to it since."""

from collections.abc import Iterable, Sequence
from functools import lru_cache

import torch
from torch import Tensor

from regard.errors import StaleRecord


def compact_view(tensor: Tensor) -> Tensor:
    """The tensor with every expanded (stride 0) axis cut to length 1: the same numbers, once."""
    if 0 not in tensor.stride():  # nearly always
        return tensor
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
    return _merged(tensor.shape, tensor.stride())


@lru_cache(4096)
def _merged(shape: tuple[int, ...], strides: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    merged: list[tuple[int, int]] = []
    for size, stride in zip(shape, strides, strict=True):
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

    A cache that grows is kept once: each earlier state leans on the last one, whose beginning
    it is.
    """

    __slots__ = (
        *("__weakref__", "_axis", "_identity", "_longer", "_memory", "_shape", "_tensor"),
        "_version",
    )

    def __init__(self, tensor: Tensor) -> None:
        self.replace(tensor)
        self._shape = tensor.shape
        self._longer: Kept | None = None
        self._axis = -2

    def replace(self, tensor: Tensor) -> None:
        """Hold this tensor instead (the same numbers in a place of their own)."""
        self._tensor = compact_view(tensor.detach())
        self._memory: int | None = None
        self._identity: tuple[object, ...] | None = None
        self._version = None if tensor.is_inference() else tensor._version

    @property
    def extent(self) -> tuple[tuple[object, ...], int, tuple[int, ...], tuple[int, ...]]:
        """Where it lies: memory and type, offset of the first number, shape and strides."""
        t = self._tensor
        memory = (self._own_storage_key, t.dtype, self._version)
        return memory, int(t.storage_offset()), tuple(t.shape), tuple(t.stride())

    def get(self) -> Tensor:
        """The tensor as it was when it was recorded."""
        tensor = self.compact()
        return tensor if tensor.shape == self._shape else tensor.expand(self._shape)

    def compact(self) -> Tensor:
        """The same without repetition: axes that were expanded have length 1."""
        if self._longer is not None:
            return self.longest.compact().narrow(self._axis, 0, self._shape[self._axis])
        if self._version is not None and self._tensor._version != self._version:
            raise StaleRecord(
                f"a recorded tensor of shape {tuple(self._shape)} was overwritten in place after "
                "the recording ended (a reused cache or buffer?); read the weights before the "
                "model runs again, or keep a copy with recording.save(path)"
            )
        return self._tensor

    @property
    def longest(self) -> "Kept":
        """The kept tensor that holds the memory: this one, or what it leans on."""
        if self._longer is None:
            return self
        end = self._longer
        while end._longer is not None:
            end = end._longer
        step = self
        while step._longer is not None and step._longer is not end:
            step._longer, step = end, step._longer  # so that no chain grows long
        return end

    def lean_on(self, longer: "Kept") -> bool:
        """Hold no memory any more if the longer tensor begins with the same numbers.

        Longer along one of the last two axes: rows of keys, columns of a mask.

        Returns:
            Whether it does.
        """
        mine, whole = self.compact(), longer.compact()
        axis = _longer_axis(mine.shape, whole.shape)
        if axis is None or (mine.dtype, mine.device) != (whole.dtype, whole.device):
            return False
        if not torch.equal(mine, whole.narrow(axis, 0, mine.shape[axis])):
            return False
        self._longer, self._axis, self._tensor = longer, axis, whole.narrow(axis, 0, 0)
        self._memory = None
        return True

    @property
    def kept(self) -> list["Kept"]:
        """Itself: a tensor that is made of nothing else."""
        return [self]

    @property
    def is_unversioned(self) -> bool:
        """Whether the tensor carries no version, so that nobody can tell if it was written to."""
        return self._version is None

    @property
    def was_written(self) -> bool:
        """Whether somebody had written to the tensor in place before it was recorded."""
        return bool(self._version)

    @property
    def nbytes(self) -> int:
        """Bytes that the distinct numbers take, all those of a tensor that this one leans on."""
        tensor = self.longest._tensor
        return tensor.numel() * tensor.element_size()

    @property
    def storage_key(self) -> int:
        """Identity of the memory that the tensor lies in."""
        if self._memory is not None and self._longer is None:  # asked again, as it nearly always is
            return self._memory
        return self.longest._own_storage_key

    @property
    def _own_storage_key(self) -> int:
        if self._memory is None:  # few are asked
            self._memory = storage_key(self._tensor)
        return self._memory

    @property
    def storage_nbytes(self) -> int:
        """Bytes of that memory, all of which the tensor keeps alive."""
        return self.longest._tensor.untyped_storage().nbytes()

    @property
    def identity(self) -> tuple[object, ...]:
        """Equal for two records of the same numbers in the same memory, in the same order."""
        end = self.longest
        if end._identity is None:
            t = end._tensor
            place = (end._own_storage_key, t.storage_offset(), layout(t))
            end._identity = (*place, t.dtype, end._version)
        return end._identity

    def clone(self) -> None:
        """Move the numbers to a place of their own."""
        if self._longer is not None:
            return  # they are in no place of this one's
        self.replace(self._tensor.clone().expand(self._shape))

    def follow(self, moved: "Kept") -> None:
        """Take the numbers from where another record of the same numbers has moved them."""
        if self._longer is not None or moved._longer is not None:
            return  # its numbers are in no place of this one's
        numbers = moved._tensor.reshape(self._tensor.shape)
        self.replace(numbers.expand(self._shape))

    @property
    def shape(self) -> torch.Size:
        """Shape as the model had it, expanded axes included."""
        return self._shape

    @property
    def device(self) -> torch.device:
        """Where the numbers are."""
        return self._tensor.device

    @property
    def dtype(self) -> torch.dtype:
        """Element type."""
        return self._tensor.dtype


def _longer_axis(short: Sequence[int], long: Sequence[int]) -> int | None:
    """The one of the last two axes in which alone the second shape is larger; None if none is."""
    if len(short) != len(long) or len(short) < 2:
        return None
    differing = [i - len(short) for i, n in enumerate(short) if n != long[i]]
    if len(differing) != 1 or differing[0] < -2 or short[differing[0]] > long[differing[0]]:
        return None
    return differing[0]


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

"""What is known about tensors, for as long as they live."""

from collections.abc import Iterator
from typing import Any, Generic, TypeVar
from weakref import ref

from torch import Tensor

T = TypeVar("T")


class WhileAlive(Generic[T]):
    """One value a tensor, told apart by identity; both are let go when the tensor is.

    Attributes:
        known: Id of each tensor to a reference to it, and its value; empty if nothing is known.
    """

    def __init__(self) -> None:
        self.known: dict[int, tuple[ref[Tensor], T]] = {}

    def __bool__(self) -> bool:
        return bool(self.known)

    def get(self, tensor: Any) -> T | None:
        """The value of a tensor; None for any other thing, too."""
        found = self.known.get(id(tensor))
        return found[1] if found is not None and found[0]() is tensor else None

    def set(self, tensor: Tensor, value: T) -> None:
        """Remember a value instead of the one before."""
        key, known = id(tensor), self.known

        def forget(gone: ref[Tensor]) -> None:
            if key in known and known[key][0] is gone:
                del known[key]

        known[key] = (ref(tensor, forget), value)

    def forget(self, tensor: Tensor) -> None:
        """Let go of a tensor's value."""
        self.known.pop(id(tensor), None)

    def clear(self) -> None:
        """Let go of everything."""
        self.known.clear()

    def items(self) -> Iterator[tuple[Tensor, T]]:
        """Living tensors and their values, oldest first."""
        for reference, value in list(self.known.values()):
            tensor = reference()
            if tensor is not None:
                yield tensor, value

"""Keeping tensors by reference while that is safe, and by copy where it is not."""

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any
from weakref import WeakValueDictionary, ref

from torch import Tensor, nn

from regard.kept import Kept, clone_together, storage_key


class Keeper:
    """Hands out `Kept` tensors and copies them just before anything writes to their memory.

    A tensor is copied at once when its memory belongs to the model, or has been written to
    before (a reused cache); all others are kept by reference, and copied when a write comes.
    """

    def __init__(self, modules: Iterable[nn.Module]) -> None:
        self._owners = {  # where a parameter or buffer lies -> those of its module, by name
            storage_key(tensor): own
            for module in modules
            for own in (module._parameters, module._buffers)
            if own  # most modules have no buffers
            for tensor in own.values()
            if tensor is not None
        }
        self._by_storage: dict[int, list[ref[Kept]]] = {}
        self._copies: WeakValueDictionary[tuple[object, ...], Kept] = WeakValueDictionary()

    def keep(self, tensor: Tensor) -> Kept:
        """The tensor as it is now, whatever happens to its memory later."""
        kept = Kept(tensor)
        key = kept.storage_key
        if key in self._owners and self.is_owned(tensor):
            return self._copy_of_owned(kept)
        if kept.was_written:
            kept.clone()
        else:
            self._by_storage[key] = [*self._living(key), ref(kept)]
        return kept

    def _living(self, storage: int) -> list[ref[Kept]]:
        """Those in this memory that a recording still holds."""
        return [held for held in self._by_storage.get(storage, ()) if held() is not None]

    def _copy_of_owned(self, kept: Kept) -> Kept:
        """A copy, the same one for every layer that uses this parameter or buffer."""
        key = (kept.identity, kept.shape)
        copy = None if kept.is_unversioned else self._copies.get(key)
        if copy is None:
            kept.clone()
            self._copies[key] = copy = kept
        return copy

    def is_owned(self, tensor: Tensor) -> bool:
        """Whether the tensor lies in a parameter or buffer of the model.

        Those of offloaded models come and go, and other tensors come to lie where they were.
        """
        key = storage_key(tensor)
        own = self._owners.get(key, {})  # nearly always none
        return any(storage_key(each) == key for each in own.values() if each is not None)

    def is_weight(self, tensor: Tensor) -> bool:
        """Whether the tensor is a parameter, of whatever model, or a buffer of this one."""
        return isinstance(tensor, nn.Parameter) or self.is_owned(tensor)

    def settle(self, group: Sequence[Kept]) -> None:
        """Copy those of a group that would keep alive a third more memory than they need.

        q and k of one projection for q, k and v are such: its memory is free again at once for
        the next layer, which takes as long as the copy.
        """
        if all(3 * kept.nbytes > 2 * kept.storage_nbytes for kept in group):
            return  # nearly always
        needed: dict[int, int] = {}
        for kept in distinct(group):
            needed[kept.storage_key] = needed.get(kept.storage_key, 0) + kept.nbytes
        clone_together(
            [kept for kept in group if 3 * needed[kept.storage_key] <= 2 * kept.storage_nbytes]
        )

    def before_write(self, tensors: Iterable[Tensor]) -> None:
        """Copy what is kept of these tensors' memory, which is about to be overwritten."""
        for tensor in tensors:
            if self._by_storage:
                written = self._by_storage.pop(storage_key(tensor), ())
                clone_together(kept for held in written if (kept := held()) is not None)


def distinct(group: Sequence[Kept]) -> Iterable[Kept]:
    """One record of each of the tensors; those in memories of their own need no closer look."""
    if len({kept.storage_key for kept in group}) == len(group):
        return group
    return {kept.identity: kept for kept in group}.values()


Written = Callable[[Sequence[Any], Mapping[str, Any]], list[Tensor]]


@lru_cache(4096)
def writer(func: Callable[..., Any]) -> Written | None:
    """A function that tells which arguments a torch function overwrites; None if it never does."""
    name: str = getattr(func, "__name__", "").partition(".")[0]  # add_ of the op add_.Tensor
    if name == "__setitem__" or (
        name.startswith("__i") and name not in ("__invert__", "__index__")
    ):
        return _first
    if name.endswith("_") and not name.endswith("__"):
        return _first
    place = _inplace_position(func)
    return None if place is None else lambda args, kwargs: _flagged(args, kwargs, place)


def _first(args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Tensor]:
    target = args[0] if args else kwargs.get("input", kwargs.get("self"))
    return tensors_in(target)


def _flagged(args: Sequence[Any], kwargs: Mapping[str, Any], place: int) -> list[Tensor]:
    flag = kwargs.get("inplace", args[place] if len(args) > place else False)
    return _first(args, kwargs) if flag is True else []


def tensors_in(value: Any) -> list[Tensor]:
    """The value if it is a tensor, the tensors of a list or tuple, else nothing."""
    if isinstance(value, Tensor):
        return [value]
    return [t for t in value if isinstance(t, Tensor)] if isinstance(value, (list, tuple)) else []


def _inplace_position(func: Callable[..., Any]) -> int | None:
    """Position of the `inplace` argument of a Python function such as F.relu."""
    if not hasattr(inspect.unwrap(func), "__code__"):
        return None  # built in, or a thin cover of what is
    names = list(inspect.signature(func).parameters)
    return names.index("inplace") if "inplace" in names else None

"""A recording: the attention calls of a run, in the order in which they ran."""

import math
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import overload

from torch import Tensor

from regard.attention import Attention, Kind
from regard.errors import SelectionError


@dataclass(frozen=True, slots=True)
class Unrecorded:
    """Something that looked like attention and has no record.

    Attributes:
        layer: Path of the module.
        reason: Why there is no record, in words.
    """

    layer: str
    reason: str


@dataclass(frozen=True, slots=True)
class LayerError:
    """How far the weights of a layer are from what the model really did.

    Attributes:
        layer: Path of the module.
        error: Largest |W·V − output| over the checked rows and channels; None if unchecked.
        reason: Why it was not checked, if it was not.
    """

    layer: str
    error: float | None
    reason: str = ""


class Recording(Sequence[Attention]):
    """The recorded calls of a run, in order.

    `recording[3]` is a call, `recording["encoder.layer.8.*"]` the part of the recording whose
    layers match, `recording.find(kind=..., forward=0)` the part with these properties. `noted` is
    what the model decided about its tokens while it ran; `regard.lay_out` reads it.
    """

    def __init__(
        self, calls: Sequence[Attention] = (), unrecorded: Sequence[Unrecorded] = ()
    ) -> None:
        self._calls = list(calls)
        self.unrecorded = list(unrecorded)
        self.noted: dict[str, list[Tensor]] = {}

    def __len__(self) -> int:
        return len(self._calls)

    def __iter__(self) -> Iterator[Attention]:
        return iter(self._calls)

    @overload
    def __getitem__(self, key: int) -> Attention: ...
    @overload
    def __getitem__(self, key: slice | str) -> "Recording": ...
    def __getitem__(self, key: int | slice | str) -> "Attention | Recording":
        if isinstance(key, str):
            return self.find(key)
        if isinstance(key, slice):
            return Recording(self._calls[key], self.unrecorded)
        try:
            return self._calls[key]
        except IndexError:
            raise SelectionError(f"call {key} does not exist; there are {len(self)}") from None

    def append(self, call: Attention) -> None:
        """Add a call at the end."""
        self._calls.append(call)

    @property
    def layers(self) -> list[str]:
        """Paths of the layers that have a record, in the order of their first call."""
        return list(dict.fromkeys(call.layer for call in self))

    @property
    def nbytes(self) -> int:
        """Bytes of all records; tensors shared between calls count once."""
        kept = (kept for call in self for kept in call.held)
        return sum({kept.identity: kept.nbytes for kept in kept}.values())

    def find(self, layer: str = "*", *, kind: Kind | None = None, **axes: object) -> "Recording":
        """The calls that match.

        Args:
            layer: Glob over module paths; it also matches everything inside a module it names.
            kind: "dot_product", "explicit", "deformable" or "stitched".
            axes: Values of axes, such as forward=0 or step=3.

        Raises:
            SelectionError: Nothing matches; the message lists what there is.
        """
        found = [
            call
            for call in self
            if matches(call.layer, layer)
            and kind in (None, call.kind)
            and all(call.axes.get(name) == value for name, value in axes.items())
        ]
        if not found:
            raise SelectionError(self._nothing_found(layer, kind, axes))
        return Recording(found, self.unrecorded)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """The path of one safetensors file that holds the whole recording, without loss."""
        from regard.storage import save  # storage builds recordings, so it imports this module

        return save(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Recording":
        """The recording that `save` wrote.

        Raises:
            FormatError: The file is damaged, or is no recording.
        """
        from regard.storage import load

        return load(path)

    def verify(self) -> list[LayerError]:
        """How far W·V is from the output that the model really computed, per layer.

        Checked in the rows, heads and channels that were sampled while the model ran.
        """
        worst: dict[str, LayerError] = {}
        for call in self:
            found = _check(call)
            known = worst.get(call.layer)
            if known is None or _rank(found) > _rank(known):
                worst[call.layer] = found
        return list(worst.values())

    def __repr__(self) -> str:
        lines = [
            f"<Recording of {len(self)} calls in {len(self.layers)} layers, {self.nbytes:,} bytes>"
        ]
        lines += [f"  {call!r}" for call in self[:40]]
        if len(self) > 40:
            lines.append(f"  ... {len(self) - 40} more")
        lines += [
            f"  not recorded: {item.layer or '(model)'}: {item.reason}" for item in self.unrecorded
        ]
        return "\n".join(lines)

    def _nothing_found(self, layer: str, kind: Kind | None, axes: dict[str, object]) -> str:
        wanted = [f"layer={layer!r}"] if layer != "*" else []
        wanted += [f"kind={kind!r}"] if kind else []
        wanted += [f"{name}={value}" for name, value in axes.items()]
        there = ", ".join(path or "(model)" for path in self.layers[:12])
        more = f" and {len(self.layers) - 12} more" if len(self.layers) > 12 else ""
        return f"no recorded call has {', '.join(wanted)}; recorded layers: {there}{more}"


def matches(path: str, pattern: str) -> bool:
    """Whether a glob matches a module path or one of the modules that hold it."""
    if fnmatchcase(path, pattern):
        return True
    parts = path.split(".")
    return any(fnmatchcase(".".join(parts[:n]), pattern) for n in range(1, len(parts)))


def matches_any(path: str, patterns: Iterable[str]) -> bool:
    """Whether any of several globs matches a module path."""
    return any(matches(path, pattern) for pattern in patterns)


def _rank(found: LayerError) -> float:
    """How bad: NaN is worse than any error, and any error tells more than no check."""
    if found.error is None:
        return -1.0
    return math.inf if math.isnan(found.error) else found.error


def _check(call: Attention) -> LayerError:
    error = call.output_error()
    reason = "" if error is not None else "; ".join(call.notes) or "no sample of the output"
    return LayerError(call.layer, error, reason)

"""Which tensors are scores or weights now: their traces, through views, writes, cuts and joins."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from regard.intercept.alive import WhileAlive
from regard.intercept.trace import Fate, Trace
from regard.kept import storage_key

JOINED = "its weights are several softmaxes joined"
JOINS = (torch.cat, torch.concat, torch.concatenate, torch.stack)


class Following(WhileAlive[Trace]):
    """The traces of all tensors that are followed."""

    def look_up(self, func: Callable[..., Any], args: Sequence[Any]) -> list[Trace | None]:
        """The traces of positional arguments; None for each that has none.

        Of tensors that are joined, the trace of the first stands for all.
        """
        if func in JOINS and args and args[0]:
            args = args[0][:1]
        return [self.get(arg) if isinstance(arg, Tensor) else None for arg in args]

    def trace(self, tensor: Any) -> Trace | None:
        """The trace of a tensor, told in its own axes."""
        trace = self.get(tensor)
        return None if trace is None else trace.unfolded(tensor.shape)

    def carriers(self, fate: Fate) -> list[tuple[Tensor, Trace]]:
        """Tensors that carry the weights of a softmax, oldest first."""
        return [
            (tensor, trace.unfolded(tensor.shape))
            for tensor, trace in self.items()
            if trace.fate is fate
        ]

    def overwritten(self, tensor: Tensor) -> None:
        """Give up what is known about a tensor that something else is written to."""
        trace = self.trace(tensor)
        if trace is not None:
            self.set(tensor, trace.lose("it was overwritten, or a part of it"))
        self.void_others(tensor)

    def void_others(self, written: Tensor) -> None:
        """Give up the traces of all other tensors in the memory that was written to."""
        memory = storage_key(written)
        for other, trace in self.items():
            if other is not written and storage_key(other) == memory:
                self.set(other, trace.lose("it was changed through another view"))

    def cut(self, trace: Trace | None, pieces: Sequence[Tensor]) -> None:
        """Follow the pieces of a tensor that was cut along another axis than those of tokens."""
        if trace is not None and not trace.folded and None not in trace.axes:
            for piece in pieces:
                self.set(piece, trace.lose("it was split"))

    def join(
        self, func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any], out: Tensor
    ) -> None:
        """Follow weights that were joined from several softmaxes."""
        traces = [trace for piece in args[0] if (trace := self.trace(piece)) is not None]
        if len(traces) < len(args[0]) or not all(trace.is_weights for trace in traces):
            return
        for trace in traces:
            if trace.fate is not None:
                trace.fate.met_values = True  # what becomes of them is told by the whole
        axes = traces[0].axes
        if func is torch.stack:
            dim = kwargs.get("dim", args[1] if len(args) > 1 else 0)
            new = dim if dim < 0 else dim - out.dim()
            axes = (_past(axes[0], new), _past(axes[1], new))
        self.set(out, replace(traces[0].lose(JOINED), axes=axes))


def _past(axis: int | None, new: int) -> int | None:
    """Where an axis, counted from the end, is after a new axis came to place `new`."""
    return axis if axis is None or axis > new else axis - 1

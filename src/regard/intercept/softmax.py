"""Attention that a model writes out: a product of q and k, a softmax, a product with the values.

Every product of two activations starts a trace; each call that touches a traced tensor continues
it; a softmax turns scores into weights; a product with the values, contracted over the keys,
confirms that it was attention, and the call is recorded. Where a step cannot be run again, or
there was no product before the softmax, the weights themselves are kept: the effective ones, as
they met the values.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any
from weakref import ref

import torch
import torch.nn.functional as F
from torch import Tensor

from regard.intercept.contraction import Contraction, arrange, of_call
from regard.intercept.recorder import Recorder
from regard.intercept.stack import Frame
from regard.intercept.steps import continued, plain_name
from regard.intercept.trace import Fate, Trace
from regard.intercept.valueless import ValuelessSoftmaxes
from regard.intercept.values import ValueProducts, Weighed, of_linear
from regard.intercept.written_softmax import WrittenSoftmax
from regard.kept import storage_key
from regard.scores import Autocast

NO_VALUES = "a softmax over q·k was taken, and its weights never met any values"
NO_SOFTMAX = (
    "q·k weighs the values and no softmax was called: linear or sigmoid attention, or a softmax "
    "written out by hand"
)
ONES = (
    "its softmax runs over another axis than the sum: over an axis of one entry, every weight is 1"
)
JOINED = "its weights are several softmaxes joined"
JOINS = (torch.cat, torch.concat, torch.concatenate, torch.stack)
PIECES = ("chunk", "split", "unbind", "tensor_split", "iter")
FREE = "its softmax is not of a q·k product: kept as weights"


class SoftmaxAttention:
    """Follows scores from their product to the values."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._values = ValueProducts(recorder)
        self._weighed: dict[int, tuple[ref[Tensor], Weighed]] = {}
        self._written = WrittenSoftmax()
        self._valueless = ValuelessSoftmaxes(recorder)
        recorder.stack.left = self._left
        self._traces: dict[int, tuple[ref[Tensor], Trace]] = {}
        self.fates: list[Fate] = []

    def functions(self) -> dict[Any, Callable[..., Any]]:
        """Products and softmaxes, as functions and as methods of tensors."""
        products = [torch.matmul, torch.bmm, torch.mm, torch.mv, torch.baddbmm, torch.addmm]
        products += [torch.einsum]
        methods = ["matmul", "__matmul__", "__rmatmul__", "bmm", "mm", "mv", "baddbmm", "addmm"]
        softmaxes = [F.softmax, torch.softmax, torch.special.softmax, Tensor.softmax]
        return {
            **dict.fromkeys([*products, *(getattr(Tensor, m) for m in methods)], self.product),
            **dict.fromkeys(softmaxes, self.softmax),
        }

    @property
    def is_following(self) -> bool:
        """Whether any traced tensor is alive."""
        return bool(self._traces)

    def product(
        self, func: Callable[..., Tensor], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Tensor:
        """Run a matrix product; it may start a trace, or be attention's last act."""
        tensors = (*args, *(v for name, v in kwargs.items() if name not in ("beta", "alpha")))
        c = self._recorder.guard(of_call, func, tensors)
        if c is None or not c.is_plain or "out" in kwargs:
            return func(*args, **kwargs)
        if self._values.has_summaries:
            self._recorder.guard(self._values.tell_summaries, c)
        a, b = self.trace(c.a), self.trace(c.b)
        start = None
        if a is None and b is None:
            start = self._recorder.guard(self._start, c, plain_name(func), args, kwargs)
        out = func(*args, **kwargs)
        if start is not None:
            self.follow(out, start)
        elif a is not None and (a.is_weights or b is None):
            self._recorder.guard(self._multiplied, a, c, c.a_labels, out)
        elif b is not None:
            self._recorder.guard(self._multiplied, b, c, c.b_labels, out)
        return out

    def _multiplied(
        self, trace: Trace, c: Contraction, labels: tuple[str, ...], out: Tensor
    ) -> None:
        """Scores or weights went into a product: with the values, or over another axis."""
        tokens = [labels[axis] for axis in trace.axes if axis is not None]
        if trace.q is not None and len(tokens) == 2 and set(tokens) <= set(c.out_labels):
            n = len(c.out_labels)
            row, column = (c.out_labels.index(x) - n for x in tokens)
            mixed = trace.lose("a product mixes its heads")
            self.follow(out, replace(mixed, axes=(row, column)))
        elif trace.is_weights:
            self._values.meet(trace, c, labels, out)
        elif trace.q is not None and any(x in c.contracted for x in tokens):
            self._recorder.miss(NO_SOFTMAX)

    def softmax(
        self, func: Callable[..., Tensor], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Tensor:
        """Run a softmax; scores become weights."""
        out = func(*args, **kwargs)
        scores: Tensor = args[0] if args else kwargs["input"]
        dim = kwargs.get("dim", args[1] if len(args) > 1 else None)
        if isinstance(dim, int) and isinstance(scores, Tensor):
            dim = dim if dim < 0 else dim - scores.dim()
            self.follow(out, self._softmaxed(self.trace(scores), scores, dim, out.dtype))
        return out

    def _softmaxed(
        self, trace: Trace | None, scores: Tensor, dim: int, dtype: torch.dtype
    ) -> Trace:
        if trace is None or trace.is_weights:
            now = Autocast.now(scores.device.type)
            return Trace(now, axes=(None, dim), query_side=0, is_weights=True, lost=FREE)
        fate = Fate(self._recorder.stack.top.path)
        self.fates.append(fate)
        self._valueless.wait(fate)
        done = trace.softmaxed(dim, None if dtype == scores.dtype else dtype)
        return replace(done, fate=fate)

    def observe(
        self,
        func: Callable[..., Any],
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        shapes: Sequence[Sequence[int]],
        traces: Sequence[Trace | None],
        out: Any,
    ) -> None:
        """Continue the traces of a call's arguments, which were looked up before it ran."""
        if func is Tensor.__setitem__:
            self.overwritten(args[0])
            return
        if plain_name(func) in PIECES and isinstance(out, (tuple, list)):
            self._split(traces[0], out)
            return
        if not isinstance(out, Tensor) or not out.is_floating_point():
            return
        if func in JOINS:
            self._join(func, args, kwargs, out)
            return
        scores = self._written.observe(plain_name(func), args, kwargs, traces[0], out, self.follow)
        if scores is not None:
            self.follow(out, self._softmaxed(scores[0], out, scores[1], out.dtype))
            return
        found = [i for i, trace in enumerate(traces) if trace is not None]
        same = [i for i in found if list(shapes[i]) == list(out.shape)]
        place = (same or found)[0]
        trace = traces[place]
        assert trace is not None
        if any(arg is out for arg in args):
            self._void_others(out)
        if self._meets_values(func, args, kwargs, place, trace, out):
            return
        after = continued(
            trace, func, args, kwargs, place, shapes[place], out, self._recorder.keeper.keep
        )
        if after is None:
            return
        if len(found) > 1 and any(traces[i].is_weights for i in found):  # type: ignore[union-attr]
            after = replace(after.lose("several softmaxes are mixed"), is_weights=True)
        self.follow(out, after)

    def _meets_values(
        self,
        func: Callable[..., Any],
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        place: int,
        trace: Trace,
        out: Tensor,
    ) -> bool:
        """Whether a call that is no matrix product by name was a product with the values."""
        name = plain_name(func)
        if name == "sum":
            return self._summed(args, kwargs, out)
        if not trace.is_weights:
            return False
        if name == "linear" and place == 0 and trace.q is not None and trace.key_axis == -1:
            values, bias = args[1], kwargs.get("bias", args[2] if len(args) > 2 else None)
            if bias is None and not self._is_weight(values):
                c = of_linear(args[0], values)
                return self._values.meet(trace, c, c.a_labels, out) is not None
        if name in ("mul", "multiply") and isinstance(args[1 - place], Tensor):
            self._weigh(Weighed(trace, args[place], args[1 - place]), out)
        return False

    def _weigh(self, weighed: Weighed, out: Tensor) -> None:
        """Remember what was multiplied, for as long as the product lives, in case it is summed."""
        key = id(out)
        if weighed.has_channels and out is not weighed.weights:
            self._weighed[key] = (ref(out, lambda _: self._weighed.pop(key, None)), weighed)

    def _summed(self, args: Sequence[Any], kwargs: Mapping[str, Any], out: Tensor) -> bool:
        """Whether a sum completes a product with the values."""
        found = self._weighed.get(id(args[0]))
        weighed = found[1] if found is not None and found[0]() is args[0] else None
        completed = None if weighed is None else weighed.summed(out, args, kwargs)
        if completed is None:
            return False
        trace, c, out = completed
        if trace.key_axis is None:
            self._recorder.miss(ONES)
            return False
        return self._values.meet(trace, c, c.a_labels, out) is not None

    def _join(
        self, func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any], out: Tensor
    ) -> None:
        """Follow weights that were joined from several softmaxes."""
        pieces = [self.trace(piece) for piece in args[0]]
        first = pieces[0]
        if first is None or not all(piece is not None and piece.is_weights for piece in pieces):
            return
        for piece in pieces:
            if piece is not None and piece.fate is not None:
                piece.fate.met_values = True  # what becomes of them is told by the first
        axes = first.axes
        if func is torch.stack:
            dim = kwargs.get("dim", args[1] if len(args) > 1 else 0)
            new = dim if dim < 0 else dim - out.dim()
            axes = (_past(axes[0], new), _past(axes[1], new))
        self.follow(out, replace(first.lose(JOINED), axes=axes))

    def _left(self, frame: Frame) -> None:
        if self._valueless.is_waiting:
            with torch._C.DisableTorchFunction():  # hooks run under the mode
                self._recorder.guard(self._valueless.left, frame, self._living)

    def _living(self, fate: Fate) -> list[tuple[Tensor, Trace]]:
        """Tensors that carry the weights of a softmax, oldest first."""
        found = [(tensor(), trace) for tensor, trace in self._traces.values()]
        return [(t, trace) for t, trace in found if t is not None and trace.fate is fate]

    def _split(self, trace: Trace | None, pieces: Sequence[Tensor]) -> None:
        """Follow the pieces of a tensor that was cut along another axis than those of tokens."""
        if trace is not None and None not in trace.axes:
            for piece in pieces:
                self.follow(piece, trace.lose("it was split"))

    def look_up(self, func: Callable[..., Any], args: Sequence[Any]) -> list[Trace | None]:
        """The traces of positional arguments; None for each that has none.

        Of tensors that are joined, the trace of the first stands for all.
        """
        if func in JOINS and args and args[0]:
            args = args[0][:1]
        return [self.trace(arg) if isinstance(arg, Tensor) else None for arg in args]

    def trace(self, tensor: Tensor) -> Trace | None:
        """The trace of a tensor."""
        found = self._traces.get(id(tensor))
        return found[1] if found is not None and found[0]() is tensor else None

    def follow(self, tensor: Tensor, trace: Trace) -> None:
        """Remember the trace as long as the tensor lives."""
        key, traces = id(tensor), self._traces

        def forget(gone: ref[Tensor]) -> None:
            if key in traces and traces[key][0] is gone:
                del traces[key]

        self._traces[key] = (ref(tensor, forget), trace)

    def forget(self, tensor: Tensor) -> None:
        """No longer follow a tensor."""
        self._traces.pop(id(tensor), None)

    def clear(self) -> None:
        """Forget everything."""
        self._traces.clear()
        self._weighed.clear()
        self._values.clear()
        self._written.clear()

    def overwritten(self, tensor: Tensor) -> None:
        """Give up what is known about a tensor that something else is written to."""
        trace = self.trace(tensor)
        if trace is not None:
            self.follow(tensor, trace.lose("it was overwritten, or a part of it"))
        self._void_others(tensor)

    def _void_others(self, written: Tensor) -> None:
        """Give up the traces of all other tensors in the memory that was written to."""
        memory = storage_key(written)
        for reference, trace in list(self._traces.values()):
            other = reference()
            if other is not None and other is not written and storage_key(other) == memory:
                self.follow(other, trace.lose("it was changed through another view"))

    def _start(
        self, c: Contraction, name: str, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Trace | None:
        """The trace of a product that could be q·kᵀ; None where it cannot."""
        rows, columns = c.own(c.a_labels), c.own(c.b_labels)
        if len(rows) != 1 or len(columns) != 1 or not c.contracted:
            return None
        if any(t.dim() == 2 and self._is_weight(t) for t in (c.a, c.b)):
            return None
        if not c.a.is_floating_point():
            return None
        keep = self._recorder.keeper.keep
        inner = c.contracted
        q = arrange(c.a, c.a_labels, [*c.batch, *rows, *inner])
        k = arrange(c.b, c.b_labels, [*c.batch, *columns, *inner])
        if len(inner) > 1:
            q, k = q.flatten(-len(inner)), k.flatten(-len(inner))
        trace = Trace(Autocast.now(c.a.device.type), keep(q), keep(k))
        made = [*c.batch, *rows, *columns]
        order = [made.index(x) for x in c.out_labels]
        if order != sorted(order):
            n = len(order)
            axes = (order.index(n - 2) - n, order.index(n - 1) - n)
            trace = trace.moved("permute", axes=axes, dims=order)
        if name in ("baddbmm", "addmm"):
            alpha, beta = kwargs.get("alpha", 1), kwargs.get("beta", 1)
            trace = trace if alpha == 1 else trace.moved("mul", (alpha,))
            if beta != 0:
                bias = args[0] if beta == 1 else args[0] * beta
                trace = trace.moved("add", (keep(bias),))
        return trace

    def _is_weight(self, tensor: Tensor) -> bool:
        return isinstance(tensor, torch.nn.Parameter) or self._recorder.keeper.is_owned(tensor)


def _past(axis: int | None, new: int) -> int | None:
    """Where an axis, counted from the end, is after a new axis came to place `new`."""
    return axis if axis is None or axis > new else axis - 1

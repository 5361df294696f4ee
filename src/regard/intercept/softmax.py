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

import torch
import torch.nn.functional as F
from torch import Tensor

from regard.intercept.contraction import Contraction, arrange, of_call
from regard.intercept.following import JOINS, Following
from regard.intercept.recorder import Recorder
from regard.intercept.stack import Frame
from regard.intercept.steps import continued, plain_name
from regard.intercept.trace import Fate, Trace
from regard.intercept.valueless import ValuelessSoftmaxes
from regard.intercept.values import ValueProducts
from regard.intercept.weighing import Weighing
from regard.intercept.written_softmax import WrittenSoftmax
from regard.scores import Autocast

NO_VALUES = "a softmax over q·k was taken, and its weights never met any values"
NO_SOFTMAX = (
    "q·k weighs the values and no softmax was called: linear or sigmoid attention, or a softmax "
    "written out by hand"
)
PIECES = ("chunk", "split", "unbind", "tensor_split", "iter")
FREE = "its softmax is not of a q·k product: kept as weights"


class SoftmaxAttention:
    """Follows scores from their product to the values."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._values = ValueProducts(recorder)
        self._weighing = Weighing(recorder, self._values)
        self._written = WrittenSoftmax()
        self._valueless = ValuelessSoftmaxes(recorder)
        recorder.stack.left = self._left
        self.following = Following()
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

    def clear(self) -> None:
        """Forget everything."""
        for memory in (self.following, self._weighing, self._values, self._written):
            memory.clear()

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
        a, b = self.following.trace(c.a), self.following.trace(c.b)
        start = None
        if a is None and b is None:
            start = self._recorder.guard(self._start, c, plain_name(func), args, kwargs)
        out = func(*args, **kwargs)
        if start is not None:
            self.following.set(out, start)
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
            self.following.set(out, replace(mixed, axes=(row, column)))
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
            self.following.set(
                out, self._softmaxed(self.following.trace(scores), scores, dim, out.dtype)
            )
        return out

    def _softmaxed(
        self, trace: Trace | None, scores: Tensor, dim: int, dtype: torch.dtype
    ) -> Trace:
        if trace is None or trace.is_weights:
            now = Autocast.now(scores.device)
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
            self.following.overwritten(args[0])
            return
        if plain_name(func) in PIECES and isinstance(out, (tuple, list)):
            self.following.cut(traces[0], out)
            return
        if not isinstance(out, Tensor) or not out.is_floating_point():
            return
        if func in JOINS:
            self.following.join(func, args, kwargs, out)
            return
        first = traces[0] and traces[0].unfolded(shapes[0])
        scores = self._written.observe(
            plain_name(func), args, kwargs, first, out, self.following.set
        )
        if scores is not None:
            self.following.set(out, self._softmaxed(scores[0], out, scores[1], out.dtype))
            return
        found = [i for i, trace in enumerate(traces) if trace is not None]
        same = [i for i in found if list(shapes[i]) == list(out.shape)]
        place = (same or found)[0]
        trace = traces[place]
        assert trace is not None
        if any(arg is out for arg in args):
            self.following.void_others(out)
        whole = trace.unfolded(shapes[place])
        if self._weighing.observe(plain_name(func), args, kwargs, place, whole, out):
            return
        after = continued(
            trace, func, args, kwargs, place, shapes[place], out, self._recorder.recipes.keep
        )
        if after is None:
            return
        if len(found) > 1 and any(traces[i].is_weights for i in found):  # type: ignore[union-attr]
            after = replace(after.lose("several softmaxes are mixed"), is_weights=True)
        self.following.set(out, after)

    def _left(self, frame: Frame) -> None:
        if self._valueless.is_waiting:
            with torch._C.DisableTorchFunction():  # hooks run under the mode
                self._recorder.guard(self._valueless.left, frame, self.following.carriers)

    def _start(
        self, c: Contraction, name: str, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Trace | None:
        """The trace of a product that could be q·kᵀ; None where it cannot."""
        rows, columns = c.own(c.a_labels), c.own(c.b_labels)
        if len(rows) != 1 or len(columns) != 1 or not c.contracted:
            return None
        if any(t.dim() == 2 and self._recorder.keeper.is_weight(t) for t in (c.a, c.b)):
            return None
        if not c.a.is_floating_point():
            return None
        keep = self._recorder.keeper.keep
        inner = c.contracted
        q = arrange(c.a, c.a_labels, [*c.batch, *rows, *inner])
        k = arrange(c.b, c.b_labels, [*c.batch, *columns, *inner])
        if len(inner) > 1:
            q, k = q.flatten(-len(inner)), k.flatten(-len(inner))
        unscaled = self._recorder.recipes.unscaled(c.a) if q.shape == c.a.shape else None
        trace = Trace(Autocast.now(c.a.device), keep(q), keep(k), unscaled=unscaled)
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

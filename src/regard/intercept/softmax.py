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
from regard.intercept.heads import Arrangement
from regard.intercept.recorder import Recorder
from regard.intercept.steps import DROPOUT, DROPPED, continued, plain_name
from regard.intercept.trace import Fate, Trace
from regard.kept import storage_key
from regard.sample import OutputSample
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
        self._traces: dict[int, tuple[ref[Tensor], Trace]] = {}
        self.fates: list[Fate] = []

    def functions(self) -> dict[Any, Callable[..., Any]]:
        """Products and softmaxes, as functions and as methods of tensors."""
        products = [torch.matmul, torch.bmm, torch.mm, torch.baddbmm, torch.addmm, torch.einsum]
        methods = ["matmul", "__matmul__", "__rmatmul__", "bmm", "mm", "baddbmm", "addmm"]
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
            self._meet_values(trace, c, labels, out)
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
        found = [i for i, trace in enumerate(traces) if trace is not None]
        same = [i for i in found if list(shapes[i]) == list(out.shape)]
        place = (same or found)[0]
        trace = traces[place]
        assert trace is not None
        if any(arg is out for arg in args):
            self._void_others(out)
        after = continued(
            trace, func, args, kwargs, place, shapes[place], out, self._recorder.recipes.keep
        )
        if after is None:
            return
        if len(found) > 1 and any(traces[i].is_weights for i in found):  # type: ignore[union-attr]
            after = replace(after.lose("several softmaxes are mixed"), is_weights=True)
        self.follow(out, after)

    def _split(self, trace: Trace | None, pieces: Sequence[Tensor]) -> None:
        """Follow the pieces of a tensor that was cut along another axis than those of tokens."""
        if trace is not None and None not in trace.axes:
            for piece in pieces:
                self.follow(piece, trace.lose("it was split"))

    def look_up(self, args: Sequence[Any]) -> list[Trace | None]:
        """The traces of positional arguments; None for each that has none."""
        return [self._as_it_is(arg) if isinstance(arg, Tensor) else None for arg in args]

    def trace(self, tensor: Tensor) -> Trace | None:
        """The trace of a tensor, told in its own axes."""
        trace = self._as_it_is(tensor)
        return None if trace is None else trace.unfolded(tensor.shape)

    def _as_it_is(self, tensor: Tensor) -> Trace | None:
        found = self._traces.get(id(tensor))
        return found[1] if found is not None and found[0]() is tensor else None

    def follow(self, tensor: Tensor, trace: Trace) -> None:
        """Remember the trace as long as the tensor lives."""
        key, traces = id(tensor), self._traces

        def forget(gone: ref[Tensor]) -> None:
            if key in traces and traces[key][0] is gone:
                del traces[key]

        self._traces[key] = (ref(tensor, forget), trace)

    def clear(self) -> None:
        """Forget everything."""
        self._traces.clear()

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
        unscaled = self._recorder.recipes.unscaled(c.a) if q.shape == c.a.shape else None
        trace = Trace(Autocast.now(c.a.device.type), keep(q), keep(k), unscaled=unscaled)
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

    def _meet_values(
        self, trace: Trace, c: Contraction, labels: tuple[str, ...], out: Tensor
    ) -> None:
        """Record the call if this product contracts the weights' keys with values."""
        weights, values, value_labels = (
            (c.a, c.b, c.b_labels) if labels is c.a_labels else (c.b, c.a, c.a_labels)
        )
        key = c.contracted[0] if len(c.contracted) == 1 else None
        if trace.asks_along(labels, key):
            trace = trace.turned()
        own = c.own(labels)
        if trace.query_axis is not None and labels[trace.query_axis] in own:
            own = [labels[trace.query_axis]]
        if key is None or len(own) != 1 or not self._recorder.wants():
            return
        if trace.key_axis is not None and labels[trace.key_axis] != key:
            return
        query = own[0]
        leading = [x for x in labels if x not in (query, key)]
        sizes = dict(zip(labels, weights.shape, strict=True))
        arranged = Arrangement.of([sizes[x] for x in leading], self._recorder.stack.head_count())
        shape = (arranged.batch, arranged.heads, sizes[query], sizes[key])
        q_axis, k_axis = labels.index(query) - len(labels), labels.index(key) - len(labels)
        scores = None
        if trace.replayable and trace.query_axis == q_axis:
            scores = trace.scores(arranged.steps(q_axis, k_axis, weights.shape))
        if trace.fate is not None:
            trace.fate.met_values = True

        def effective() -> Tensor:
            return arranged.apply(arrange(weights, labels, [*leading, query, key]))

        reason = (trace.lost,) if trace.lost else ()
        met = _met_values(c, values, value_labels, out, leading, query, key, arranged)
        before_dropout = DROPOUT in trace.notes and scores is not None  # only the program knows
        backward = met and self._recorder.watch(met[0], out, met[1], dropout=before_dropout)
        if before_dropout:
            self._recorder.add(
                shape=shape,
                scores=scores,
                weights=None,
                sample=None,
                notes=trace.notes,
                backward=backward,
            )
            return
        notes = tuple(DROPPED if note == DROPOUT else note for note in trace.notes)
        self._recorder.add(
            shape=shape,
            scores=scores,
            weights=effective,
            sample=met and OutputSample.of(met[0], met[1](out)),
            notes=(*notes, *reason),
            backward=backward,
        )


def _met_values(
    c: Contraction,
    values: Tensor,
    value_labels: tuple[str, ...],
    out: Tensor,
    leading: list[str],
    query: str,
    key: str,
    arranged: Arrangement,
) -> tuple[Tensor, Callable[[Tensor], Tensor]] | None:
    """The values as (batch, heads, keys, d), and what brings the output into that order."""
    extra = [x for x in value_labels if x not in (*leading, key)]
    if len(extra) != 1:
        return None
    sizes = dict(zip(c.out_labels, out.shape, strict=True))
    v = arrange(values, value_labels, [*leading, key, *extra])
    v = v.expand(*(sizes.get(x, 1) for x in leading), *v.shape[-2:])

    def in_order(out: Tensor) -> Tensor:
        return arranged.apply(arrange(out, c.out_labels, [*leading, query, *extra]))

    return arranged.apply(v), in_order

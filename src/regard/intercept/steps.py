"""How each torch call that a model may apply to its scores continues their trace."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from regard.intercept.trace import Trace, permutation, permuted_axes, reshaped_axes
from regard.kept import Kept
from regard.recipe import Recipe, folded
from regard.scores import Op

Keep = Callable[[Tensor], Kept | Recipe]

SAME = {
    "contiguous",
    "clone",
    "detach",
    "alias",
    "data",
    "requires_grad_",
    "detach_",
    "cpu",
    "cuda",
}
CAST = {"to", "float", "half", "double", "bfloat16", "type", "type_as"}
RESHAPE = {"view", "reshape", "flatten", "unflatten", "unsqueeze", "squeeze", "view_as", "expand"}
RESHAPE |= {"reshape_as", "_unsafe_view", "expand_as", "unsqueeze_", "squeeze_"}
PERMUTE = {"transpose", "permute", "swapaxes", "swapdims", "movedim", "moveaxis", "t", "transpose_"}
PERMUTE |= {"T", "mT", "H", "mH"}
BINARY: dict[str, Op] = {
    "add": "add",
    "sub": "sub",
    "subtract": "sub",
    "rsub": "rsub",
    "mul": "mul",
    "multiply": "mul",
    "div": "div",
    "divide": "div",
    "true_divide": "div",
    "truediv": "div",
}
UNARY: dict[str, Op] = {"neg": "neg", "negative": "neg", "tanh": "tanh"}
CLAMP = {"clamp", "clip", "clamp_min", "clamp_max"}
NOT_CONTINUED = {
    *("sum", "mean", "amax", "amin", "max", "min", "argmax", "argmin", "std", "var", "norm", "all"),
    *(
        "any",
        "eq",
        "ne",
        "gt",
        "lt",
        "ge",
        "le",
        "isnan",
        "isinf",
        "isfinite",
        "zeros_like",
        "item",
    ),
    *("ones_like", "empty_like", "full_like", "new_zeros", "new_ones", "new_full", "new_empty"),
    *("tolist", "numpy", "size", "stride", "dim", "numel", "logsumexp", "topk", "sort", "argsort"),
    *("bernoulli", "multinomial", "rand_like", "randn_like", "unique", "nonzero", "log_softmax"),
}
"""Calls whose results are something else than scores or weights."""


def plain_name(func: Callable[..., Any]) -> str:
    """`add` for add, add_, __add__, __iadd__; `radd` for __radd__; `shape` for reading x.shape."""
    name: str = getattr(func, "__name__", "")
    if name == "__get__":
        return getattr(getattr(func, "__self__", None), "__name__", "")
    if name.startswith("__") and name.endswith("__"):
        name = name[2:-2]
        return name[1:] if name.startswith("i") and name[1:] in BINARY else name
    return name


def continued(
    trace: Trace,
    func: Callable[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    place: int,
    before: Sequence[int],
    out: Tensor,
    keep: Keep,
) -> Trace | None:
    """The trace of a call's result; None where the result is no longer scores or weights.

    Args:
        trace: Of the argument that is followed.
        func: The torch call, already made.
        args: Its positional arguments, keyword tensors included.
        kwargs: Its keyword arguments.
        place: Which positional argument is followed.
        before: That argument's shape before the call.
        out: The result.
        keep: Keeps an operand.
    """
    name = plain_name(func)
    if name in NOT_CONTINUED:
        return None
    base = name.rstrip("_") if name not in RESHAPE and name not in PERMUTE else name
    if base in SAME:
        return trace
    if trace.folded:
        split = _while_split(trace, base, args, kwargs, place, before, out, keep)
        if split is not None:
            return split
        trace = trace.unfolded(before)
    if base in CAST and place == 0:
        return _cast(trace, out)
    if place == 0 and (base in RESHAPE or (base == "getitem" and _only_adds_axes(args[1]))):
        return _reshape(trace, before, out)
    if base in PERMUTE and place == 0:
        return _permute(trace, name, func, args, kwargs, len(before))
    if base in {"dropout", "dropout1d", "alpha_dropout", "feature_dropout"}:
        return _dropout(trace, args, kwargs)
    if not _axes_hold(trace, before, out.shape):
        return trace.lose(f"{name} changes its token axes")
    if base in ("linear", "conv2d") and place == 0:
        return _mix_heads(trace, base, args, kwargs, keep, before)
    operands = _pointwise(base, args, kwargs, place)
    if operands is None:
        return trace.lose(f"{name} is not one of the steps that can be run again")
    op, values, options = operands
    return trace.moved(
        op, tuple(keep(v) if isinstance(v, Tensor) else v for v in values), **options
    )


def _cast(trace: Trace, out: Tensor) -> Trace:
    return trace.moved("to", dtype=str(out.dtype).removeprefix("torch."))


def _reshape(trace: Trace, before: Sequence[int], out: Tensor) -> Trace:
    axes = reshaped_axes(trace.axes, before, out.shape)
    if out.numel() == 0 or _size(before) != out.numel():
        return trace.lose("expanding changes its size")
    if None in axes and None not in trace.axes and out.dim() > len(before):
        return replace(trace, folded=tuple(before))
    return trace.moved("reshape", axes=axes, shape=list(out.shape))


def _only_adds_axes(index: Any) -> bool:
    """Whether `x[index]` is `x` with axes of length 1 added, as in `x[..., None]`."""
    parts = index if isinstance(index, tuple) else (index,)
    return all(part is None or part is ... or part == slice(None) for part in parts)


def _while_split(
    trace: Trace,
    base: str,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    place: int,
    before: Sequence[int],
    out: Tensor,
    keep: Keep,
) -> Trace | None:
    """A step on scores whose token axes are split into grid axes, told as one on whole axes.

    Relative positions are often added there, by row and by column. None where it is no such step.
    """
    if base in RESHAPE and place == 0 and out.numel() == _size(before):
        axes = reshaped_axes(trace.axes, trace.folded, out.shape)
        if None in axes:
            return trace
        whole = replace(trace, folded=())
        same = tuple(out.shape) == trace.folded
        return whole if same else whole.moved("reshape", axes=axes, shape=list(out.shape))
    pointwise = _pointwise(base, args, kwargs, place)
    if pointwise is None or list(out.shape) != list(before):
        return None
    op, values, options = pointwise
    operands = [
        folded(keep(v), before, trace.folded) if isinstance(v, Tensor) else v for v in values
    ]
    return trace.moved(op, tuple(operands), **options)


def _permute(
    trace: Trace,
    name: str,
    func: Callable[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    dims: int,
) -> Trace:
    transposing = func.__self__.__get__ if name in ("T", "mT", "H", "mH") else func  # type: ignore[attr-defined]
    order = permutation(
        transposing, () if transposing is not func else args[1:], dict(kwargs), dims
    )
    return trace.moved("permute", axes=permuted_axes(trace.axes, order), dims=order)


def _dropout(trace: Trace, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Trace:
    p = kwargs.get("p", args[1] if len(args) > 1 else 0.5)
    training = kwargs.get("training", kwargs.get("train", args[2] if len(args) > 2 else True))
    if not (training and p):
        return trace
    return with_note(trace, DROPOUT)


DROPOUT = "dropout was active: these are the weights before it"
DROPPED = "dropout was active: these are the weights after it"


def with_note(trace: Trace, note: str) -> Trace:
    """The trace with one more note."""
    return replace(trace, notes=tuple(dict.fromkeys((*trace.notes, note))))


def _axes_hold(trace: Trace, before: Sequence[int], after: Sequence[int]) -> bool:
    known = [axis for axis in trace.axes if axis is not None]
    return all(len(after) >= -axis and after[axis] == before[axis] for axis in known)


def _mix_heads(
    trace: Trace,
    name: str,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    keep: Keep,
    before: Sequence[int],
) -> Trace:
    """Talking heads: a linear layer or 1x1 convolution over the head axis."""
    weight = kwargs.get("weight", args[1] if len(args) > 1 else None)
    bias = kwargs.get("bias", args[2] if len(args) > 2 else None)
    head_axis = -1 if name == "linear" else -3
    plain = len(args) <= 3 and not set(kwargs) - {"weight", "bias", "input"}
    pointwise = name == "linear" or (
        isinstance(weight, Tensor) and tuple(weight.shape[2:]) == (1, 1)
    )
    if not isinstance(weight, Tensor) or head_axis in trace.axes or not pointwise:
        return trace.lose(f"{name} mixes its tokens")
    if not plain and not _is_plain_conv(args, kwargs):
        return trace.lose(f"{name} has options beyond weight and bias")
    operands = (keep(weight), keep(bias) if isinstance(bias, Tensor) else None)
    return trace.moved("linear" if name == "linear" else "conv2d", operands)


def _is_plain_conv(args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    """Stride 1, padding 0, dilation 1, groups 1."""
    names = ("stride", "padding", "dilation", "groups")
    given = [
        kwargs.get(n, args[i + 3] if len(args) > i + 3 else d)
        for i, (n, d) in enumerate(zip(names, (1, 0, 1, 1), strict=True))
    ]
    flat = [set(v) if isinstance(v, (tuple, list)) else {v} for v in given]
    return flat == [{1}, {0}, {1}, {1}]


def _pointwise(
    base: str, args: Sequence[Any], kwargs: Mapping[str, Any], place: int
) -> tuple[Op, tuple[Any, ...], dict[str, Any]] | None:
    """Operation, other operands and options of an elementwise call."""
    options = {
        k: v for k, v in kwargs.items() if k not in ("input", "other", "mask", "value", "out")
    }
    if base.startswith("r") and base[1:] in BINARY and len(args) == 2:
        base, args, place = base[1:], (args[1], args[0]), 1 - place
    if base in BINARY:
        return _binary(BINARY[base], args, kwargs, place, options)
    if base in UNARY and not options:
        return UNARY[base], (), {}
    if base in CLAMP and place == 0:
        low = kwargs.get("min", args[1] if base != "clamp_max" and len(args) > 1 else None)
        high = kwargs.get("max", args[-1] if base == "clamp_max" or len(args) > 2 else None)
        return "clamp", (low, high), {}
    if base == "masked_fill" and place == 0:
        given = [*args[1:], *(kwargs[k] for k in ("mask", "value") if k in kwargs)]
        return "masked_fill", tuple(given), {}
    if base == "where" and len(args) == 3:
        return _where(args, place)
    return None


def _binary(
    op: Op, args: Sequence[Any], kwargs: Mapping[str, Any], place: int, options: dict[str, Any]
) -> tuple[Op, tuple[Any, ...], dict[str, Any]] | None:
    values = [*args, *([kwargs["other"]] if "other" in kwargs else [])]
    if len(values) != 2 or set(options) - {"alpha"} or not _number_or_tensor(values[1 - place]):
        return None
    if place == 1:
        if options:
            return None
        op = {"sub": "rsub", "div": "rdiv", "rsub": "sub"}.get(op, op)  # type: ignore[assignment]
    return op, (values[1 - place],), options


def _where(args: Sequence[Any], place: int) -> tuple[Op, tuple[Any, ...], dict[str, Any]] | None:
    """torch.where(condition, x, other) and x.where(condition, other)."""
    if place == 0:
        return "where", (args[1], args[2]), {"keep": True}
    return "where", (args[0], args[3 - place]), {"keep": place == 1}


def _number_or_tensor(value: Any) -> bool:
    return isinstance(value, (int, float, Tensor))


def _size(shape: Sequence[int]) -> int:
    total = 1
    for n in shape:
        total *= n
    return total

"""What looked like attention and has no record, and why."""

import re
from functools import cache, lru_cache
from inspect import signature

from torch import nn

from regard.errors import NothingRecorded
from regard.intercept.recorder import Recorder
from regard.intercept.softmax import NO_SOFTMAX, NO_VALUES, SoftmaxAttention
from regard.intercept.stack import ATTENTION_NAME
from regard.recording import Unrecorded

NOT_SEEN = (
    "it ran, but no softmax(q·k)·v was seen in it: linear or gated attention, or its own kernel"
)
NO_KERNEL = (
    "it ran and called no kernel that was watched; watch='calls' also finds attention that a model "
    "writes out itself, and kernels under names of their own"
)
WITHOUT_WEIGHTS = (
    (
        re.compile(r"delta_?net|delta_?rule|retention|rwkv|mamba", re.IGNORECASE),
        "a recurrent state stands in for keys and values (delta rule, retention, state space): "
        "no attention weights exist",
    ),
    (
        re.compile(r"linear_?(self_?)?att|lite_?mla|relu_?linear", re.IGNORECASE),
        "linear attention: keys and values are summed up before a query meets them: "
        "no attention weights exist",
    ),
    (
        re.compile(r"additive_?att", re.IGNORECASE),
        "additive attention without a softmax: scores scale the features, which are then summed",
    ),
    (
        re.compile(r"focal\w*modulation", re.IGNORECASE),
        "focal modulation: features are gated by what lies around them: no attention weights exist",
    ),
    (
        re.compile(
            r"efficient_?channel|cbam|selective_?kernel|split_?att",
            re.IGNORECASE,
        ),
        "a gate: features are scaled, none are averaged: no attention weights exist",
    ),
)
"""Kinds of layers that stand where attention would, by the names of their classes."""
DEFORMABLE = (
    "deformable attention in a kernel of its own: no Python function took its sampling_locations "
    "and attention_weights"
)
SCRIPTED = "a TorchScript module: what runs inside cannot be seen"


def unrecorded(recorder: Recorder, softmax: SoftmaxAttention) -> list[Unrecorded]:
    """Every wanted layer that looked like attention and has no record, with the reason."""
    dead = [(fate.path, NO_VALUES) for fate in softmax.fates if not fate.met_values]
    reasons: dict[str, str] = {}
    for path, reason in [*recorder.missed, *dead]:
        guessed = reason in (NO_SOFTMAX, NO_VALUES)  # other things than attention look so, too
        if not guessed or recorder.stack.is_called_attention(path):
            reasons.setdefault(path, reason)
    for path in _silent(recorder):
        reasons.setdefault(path, _why_silent(recorder, recorder.stack.ran[path]))
    reasons |= dict.fromkeys(recorder.stack.sealed, SCRIPTED)
    return [Unrecorded(p, r) for p, r in reasons.items() if recorder.asks_for(p)]


def _silent(recorder: Recorder) -> list[str]:
    """Innermost attention-like modules that ran without attention found in or right around them."""
    ran, found = recorder.stack.ran, recorder.found
    alike = [path for path, module in ran.items() if _is_like_attention(module)]
    attending = found.intersection(alike)
    not_silent = found.union(*map(_holders, found), *map(_holders, alike))
    return [
        path
        for path in alike
        if path not in not_silent
        and attending.isdisjoint(_holders(path))  # a projection named after its attention
    ]


@lru_cache(4096)
def _holders(path: str) -> frozenset[str]:
    """Paths of the modules that hold a module, the model's "" among them."""
    holder = path.rpartition(".")[0]
    return _holders(holder) | {holder} if path else frozenset()


def _is_like_attention(module: nn.Module) -> bool:
    name = type(module).__name__
    return _is_called_attention(name) or _without_weights(name) != ""


@cache
def _is_called_attention(name: str) -> bool:
    return ATTENTION_NAME.search(name) is not None


@cache
def _without_weights(name: str) -> str:
    """Why a layer of a class with this name has no weights; "" if it tells no such kind."""
    return next((reason for kind, reason in WITHOUT_WEIGHTS if kind.search(name)), "")


def _why_silent(recorder: Recorder, module: nn.Module) -> str:
    takes_points = "sampling_locations" in signature(module.forward).parameters
    deformable = takes_points or "deformable" in type(module).__name__.lower()
    unseen = NO_KERNEL if recorder.only_kernels else NOT_SEEN
    return DEFORMABLE if deformable else _without_weights(type(module).__name__) or unseen


def nothing_recorded(recorder: Recorder, missing: list[Unrecorded]) -> NothingRecorded:
    """The error for a recording that stayed empty, with advice."""
    name = type(recorder.stack.model).__name__
    if "" in recorder.stack.sealed:
        return NothingRecorded(f"{name} is {SCRIPTED}; record the module that it was made from")
    if not recorder.stack.ran:
        return NothingRecorded(
            f"{name} did not run inside `with regard.record(...)`, or it ran in another thread; "
            "call it inside the `with`, in the same thread"
        )
    if recorder.found:
        there = ", ".join(sorted(recorder.found)[:8])
        asked = recorder.patterns[0] if len(recorder.patterns) == 1 else recorder.patterns
        return NothingRecorded(
            f"{name} has attention, but none in layers={asked!r}; it was found in: {there}"
        )
    reasons = "; ".join(f"{item.layer or '(model)'}: {item.reason}" for item in missing[:8])
    unnamed = "No module is named like it."
    if recorder.only_kernels:
        unnamed = "Only kernels were watched: watch='calls' also finds what is written out."
    return NothingRecorded(
        f"{name} ran and no attention was seen in it. "
        + (f"What looked like attention: {reasons}" if reasons else unnamed)
    )

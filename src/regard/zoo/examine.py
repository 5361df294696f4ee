"""One entry of the zoo run for real: plainly, counted, and recorded in both forms."""

import math
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from regard.attention import Attention, DotProductAttention
from regard.errors import NothingRecorded
from regard.intercept.record import record
from regard.intercept.recorder import Keep
from regard.recording import Recording, Unrecorded
from regard.sample import everything_is_sampled
from regard.zoo.census import Census
from regard.zoo.entry import Entry, Inputs
from regard.zoo.inputs import tensors
from regard.zoo.residue import changes, state

EXACT = 2e-6
"""Largest error of a weight in float32: W·V and the softmax are summed in another order than in
the model's kernel. Errors of W·V are relative to the largest value where that is above 1."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What examining an entry gave.

    Attributes:
        calls: Recorded calls by the way in which they are computed: "4 sdpa, 2 softmax".
        softmaxes: Softmaxes that torch's dispatcher saw in a pass without recording.
        output_error: Largest |W·V − output| of all rows, heads and channels, and
        weights_error: Largest difference of the weights computed later from those used.
        unrecorded: What the recording lists as not recorded.
        changed: Outputs that differ with recording, and what recording left behind.
        seconds: For building and all passes.
    """

    calls: str
    softmaxes: int
    output_error: float
    weights_error: float
    unrecorded: tuple[Unrecorded, ...]
    changed: tuple[str, ...]
    seconds: float

    @property
    def error(self) -> float:
        """The larger of the two errors."""
        return max(self.output_error, self.weights_error)

    def problems(self, entry: Entry) -> list[str]:
        """What is not as the entry says it must be; empty if all is well."""
        expected = entry.count if entry.softmaxes is None else entry.softmaxes
        found = list(self.changed)
        if self.calls != entry.calls:
            found.append(f"recorded {self.calls or 'nothing'}, expected {entry.calls or 'nothing'}")
        if self.softmaxes != expected:
            found.append(f"torch ran {self.softmaxes} softmaxes, {expected} are accounted for")
        if not self.error <= EXACT:
            found.append(f"error {self.error:.1e} is above {EXACT:.0e}")
        if not _as_listed(self.unrecorded, entry.unrecorded):
            listed = "; ".join(f"{item.layer}: {item.reason}" for item in self.unrecorded)
            found.append(f"not recorded: {listed or 'nothing'}, expected {entry.unrecorded}")
        return found


def examine(entry: Entry) -> Finding:
    """Run an entry four times: plainly, under the census, and recorded as causes and as weights."""
    start = time.perf_counter()
    model, inputs = entry.build()
    plain = run(model, inputs)
    with Census() as census:
        run(model, inputs)
    before = state(model)
    causes, outputs = recorded(model, inputs, "qk")
    used, again = recorded(model, inputs, "weights")
    changed = [f"changed by recording: {name}" for name in changes(before, state(model))]
    changed += [] if same(plain, outputs) and same(plain, again) else ["outputs changed"]
    return Finding(
        calls=by_kind(causes),
        softmaxes=census.softmaxes,
        output_error=_worst(_output_error(call) for call in (*causes, *used)),
        weights_error=_weights_error(causes, used),
        unrecorded=tuple(causes.unrecorded),
        changed=tuple(changed),
        seconds=time.perf_counter() - start,
    )


def run(model: nn.Module, inputs: Inputs) -> list[Tensor]:
    """The tensors that one pass gives; what a model draws at random is always the same."""
    torch.manual_seed(0)
    with torch.no_grad():
        return tensors(model(**inputs) if isinstance(inputs, dict) else model(*inputs))


def recorded(model: nn.Module, inputs: Inputs, keep: Keep) -> tuple[Recording, list[Tensor]]:
    """One recorded pass; where nothing could be recorded, a recording that says so."""
    recording, outputs = Recording(), []
    try:
        with everything_is_sampled(), record(model, keep=keep) as recording:
            outputs = run(model, inputs)
    except NothingRecorded:
        pass  # an entry may have nothing to record, and is compared with what it expects
    return recording, outputs


def same(plain: list[Tensor], other: list[Tensor]) -> bool:
    """Whether two lists of tensors are bit for bit the same; NaN equals NaN."""
    return len(plain) == len(other) > 0 and all(
        a.shape == b.shape and bool(((a == b) | (a.isnan() & b.isnan())).all())
        for a, b in zip(plain, other, strict=True)
    )


def way(call: Attention) -> Literal["sdpa", "softmax", "explicit", "deformable"]:
    """How the model computes a call: fused, as written-out steps, by weights of another origin."""
    if isinstance(call, DotProductAttention):
        return "sdpa" if call.scores.fused else "softmax"
    return "deformable" if call.kind == "deformable" else "explicit"


def by_kind(calls: Iterable[Attention]) -> str:
    """Calls counted by their way, such as "4 sdpa, 2 softmax"."""
    counts = Counter(way(call) for call in calls)
    order = ("sdpa", "softmax", "explicit", "deformable")
    return ", ".join(f"{counts[name]} {name}" for name in order if counts[name])


def _output_error(call: Attention) -> float:
    """|W·V − output|, relative to the largest value where that is above 1; NaN if unchecked."""
    if call.sample is None:
        return float("nan")
    values: Any = call.sample.values.get()
    largest = float(values.abs().max()) if values.numel() else 0.0
    return call.sample.error(call) / max(1.0, largest)


def _weights_error(causes: Recording, used: Recording) -> float:
    """Largest difference of the weights computed later from those that the model used."""
    if [call.shape for call in causes] != [call.shape for call in used]:
        return float("inf")
    pairs = ((a.weights(), b.weights()) for a, b in zip(causes, used, strict=True))
    return _worst(float((a - b).abs().max()) for a, b in pairs if a.numel())


def _worst(errors: Iterable[float]) -> float:
    """The largest error, and what is not a number is worse than any."""
    return max((math.inf if math.isnan(error) else error for error in errors), default=0.0)


def _as_listed(
    found: tuple[Unrecorded, ...], expected: tuple[tuple[str, str], ...]
) -> bool:
    return len(found) == len(expected) and all(
        item.layer.endswith(end) and reason in item.reason
        for item, (end, reason) in zip(found, expected, strict=True)
    )

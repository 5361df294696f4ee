"""One entry of the zoo run for real: plainly, counted, and recorded in both forms."""

import math
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any, Literal

from torch import Tensor, nn

from regard.attention import Attention, DotProductAttention, ExplicitAttention
from regard.errors import NothingRecorded
from regard.intercept.record import record
from regard.intercept.recorder import Keep
from regard.intercept.valueless import NOTE
from regard.kept import Kept
from regard.recording import Recording, Unrecorded
from regard.sample import everything_is_sampled
from regard.stitched import StitchedAttention
from regard.zoo.census import Census
from regard.zoo.entry import Entry, Inputs, run
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
        control_error: What that difference is for weights with the wrong keys; large, or the check
            proves nothing.
        unrecorded: What the recording lists as not recorded.
        output_change: Largest difference of the outputs with and without recording.
        changed: What recording left behind.
        seconds: For building and all passes.
    """

    calls: str
    softmaxes: int
    output_error: float
    weights_error: float
    control_error: float
    unrecorded: tuple[Unrecorded, ...]
    output_change: float
    changed: tuple[str, ...]
    seconds: float

    @property
    def error(self) -> float:
        """The larger of the two errors."""
        return max(self.output_error, self.weights_error)

    def cells(self) -> dict[str, str]:
        """What a table says, by its columns."""
        return {
            "calls": self.calls or "none",
            "softmaxes": str(self.softmaxes),
            "largest error": f"{self.error:.1e}" if self.calls else "",
            "not recorded": _summary(self.unrecorded),
        }

    def problems(self, entry: Entry) -> list[str]:
        """What is not as the entry says it must be; empty if all is well."""
        expected = entry.count if entry.softmaxes is None else entry.softmaxes
        found = [f"recording left something in {name or 'the model'}" for name in self.changed]
        if self.output_change > entry.output_change:
            found.append(f"outputs changed by {self.output_change:.1e}")
        if self.calls != entry.calls:
            found.append(f"recorded {self.calls or 'nothing'}, expected {entry.calls or 'nothing'}")
        if self.softmaxes != expected:
            found.append(f"torch ran {self.softmaxes} softmaxes, {expected} are accounted for")
        if not self.error <= EXACT:
            found.append(f"error {self.error:.1e} is above {EXACT:.0e}")
        if self.control_error < 1000 * EXACT:
            found.append(
                f"wrong weights differ by {self.control_error:.1e} only: nothing is proven"
            )
        if not _as_listed(self.unrecorded, entry.unrecorded):
            listed = "; ".join(f"{item.layer}: {item.reason}" for item in self.unrecorded)
            found.append(f"not recorded: {listed or 'nothing'}, expected {entry.unrecorded}")
        return found


def examine(entry: Entry) -> Finding:
    """Run an entry four times: plainly, under the census, and recorded as causes and as weights."""
    start = time.perf_counter()
    model, inputs = entry.build()
    plain = tensors(run(model, inputs))
    with Census() as census:
        run(model, inputs)
    before = state(model)
    causes, outputs = recorded(model, inputs, "qk")
    used, again = recorded(model, inputs, "weights")
    changed = changes(before, state(model))
    return Finding(
        calls=by_kind(causes),
        softmaxes=census.softmaxes,
        output_error=_worst(_output_error(call) for call in _pieces(causes, used)),
        weights_error=_weights_error(causes, used),
        control_error=max(
            (_output_error(_shifted(call)) for call in _pieces(used)), default=math.inf
        ),
        unrecorded=tuple(causes.unrecorded),
        output_change=_worst((difference(plain, outputs), difference(plain, again))),
        changed=tuple(changed),
        seconds=time.perf_counter() - start,
    )


def recorded(model: nn.Module, inputs: Inputs, keep: Keep) -> tuple[Recording, list[Tensor]]:
    """One recorded pass; where nothing could be recorded, a recording that says so."""
    recording, outputs = Recording(), []
    try:
        with everything_is_sampled(), record(model, keep=keep) as recording:
            outputs = tensors(run(model, inputs))
    except NothingRecorded:
        pass  # an entry may have nothing to record, and is compared with what it expects
    return recording, outputs


def difference(plain: list[Tensor], other: list[Tensor]) -> float:
    """Largest difference of two lists of tensors: 0 if they are the same, NaN equals NaN."""
    if not plain or [a.shape for a in plain] != [b.shape for b in other]:
        return math.inf
    pairs = [(a, b) for a, b in zip(plain, other, strict=True) if not a.equal(b)]
    apart = [(a - b)[~(a.isnan() & b.isnan())] for a, b in pairs]
    return _worst(float(x.abs().max()) for x in apart if x.numel())


def way(call: Attention) -> Literal["sdpa", "softmax", "explicit", "deformable", "stitched"]:
    """How the model computes a call: fused, as written-out steps, by weights of another origin."""
    if isinstance(call, DotProductAttention):
        return "sdpa" if call.scores.fused else "softmax"
    return call.kind if call.kind in ("deformable", "stitched") else "explicit"


def by_kind(calls: Iterable[Attention]) -> str:
    """Calls counted by their way, such as "4 sdpa, 2 softmax"."""
    counts: Counter[str] = Counter(way(call) for call in calls)
    order = ("sdpa", "softmax", "explicit", "deformable", "stitched")
    return ", ".join(f"{counts[name]} {name}" for name in order if counts[name])


def _output_error(call: Attention) -> float:
    """|W·V − output|, relative to the largest value where that is above 1; NaN if unchecked."""
    if call.sample is None:
        return float("nan")
    values: Any = call.sample.values.get()
    largest = float(values.abs().max()) if values.numel() else 0.0
    return call.sample.error(call) / max(1.0, largest)


def _pieces(*recordings: Recording) -> Iterator[Attention]:
    """The calls as the model made them, without those whose weights it uses as they are."""
    for call in chain(*recordings):
        if isinstance(call, StitchedAttention):
            yield from call.pieces
        elif NOTE not in call.notes:
            yield call


def _shifted(call: Attention) -> Attention:
    """The call with the weight of each key given to the next."""
    wrong = Kept(call.weights().roll(1, dims=-1))
    return ExplicitAttention(shape=call.shape, kept_weights=wrong, sample=call.sample)


def _weights_error(causes: Recording, used: Recording) -> float:
    """Largest difference of the weights computed later from those that the model used."""
    if [call.shape for call in causes] != [call.shape for call in used]:
        return float("inf")
    pairs = ((a.weights(), b.weights()) for a, b in zip(causes, used, strict=True))
    return _worst(float((a - b).abs().max()) for a, b in pairs if a.numel())


def _worst(errors: Iterable[float]) -> float:
    """The largest error, and what is not a number is worse than any."""
    return max((math.inf if math.isnan(error) else error for error in errors), default=0.0)


def _summary(unrecorded: tuple[Unrecorded, ...]) -> str:
    """Reasons with how many layers each is for; of a reason, what stands before its details."""
    reasons = Counter(item.reason.partition(":")[0] for item in unrecorded)
    return "; ".join(f"{reason} ({count})" for reason, count in reasons.items())


def _as_listed(found: tuple[Unrecorded, ...], expected: tuple[tuple[str, str], ...]) -> bool:
    return len(found) == len(expected) and all(
        item.layer.endswith(end) and reason in item.reason
        for item, (end, reason) in zip(found, expected, strict=True)
    )

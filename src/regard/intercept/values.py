"""The last act of attention: weights meet values over the keys, and the call is recorded."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from weakref import ref

from torch import Tensor

from regard.attention import Attention
from regard.intercept.contraction import Contraction, Labels, arrange
from regard.intercept.heads import Arrangement, inner_axes
from regard.intercept.recorder import Recorder
from regard.intercept.steps import DROPOUT, DROPPED
from regard.intercept.trace import Trace
from regard.kept import storage_key
from regard.tokens.channels import ChannelTokens

SUMMARY = (
    "its rows are channels, and queries mix them afterwards, as in q·(kᵀv): they tell what each "
    "channel sums up, not where a token looks"
)


Shaped = Callable[[Tensor], Tensor]


def as_it_is(out: Tensor) -> Tensor:
    """An output whose axes are those of the product."""
    return out


class ValueProducts:
    """Records a call when its weights are contracted with values."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._summaries: dict[int, _Summary] = {}

    def clear(self) -> None:
        """Forget everything."""
        self._summaries.clear()

    @property
    def has_summaries(self) -> bool:
        """Whether any output of a softmax without q·k is alive."""
        return bool(self._summaries)

    def tell_summaries(self, c: Contraction) -> None:
        """Say of a call what it turns out to be when its rows are mixed by a product like q·(kᵀv).

        Source: Shen et al. 2021, "Efficient attention"; Xu et al. 2021, "CoaT".
        """
        for tensor, labels in ((c.a, c.a_labels), (c.b, c.b_labels)):
            found = self._summaries.get(storage_key(tensor))
            if found is None or not found.is_seen_in(tensor):
                continue
            if c.contracted == [labels[found.row_axis]]:
                found.call.notes = tuple(dict.fromkeys((*found.call.notes, SUMMARY)))
                found.call.queries = ChannelTokens(found.call.shape[2])

    def meet(
        self,
        trace: Trace,
        c: Contraction,
        labels: Labels,
        out: Tensor,
        shaped: Shaped = as_it_is,
    ) -> Attention | None:
        """Record the call if this product contracts the weights' keys with values.

        Args:
            trace: Of the weights.
            c: The product.
            labels: Those of the weights in it.
            out: Its result, as the model has it.
            shaped: Brings a tensor of its shape to the axes of the product.
        """
        if not c.own(labels):
            if trace.q is None and not self._recorder.stack.is_called_attention():
                return None  # gates of a mixture of experts weigh alike
            c, labels, shaped = _with_one_query(c, labels, shaped)
            trace = trace.lose("nothing asks: it is one row for all")
        key = c.contracted[0] if len(c.contracted) == 1 else None
        if trace.asks_along(labels, key):
            trace = trace.turned()
        query = _query(trace, c, labels)
        if key is None or query is None or not self._recorder.wants():
            return None
        if trace.key_axis is not None and labels[trace.key_axis] != key:
            return None
        if trace.fate is not None:
            trace.fate.met_values = True
        call = self._record(_Meeting(trace, c, labels, query, key), out, shaped)
        if trace.q is None and call is not None:
            place, made = storage_key(out), shaped(out)
            gone = ref(out, lambda _: self._summaries.pop(place, None))
            axis = c.out_labels.index(query) - len(c.out_labels)
            rows = (made.shape[axis], made.stride(axis))
            self._summaries[place] = _Summary(gone, axis, rows, call)
        return call

    def _record(self, m: "_Meeting", out: Tensor, shaped: Shaped) -> Attention | None:
        trace, n = m.trace, len(m.labels)
        heads = self._recorder.stack.head_count()
        leading = tuple(m.sizes[x] for x in m.leading)
        inner = m.inner if leading.count(heads) > 1 else ()
        arranged = Arrangement.of(leading, heads, inner)
        q_axis, k_axis = m.labels.index(m.query) - n, m.labels.index(m.key) - n
        scores = None
        if trace.replayable and trace.query_axis == q_axis:
            scores = trace.scores(arranged.steps(q_axis, k_axis, m.weights.shape))

        def effective() -> Tensor:
            return arranged.apply(arrange(m.weights, m.labels, [*m.leading, m.query, m.key]))

        # only a program knows the weights before a dropout
        dropped_later = DROPOUT in trace.notes and scores is not None
        notes = trace.notes if dropped_later else tuple(map(_after_dropout, trace.notes))
        met = _met_values(m, shaped, arranged)
        watched = met and self._recorder.watch(met[0], out, met[1], dropout=dropped_later)
        return self._recorder.add(
            shape=(arranged.batch, arranged.heads, m.sizes[m.query], m.sizes[m.key]),
            scores=scores,
            weights=None if dropped_later else effective,
            sample=None if dropped_later or not met else self._recorder.sample(met[0], met[1](out)),
            notes=(*notes, trace.lost) if trace.lost else notes,
            backward=watched,
        )


@dataclass(frozen=True, slots=True)
class _Summary:
    """The output of a softmax without q·k: the axis, length and stride of its rows; its call."""

    output: ref[Tensor]
    row_axis: int
    rows: tuple[int, int]
    call: Attention

    def is_seen_in(self, view: Tensor) -> bool:
        """Whether a tensor in the same memory has its rows on the same axis."""
        axis = self.row_axis
        return view.dim() >= -axis and (view.shape[axis], view.stride(axis)) == self.rows


@dataclass(frozen=True, slots=True)
class _Meeting:
    """A product of weights with values, and which axes of the weights are queries and keys."""

    trace: Trace
    c: Contraction
    labels: Labels
    query: str
    key: str

    @property
    def weights(self) -> Tensor:
        """The weights, as they were multiplied."""
        return self.c.a if self.labels is self.c.a_labels else self.c.b

    @property
    def values(self) -> tuple[Tensor, Labels]:
        """The values, and labels of their axes."""
        c = self.c
        return (c.b, c.b_labels) if self.labels is c.a_labels else (c.a, c.a_labels)

    @property
    def sizes(self) -> dict[str, int]:
        """Lengths of the weights' axes."""
        return dict(zip(self.labels, self.weights.shape, strict=True))

    @property
    def leading(self) -> list[str]:
        """The weights' axes other than queries and keys."""
        return [x for x in self.labels if x not in (self.query, self.key)]

    @property
    def inner(self) -> tuple[int, ...]:
        """Which of these are inside of the memory of one token's values."""
        values, labels = self.values
        strides = dict(zip(labels, values.stride(), strict=True))
        return inner_axes([strides.get(x, 0) for x in self.leading], strides[self.key])


def _with_one_query(
    c: Contraction, labels: Labels, shaped: Shaped
) -> tuple[Contraction, Labels, Shaped]:
    """The product where nothing asks, with one query that asks for all."""
    of_a = labels is c.a_labels
    weights = (c.a if of_a else c.b).unsqueeze(0)
    labels = ("?", *labels)
    sides = {"a": weights, "a_labels": labels} if of_a else {"b": weights, "b_labels": labels}
    c = replace(c, **sides, out_labels=("?", *c.out_labels))  # type: ignore[arg-type]
    return c, labels, lambda out: shaped(out).unsqueeze(0)


def _query(trace: Trace, c: Contraction, labels: Labels) -> str | None:
    """Label of the queries; None where the product does not tell."""
    own = c.own(labels)
    if trace.query_axis is not None and labels[trace.query_axis] in own:
        return labels[trace.query_axis]
    return own[0] if len(own) == 1 else None


def _after_dropout(note: str) -> str:
    return DROPPED if note == DROPOUT else note


def _met_values(m: _Meeting, shaped: Shaped, arranged: Arrangement) -> tuple[Tensor, Shaped] | None:
    """The values as (batch, heads, keys, d), and what brings the output into that order."""
    values, labels = m.values
    out_labels = m.c.out_labels
    channels = [x for x in labels if x not in (*m.leading, m.key)]
    lengths = dict(zip(labels, values.shape, strict=True))
    if len(channels) > 1 or any(lengths.get(x, 1) > m.sizes[x] for x in m.leading):
        return None  # of several channel axes, or heads that share one row of weights
    if not channels:  # the values are single numbers
        values, labels, channels = values.unsqueeze(-1), (*labels, "+"), ["+"]
    v = arrange(values, labels, [*m.leading, m.key, *channels])
    v = v.expand(*(m.sizes[x] for x in m.leading), *v.shape[-2:])

    def in_order(out: Tensor) -> Tensor:
        out = shaped(out)
        if "+" in channels:
            return arranged.apply(arrange(out, out_labels, [*m.leading, m.query])[..., None])
        return arranged.apply(arrange(out, out_labels, [*m.leading, m.query, *channels]))

    return arranged.apply(v), in_order

"""The last act of attention: weights meet values over the keys, and the call is recorded."""

from dataclasses import dataclass, replace
from weakref import ref

from torch import Tensor

from regard.attention import Attention
from regard.channels import ChannelTokens
from regard.intercept.contraction import Contraction, Labels, arrange
from regard.intercept.heads import Arrangement
from regard.intercept.recorder import Recorder
from regard.intercept.steps import DROPOUT, DROPPED
from regard.intercept.trace import Trace
from regard.kept import storage_key
from regard.sample import OutputSample

SUMMARY = (
    "its rows are channels, and queries mix them afterwards, as in q·(kᵀv): they tell what each "
    "channel sums up, not where a token looks"
)


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

    def meet(self, trace: Trace, c: Contraction, labels: Labels, out: Tensor) -> Attention | None:
        """Record the call if this product contracts the weights' keys with values.

        Args:
            trace: Of the weights.
            c: The product.
            labels: Those of the weights in it.
            out: Its result.
        """
        if not c.own(labels):
            if trace.q is None and not self._recorder.stack.is_called_attention():
                return None  # gates of a mixture of experts weigh alike
            c, labels, out = _with_one_query(c, labels, out)
            trace = trace.lose("nothing asks: it is one row for all")
        weights, values, value_labels = (
            (c.a, c.b, c.b_labels) if labels is c.a_labels else (c.b, c.a, c.a_labels)
        )
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
        meeting = _Meeting(trace, weights, labels, query, key)
        call = self._record(meeting, c, values, value_labels, out)
        if trace.q is None:
            place = storage_key(out)
            gone = ref(out, lambda _: self._summaries.pop(place, None))
            axis = c.out_labels.index(query) - len(c.out_labels)
            rows = (out.shape[axis], out.stride(axis))
            self._summaries[place] = _Summary(gone, axis, rows, call)
        return call

    def _record(
        self, m: "_Meeting", c: Contraction, values: Tensor, value_labels: Labels, out: Tensor
    ) -> Attention:
        trace = m.trace
        sizes = dict(zip(m.labels, m.weights.shape, strict=True))
        leading = [x for x in m.labels if x not in (m.query, m.key)]
        heads = self._recorder.stack.head_count()
        arranged = Arrangement.of([sizes[x] for x in leading], heads)
        n = len(m.labels)
        q_axis, k_axis = m.labels.index(m.query) - n, m.labels.index(m.key) - n
        scores = None
        if trace.replayable and trace.query_axis == q_axis:
            scores = trace.scores(arranged.steps(q_axis, k_axis, m.weights.shape))

        def effective() -> Tensor:
            return arranged.apply(arrange(m.weights, m.labels, [*leading, m.query, m.key]))

        dropped_later = DROPOUT in trace.notes and scores is not None
        notes = trace.notes if dropped_later else tuple(map(_after_dropout, trace.notes))
        order = (leading, m.query, m.key)
        return self._recorder.add(
            shape=(arranged.batch, arranged.heads, sizes[m.query], sizes[m.key]),
            scores=scores,
            weights=None if dropped_later else effective,  # only the program knows those before it
            sample=None
            if dropped_later
            else _sample(c, values, value_labels, out, order, arranged),
            notes=(*notes, trace.lost) if trace.lost else notes,
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
    """Weights, and which of their axes are queries and keys."""

    trace: Trace
    weights: Tensor
    labels: Labels
    query: str
    key: str


def _with_one_query(
    c: Contraction, labels: Labels, out: Tensor
) -> tuple[Contraction, Labels, Tensor]:
    """The product where nothing asks, with one query that asks for all."""
    of_a = labels is c.a_labels
    weights = (c.a if of_a else c.b).unsqueeze(0)
    labels = ("?", *labels)
    sides = {"a": weights, "a_labels": labels} if of_a else {"b": weights, "b_labels": labels}
    c = replace(c, **sides, out_labels=("?", *c.out_labels))  # type: ignore[arg-type]
    return c, labels, out.unsqueeze(0)


def _query(trace: Trace, c: Contraction, labels: Labels) -> str | None:
    """Label of the queries; None where the product does not tell."""
    own = c.own(labels)
    if trace.query_axis is not None and labels[trace.query_axis] in own:
        return labels[trace.query_axis]
    return own[0] if len(own) == 1 else None


def _after_dropout(note: str) -> str:
    return DROPPED if note == DROPOUT else note


def _sample(
    c: Contraction,
    values: Tensor,
    value_labels: Labels,
    out: Tensor,
    order: tuple[list[str], str, str],
    arranged: Arrangement,
) -> OutputSample | None:
    """Channels of values and output in the order (batch, heads, tokens, channels)."""
    leading, query, key = order
    extra = [x for x in value_labels if x not in (*leading, key)]
    if len(extra) > 1:
        return None
    if not extra:  # the values are single numbers
        values, value_labels, extra = values.unsqueeze(-1), (*value_labels, "+"), ["+"]
        c = replace(c, out_labels=(*c.out_labels, "+"))
        out = out.unsqueeze(-1)
    sizes = dict(zip(c.out_labels, out.shape, strict=True))
    v = arrange(values, value_labels, [*leading, key, *extra])
    v = v.expand(*(sizes.get(x, 1) for x in leading), *v.shape[-2:])
    o = arrange(out, c.out_labels, [*leading, query, *extra])
    return OutputSample.of(arranged.apply(v), arranged.apply(o))

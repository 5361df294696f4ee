"""Recorded attention: one call of one layer, in one of three forms behind one interface.

- `DotProductAttention` keeps the causes (q, k, mask, scale) and computes any weight on demand.
- `ExplicitAttention` keeps the weights, where they are the smaller thing or where there is no q·k.
- `DeformableAttention`, in a file of its own, keeps the points that were sampled.

Shapes are always (batch, heads, queries, keys).
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from regard.backward import Backward
from regard.errors import CaptureError, SelectionError
from regard.kept import Kept
from regard.sample import OutputSample
from regard.scores import Part, Scores
from regard.tokens import Tokens

Kind = Literal["dot_product", "explicit", "deformable", "stitched"]
Selection = int | slice | Sequence[int] | Tensor | None

TILE_BYTES = 64 * 2**20
"""Default budget of a reduction: about this much is held beside its result."""

CACHE_BYTES = 4 * 2**20
"""Tiles of `pull` are this small so that they stay in the processor's cache."""


UNKNOWN = Tokens(1)
"""Stands for "as many tokens as the shape says, known by index only"."""

_by_index = lru_cache(256)(Tokens)


@dataclass(eq=False, kw_only=True, repr=False)
class Attention(ABC):
    """One recorded attention call.

    Attributes:
        shape: (batch, heads, queries, keys).
        layer: Path of the module that ran it, as in `model.named_modules()`; "" is the model.
        axes: Which call this is: `forward` counts the passes through the model, `step` those
            through the layer (generated tokens, denoising steps), `call` the attention calls
            inside one of these; families add theirs (frame, part), numbers or words.
        queries: What the indices of the query axis stand for.
        keys: What the indices of the key axis stand for.
        notes: What a reader must know about this record, in words.
        sample: Some channels of the values and of the real output, to check the record by.
        backward: What `gradient` is computed from; None unless gradients were asked for.
    """

    kind: ClassVar[Kind]

    shape: tuple[int, int, int, int]
    layer: str = ""
    axes: dict[str, Any] = field(default_factory=lambda: {"forward": 0, "step": 0, "call": 0})
    queries: Tokens = field(default_factory=lambda: UNKNOWN)
    keys: Tokens = field(default_factory=lambda: UNKNOWN)
    notes: tuple[str, ...] = ()
    sample: OutputSample | None = None
    backward: Backward | None = None

    def __post_init__(self) -> None:
        if self.queries is UNKNOWN:
            self.queries = _by_index(self.shape[2])
        if self.keys is UNKNOWN:
            self.keys = _by_index(self.shape[3])

    @property
    @abstractmethod
    def kept(self) -> list[Kept]:
        """The tensors that this record holds."""

    @abstractmethod
    def _weights(self, part: Part, masked: bool) -> Tensor:
        """Weights of a part, (batch, heads, rows, keys)."""

    @abstractmethod
    def blocked(self, queries: Selection = None, heads: Selection = None) -> Tensor:
        """Where a mask forbids the query the key: bool (batch, heads, queries, keys)."""

    @property
    def nbytes(self) -> int:
        """Bytes that the record holds, tensors shared with other records included."""
        return sum({kept.identity: kept.nbytes for kept in self.held}.values())

    @property
    def held(self) -> list[Kept]:
        """The tensors of the weights and, where gradients were recorded, of those."""
        return [*self.kept, *([] if self.backward is None else self.backward.kept)]

    def output_error(self) -> float | None:
        """Largest |W·V − output| in the sample; None without one."""
        return None if self.sample is None else self.sample.error(self)

    def weights(
        self, queries: Selection = None, heads: Selection = None, *, masked: bool = True
    ) -> Tensor:
        """Attention weights, exact to the model's own arithmetic.

        Args:
            queries: Indices on the query axis: an int, a slice, a sequence; None for all.
            heads: Indices on the head axis, likewise.
            masked: False gives the weights of the same q and k with every mask left open
                (layer-local: q itself still comes from the masked layers before).

        Returns:
            (batch, heads, queries, keys). Rows sum to 1, but for a row in which every key is
            blocked: that is all zeros (see `fully_masked`). Points of deformable attention that
            lie outside the map are lost to its rows; `notes` say where else rows do not sum to 1.

        Raises:
            SelectionError: A query or head that does not exist.
            CaptureError: `masked=False` on a record that holds masked weights only.
        """
        return self._weights(self._part(queries, heads), masked)

    def gradient(self, queries: Selection = None, heads: Selection = None) -> Tensor:
        """Gradient of the loss with respect to the attention weights, dL/dW = dO·Vᵀ.

        Args:
            queries: As in `weights`.
            heads: As in `weights`.

        Returns:
            (batch, heads, queries, keys), at least float32, of the last backward pass.

        Raises:
            CaptureError: There is no gradient; the message says why.
        """
        if self.backward is None:
            raise CaptureError(
                f"layer {self.layer!r}: gradients were not recorded; use "
                "record(model, gradients=True)"
            )
        if self.backward.missing:
            raise CaptureError(f"layer {self.layer!r} has no gradient: {self.backward.missing}")
        return self.backward.of_weights(self._part(queries, heads))

    def fully_masked(self, queries: Selection = None, heads: Selection = None) -> Tensor:
        """Rows in which every key is blocked: bool (batch, heads, queries)."""
        return self.blocked(queries, heads).all(-1)

    def tiles(
        self,
        queries: Selection = None,
        heads: Selection = None,
        *,
        masked: bool = True,
        budget_bytes: int = TILE_BYTES,
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """The weights in blocks of whole rows: pairs of (query indices, their weights).

        A block and what it takes to compute it stay within `budget_bytes` (one row at least).
        """
        part = self._part(queries, heads)
        rows = torch.arange(self.shape[2]) if part.rows is None else part.rows
        batch, all_heads, _, keys = self.shape
        # weights, scores and one temporary, in float32; heads are cut late in some programs
        row_bytes = 3 * 4 * batch * all_heads * keys
        for block in torch.split(rows, max(1, budget_bytes // max(1, row_bytes))):
            yield block, self._weights(Part(block, part.heads), masked)

    def mean(
        self, queries: Selection = None, heads: Selection = None, *, masked: bool = True
    ) -> Tensor:
        """Weights averaged over heads: (batch, queries, keys), float32."""
        blocks = self.tiles(queries, heads, masked=masked)
        means = [weights.float().mean(1) for _, weights in blocks]
        return means[0] if len(means) == 1 else torch.cat(means, dim=1)

    def received(
        self, queries: Selection = None, heads: Selection = None, *, masked: bool = True
    ) -> Tensor:
        """Weight that each key receives, averaged over queries: (batch, heads, keys), float32."""
        total, count = None, 0
        for block, weights in self.tiles(queries, heads, masked=masked):
            share = weights.float().sum(2)
            total = share if total is None else total + share
            count += len(block)
        if total is None or not count:
            raise SelectionError(f"layer {self.layer!r}: no query was selected to average over")
        return total / count

    def entropy(
        self, queries: Selection = None, heads: Selection = None, *, masked: bool = True
    ) -> Tensor:
        """Entropy of each row in nats: (batch, heads, queries), float32; 0 looks at one key."""
        blocks = self.tiles(queries, heads, masked=masked)
        return torch.cat([torch.special.entr(w.float()).sum(-1) for _, w in blocks], dim=2)

    def pull(self, row_weights: Tensor, *, heads: Selection = None, masked: bool = True) -> Tensor:
        """Rows of weights pulled through this layer: row_weights · (mean over heads of W).

        The vector-matrix product behind rollout; no weights of more than a tile are ever held.

        Args:
            row_weights: (batch, n, queries).
            heads: Heads to average over; None for all.
            masked: As in `weights`.

        Returns:
            (batch, n, keys), float32.
        """
        pulled = torch.zeros(())
        blocks = self.tiles(pulling(row_weights), heads, masked=masked, budget_bytes=CACHE_BYTES)
        for block, weights in blocks:
            rows = row_weights[..., block.to(row_weights.device)].to(weights.device)
            pulled = pulled.to(weights.device) + rows.float() @ weights.float().mean(1)
        return pulled

    def __repr__(self) -> str:
        b, h, n, m = self.shape
        where = self.layer or "(model)"
        axes = "".join(f" {name}={value}" for name, value in self.axes.items() if value)
        return f"<{self.kind} {where}{axes}: batch {b}, heads {h}, queries {n}, keys {m}>"

    def _part(self, queries: Selection, heads: Selection) -> Part:
        rows = indices(queries, self.shape[2], f"layer {self.layer!r}: query")
        chosen = indices(heads, self.shape[1], f"layer {self.layer!r}: head")
        return Part(_cut(rows, self.shape[2]), _cut(chosen, self.shape[1]))


@dataclass(eq=False, kw_only=True, repr=False)
class DotProductAttention(Attention):
    """A call kept as its causes: q, k, and the steps to the softmax and after it.

    Source: Vaswani et al. 2017, "Attention is all you need", equation 1.
    """

    kind = "dot_product"
    scores: Scores

    @property
    def kept(self) -> list[Kept]:
        """q, k, masks and other operands."""
        return self.scores.kept

    def blocked(self, queries: Selection = None, heads: Selection = None) -> Tensor:
        """Where a mask forbids the query the key: bool (batch, heads, queries, keys)."""
        return self.scores.blocked(self._part(queries, heads))

    def _weights(self, part: Part, masked: bool) -> Tensor:
        weights = self.scores.weights(part, masked=masked)
        if masked and self.scores.may_block:
            empty = self.scores.blocked(part).all(-1, keepdim=True)
            return weights.masked_fill(empty, 0) if empty.any() else weights
        return weights


@dataclass(eq=False, kw_only=True, repr=False)
class ExplicitAttention(Attention):
    """A call kept as its weights: the effective ones, as they met the values.

    Attributes:
        kept_weights: (batch, heads, queries, keys).
        empty: bool (batch, heads, queries), rows in which every key was blocked; None if none.
        may_block: A mask was at work whose single entries are not known any more.
    """

    kind = "explicit"
    kept_weights: Kept
    empty: Kept | None = None
    may_block: bool = False

    @property
    def kept(self) -> list[Kept]:
        """The weights and the flags of empty rows."""
        return [self.kept_weights] if self.empty is None else [self.kept_weights, self.empty]

    def blocked(self, queries: Selection = None, heads: Selection = None) -> Tensor:
        """Where a mask forbids the query the key: bool (batch, heads, queries, keys).

        Raises:
            CaptureError: Only the masked weights were kept.
        """
        self._refuse_if_masked("where the mask blocks")
        return torch.zeros_like(self.weights(queries, heads), dtype=torch.bool)

    def fully_masked(self, queries: Selection = None, heads: Selection = None) -> Tensor:
        """Rows in which every key is blocked: bool (batch, heads, queries)."""
        if self.empty is None:
            return torch.zeros_like(self.weights(queries, heads)[..., 0], dtype=torch.bool)
        part = self._part(queries, heads)
        return part.select_heads(part.select_rows(self.empty.get()[..., None]))[..., 0]

    def pull(self, row_weights: Tensor, *, heads: Selection = None, masked: bool = True) -> Tensor:
        """As for every attention; the weights are there already, so no tile is cut."""
        rows = pulling(row_weights)
        weights = self.weights(rows, heads, masked=masked)
        if rows is not None:
            row_weights = row_weights[..., rows.to(row_weights.device)]
        return row_weights.to(weights.device).float() @ weights.float().mean(1)

    def _weights(self, part: Part, masked: bool) -> Tensor:
        if not masked:
            self._refuse_if_masked("unmasked weights")
        return part.select_heads(part.select_rows(self.kept_weights.get()))

    def _refuse_if_masked(self, what: str) -> None:
        if self.may_block:
            raise CaptureError(
                f"layer {self.layer!r}: {what} cannot be told, because this call was kept as its "
                f"masked weights {self.shape}; record it with keep='qk'"
            )


def pulling(row_weights: Tensor) -> Tensor | None:
    """The queries that have any weight, where these are few; None for all."""
    rows = row_weights.any(0).any(0).nonzero()[:, 0].cpu()
    return rows if 2 * len(rows) < row_weights.shape[-1] else None


def indices(selection: Selection, count: int, what: str) -> Tensor | None:
    """A selection as indices 0..count-1 on the CPU; None for all.

    Raises:
        SelectionError: An index beyond the axis, or something that is no selection.
    """
    if selection is None:
        return None
    if isinstance(selection, slice):
        return torch.arange(count)[selection]
    chosen = _integers(selection, count, what)
    wrong = chosen[(chosen < -count) | (chosen >= count)]
    if len(wrong):
        raise SelectionError(
            f"{what} {int(wrong[0])} does not exist; there are {count} (0..{count - 1})"
        )
    return chosen % count


def _cut(chosen: Tensor | None, count: int) -> Tensor | None:
    """None where all are chosen in order: what is not copied is computed as the model did it."""
    whole = chosen is None or torch.equal(chosen, torch.arange(count))
    return None if whole else chosen


def _integers(selection: int | Sequence[int] | Tensor, count: int, what: str) -> Tensor:
    """A selection as integers; one bool per index chooses those that are True."""
    try:
        given = torch.as_tensor(selection).cpu()
    except (TypeError, ValueError, RuntimeError):
        raise SelectionError(_no_selection(selection, count, what)) from None
    if given.dtype == torch.bool and given.shape == (count,):
        return given.nonzero()[:, 0]
    wrong = given.dtype == torch.bool or given.is_floating_point() or given.is_complex()
    if given.dim() > 1 or (wrong and given.numel()):
        raise SelectionError(_no_selection(selection, count, what))
    return given.reshape(-1).long()


def _no_selection(selection: object, count: int, what: str) -> str:
    return (
        f"{what}: {selection!r} selects nothing; expected an int, a slice, a list of ints, or "
        f"{count} bools"
    )

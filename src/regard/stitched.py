"""One attention that a layer computed in several calls.

Layers cut attention up: a call for each image or window of a packed batch, for each block of
queries, for a few heads at a time to save memory. Here the pieces are one call again, with their
places in it; weights are computed piece by piece, for those that are asked for.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from regard.attention import Attention, Selection
from regard.kept import Kept
from regard.scores import Part


@dataclass(frozen=True, slots=True)
class Place:
    """Where a piece lies in the whole; all are (start, stop).

    Attributes:
        lanes: Of batch · heads, batch outermost.
        queries: Of the query axis.
        keys: Of the key axis.
    """

    lanes: tuple[int, int]
    queries: tuple[int, int]
    keys: tuple[int, int]


@dataclass(eq=False, kw_only=True, repr=False)
class StitchedAttention(Attention):
    """Pieces of one attention. What no piece covers has weight 0 and counts as blocked.

    That a piece ends is no mask: tokens of other images or windows were never offered to its
    queries, and `masked=False` lifts masks within the pieces only.

    Attributes:
        pieces: The calls as they were made.
        places: Where each lies.
    """

    kind = "stitched"
    pieces: tuple[Attention, ...]
    places: tuple[Place, ...]

    @property
    def kept(self) -> list[Kept]:
        """The tensors of all pieces."""
        return [kept for piece in self.pieces for kept in piece.kept]

    def output_error(self) -> float | None:
        """The largest among the pieces; None if none was sampled."""
        errors = [piece.output_error() for piece in self.pieces]
        known = [error for error in errors if error is not None]
        if not known:
            return None
        return next((error for error in known if error != error), max(known))  # NaN is worst

    def blocked(self, queries: Selection = None, heads: Selection = None) -> Tensor:
        """Where a query was not offered a key, or a mask forbids it: bool, as the weights."""
        part = self._part(queries, heads)
        shape = self._shape_of(part)
        whole = torch.ones(shape, dtype=torch.bool, device=self._device)
        for piece, place, rows, at in self._pieces_of(part):
            self._put(whole, piece.blocked(rows), place, at, part)
        return whole

    def gradient(self, queries: Selection = None, heads: Selection = None) -> Tensor:
        """As for every attention; 0 where no piece is.

        Raises:
            CaptureError: A piece has no gradient; the message says why.
        """
        part = self._part(queries, heads)
        return self._assembled(part, lambda piece, rows: piece.gradient(rows))

    @property
    def held(self) -> list[Kept]:
        """The tensors of all pieces, those of their gradients included."""
        return [kept for piece in self.pieces for kept in piece.held]

    def fully_masked(self, queries: Selection = None, heads: Selection = None) -> Tensor:
        """Rows in which every key is blocked: bool (batch, heads, queries)."""
        part = self._part(queries, heads)
        whole = torch.ones(*self._shape_of(part)[:3], 1, dtype=torch.bool, device=self._device)
        for piece, place, rows, at in self._pieces_of(part):
            flags = piece.fully_masked(rows)[..., None]
            self._put(whole, flags, Place(place.lanes, place.queries, (0, 1)), at, part)
        return whole[..., 0]

    def _weights(self, part: Part, masked: bool) -> Tensor:
        return self._assembled(part, lambda piece, rows: piece.weights(rows, masked=masked))

    def _assembled(self, part: Part, of: Callable[[Attention, Tensor], Tensor]) -> Tensor:
        """What a function gives for the pieces' rows, each in its place, and 0 elsewhere."""
        whole = None
        for piece, place, rows, at in self._pieces_of(part):
            values = of(piece, rows)
            if whole is None:
                whole = values.new_zeros(self._shape_of(part))
            self._put(whole, values, place, at, part)
        return torch.zeros(self._shape_of(part)) if whole is None else whole

    @property
    def _device(self) -> torch.device:
        return self.pieces[0].kept[0].compact().device

    def _shape_of(self, part: Part) -> tuple[int, int, int, int]:
        batch, heads, queries, keys = self.shape
        heads = heads if part.heads is None else len(part.heads)
        return batch, heads, queries if part.rows is None else len(part.rows), keys

    def _pieces_of(self, part: Part) -> Iterator[tuple[Attention, Place, Tensor, Tensor]]:
        """Each piece that holds some of the part: its rows there, and where these go."""
        rows = torch.arange(self.shape[2]) if part.rows is None else part.rows
        for piece, place in zip(self.pieces, self.places, strict=True):
            start, stop = place.queries
            at = ((rows >= start) & (rows < stop)).nonzero()[:, 0]
            if len(at) and self._heads_in(place, part):
                yield piece, place, rows[at] - start, at

    def _heads_in(self, place: Place, part: Part) -> bool:
        if part.heads is None:
            return True
        return bool(torch.isin(torch.arange(*place.lanes) % self.shape[1], part.heads).any())

    def _put(self, whole: Tensor, piece: Tensor, place: Place, at: Tensor, part: Part) -> None:
        """Write (..., rows, keys) of a piece's lanes to its place in the part."""
        batch, heads = self.shape[:2]
        keys, at = slice(*place.keys), at.to(whole.device)
        piece = piece.to(whole.device)
        if place.lanes == (0, batch * heads):
            whole[:, :, at, keys] = part.select_heads(piece.reshape(batch, heads, *piece.shape[2:]))
            return
        chosen = list(range(heads)) if part.heads is None else part.heads.tolist()
        for lane, values in zip(range(*place.lanes), piece.flatten(0, 1), strict=True):
            for i, head in enumerate(chosen):
                if head == lane % heads:
                    whole[lane // heads, i, at, keys] = values

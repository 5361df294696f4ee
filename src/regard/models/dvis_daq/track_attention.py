"""From an instance of a video to the pixels that it was seen by.

An instance is a row of the result. In each frame of its life it is one query of the tracker; that
query mixes the frame's object queries; each of them looks at the cells of a feature level. Put
together, these give the weight of each pixel of the original frame.
"""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from regard.attention import Attention
from regard.errors import CaptureError, SelectionError
from regard.models.dvis_daq.module_paths import (
    PREDICTOR,
    ROLLOUT,
    SLOTS,
    TIME,
    TRACKER_CROSS,
    TRACKER_SELF,
)
from regard.models.dvis_daq.observe import query_names
from regard.models.dvis_daq.pixel_decoder import LEVEL_STRIDES_PX
from regard.models.dvis_daq.story import Calls, RowStory, VideoStory
from regard.models.dvis_daq.tracker_rollout import tracker_rollout
from regard.tokens.grid import GridTokens
from regard.tokens.spread import Between

Mixing = Literal["weighted", "top", "rollout"]
"""How an instance mixes the object queries of a frame.

"weighted": by its weights in one layer of the tracker.
"top": the object query alone that it looks at most in that layer.
"rollout": through all layers of the tracker, attention and residuals counting half each; an
    approximation, as every rollout is.
"""

TrackerKind = Literal["cross", "self", "slot"]
"""Which attention of the tracker: "cross" to the object queries of the frame, "self" among the
tracker's queries, "slot" of the slots to the object queries."""

_STEMS: dict[TrackerKind, str] = {"cross": TRACKER_CROSS, "self": TRACKER_SELF, "slot": SLOTS}
_MEANS_HELD = 8


@dataclass(frozen=True, kw_only=True)
class FrameImportance:
    """How much each frame counts for what the instance is said to be; exact."""

    weights: Tensor
    """Share of each frame, (frames,); they sum to 1."""
    contributions: Tensor | None
    """What each frame adds to each class logit, signed, (frames, classes + 1). Their sum and the
    classifier's bias are the logits. ``None`` where they were not kept (runs of other tools)."""
    alive: Tensor
    """Whether the instance lives in the frame, bool (frames,). Elsewhere the model looked at what
    it remembers of the instance, not at the frame."""


@dataclass(eq=False, kw_only=True)
class TrackAttention:
    """What was kept of a run over a video, and how it leads to pixels; see the module."""

    story: VideoStory
    """Who lived when."""
    calls: Calls = field(repr=False)
    """The kept calls."""

    def __post_init__(self) -> None:
        # One frame after the other is asked for, and a window holds several of them.
        self._means: OrderedDict[tuple[int, int, bool, int | None], Tensor] = OrderedDict()
        self._shares: tuple[Any, Tensor | None] = (None, None)  # all layers take those of a frame

    @property
    def layers(self) -> tuple[int, ...]:
        """Layers of the predictor that were kept."""
        return self.story.layers

    def query_weights(
        self,
        row: int,
        frame: int,
        *,
        mixing: Mixing = "weighted",
        tracker_layer: int = -1,
        head: int | None = None,
    ) -> Tensor | None:
        """How an instance mixes the frame's object queries, (queries,), 1 in sum.

        Args:
            row: Index of the instance's row.
            frame: Index of the frame.
            mixing: See `Mixing`.
            tracker_layer: Layer of the tracker; not used by "rollout".
            head: A head of that layer; None for the mean of all.

        Returns:
            None where the instance does not live in the frame.

        Raises:
            SelectionError: No such row, frame, layer or head.
        """
        if mixing not in get_args(Mixing):
            raise SelectionError(f"mixing is {mixing!r}, expected one of {get_args(Mixing)}")
        of = self._row(row)
        self._checked(frame, self.story.frame_count, "frame")
        if frame not in of.life:
            return None
        if of.chain is not None:  # linked without the tracker: it is this object query
            return torch.eye(self.story.object_queries)[of.chain[frame]]
        if mixing == "rollout":
            return self._rolled(f"track {of.track_id}", frame)
        weights = self.tracker_weights(row, frame, tracker_layer, head=head)
        assert weights is not None
        return weights if mixing == "weighted" else torch.eye(len(weights))[weights.argmax()]

    def tracker_weights(
        self,
        row: int,
        frame: int,
        layer: int = -1,
        *,
        kind: TrackerKind = "cross",
        head: int | None = None,
    ) -> Tensor | None:
        """What an instance's query of the tracker looks at in a frame, (keys,), 1 in sum.

        Args:
            row: Index of the instance's row.
            frame: Index of the frame.
            layer: Layer of the tracker.
            kind: See `TrackerKind`.
            head: A head of the layer; None for the mean of all.

        Returns:
            None where the instance is no track, or does not live in the frame. Slots are the
            tracks that lived before the frame, so that of a track's first frame is None.

        Raises:
            SelectionError: No such row, frame, layer, kind or head.
            CaptureError: It was not kept.
        """
        if kind not in _STEMS:
            raise SelectionError(f"kind is {kind!r}, expected one of {get_args(TrackerKind)}")
        of = self._row(row)
        self._checked(frame, self.story.frame_count, "frame")
        if of.track_id is None or frame not in of.life:
            return None
        if kind == "slot" and of.track_id not in self.story.tracked[frame].entered:
            return None
        call = self._tracker(_STEMS[kind], frame, layer)
        query = self._query(call, f"track {of.track_id}")
        return call.weights(query, head)[0, :, 0].float().mean(0).cpu()

    def query_of(self, row: int, frame: int) -> int | None:
        """Index of an instance among the tracker's queries of a frame; None if it has none."""
        of = self._row(row)
        self._checked(frame, self.story.frame_count, "frame")
        if of.track_id is None:
            return None
        return self.story.tracked[frame].query_of(of.track_id)

    def tracker_names(self, frame: int) -> tuple[str, ...]:
        """What the tracker's queries of a frame are, such as "track 3" and "candidate 0"."""
        of = self.story.tracked[self._checked(frame, self.story.frame_count, "frame")]
        if frame == 0:
            return query_names(of, self.story.object_queries)
        return query_names(of, len(of.entered) + self.story.candidates)

    def decoder_weights(
        self, layer: int, frame: int, *, masked: bool = True, head: int | None = None
    ) -> Tensor:
        """What each object query of a frame looks at in a layer, (queries, cells), rows sum to 1.

        Args:
            layer: Layer of the predictor, one of ``layers``.
            frame: Index of the frame.
            masked: False for the same queries and keys with every mask left open.
            head: A head of the layer; None for the mean of all.

        Raises:
            SelectionError: The layer was not kept, or there is no such frame or head.
            CaptureError: Only finished maps, or only masked weights, were kept.
        """
        self._kept_layer(layer)
        self._checked(frame, self.story.frame_count, "frame")
        window = self.story.window_of(frame)
        key = (window.start, layer, masked, head)
        if key not in self._means:
            self._means[key] = self._window_mean(*key)
            if len(self._means) > _MEANS_HELD:
                self._means.popitem(last=False)
        self._means.move_to_end(key)
        return self._means[key][frame - window.start]

    def _window_mean(self, start: int, layer: int, masked: bool, head: int | None) -> Tensor:
        """Mean over heads of all weights of a window, (frames, queries, cells)."""
        call = self.calls.find(PREDICTOR, start, layer)
        if call is None:
            raise CaptureError(
                f"frame {start} has no record of layer {layer} of the predictor "
                f"(keep={self.story.keep!r}); run with keep='predicted'"
            )
        if call.shape[1] == 1 and head is None:  # nothing to average, so nothing to copy
            return call.weights(masked=masked)[:, 0].float().cpu()
        return call.mean(heads=head, masked=masked).cpu()

    def cell_weights(
        self,
        row: int,
        frame: int,
        layer: int,
        *,
        masked: bool = True,
        decoder_head: int | None = None,
        **mixing: Any,
    ) -> Tensor | None:
        """Weight of each cell of a layer's feature level, (cells,), 1 in sum.

        Args:
            row: Index of the instance's row.
            frame: Index of the frame.
            layer: Layer of the predictor, one of ``layers``.
            masked: False for the same queries and keys with every mask left open.
            decoder_head: A head of the layer; None for the mean of all.
            mixing: As for `query_weights`.

        Returns:
            None where the instance does not live in the frame.
        """
        self._kept_layer(layer)
        if self.story.keep == "maps":
            return self._stored(row, frame, layer, masked, decoder_head, mixing)
        asked = (row, frame, tuple(sorted(mixing.items())))
        if self._shares[0] != asked:
            self._shares = (asked, self.query_weights(row, frame, **mixing))
        shares = self._shares[1]
        if shares is None:
            return None
        return shares @ self.decoder_weights(layer, frame, masked=masked, head=decoder_head)

    def heat(
        self,
        row: int,
        frame: int,
        *,
        layers: Iterable[int] | None = None,
        size_hw: tuple[int, int] | None = None,
        between: Between = "linear",
        temporal: bool = False,
        **options: Any,
    ) -> Tensor | None:
        """Weight of each pixel of the original frame, (height, width) float32.

        What falls on padding is left out, so the sum can be below 1; see `on_padding`.

        Args:
            row: Index of the instance's row.
            frame: Index of the frame.
            layers: Layers of the predictor to average over; by default all that were kept.
            size_hw: Size of the map; by default that of the frame.
            between: Spread smoothly, or exactly on each cell ("cells").
            temporal: Whether it is multiplied by how much the frame counts for the class, so that
                frames compare; offline models only.
            options: As for `cell_weights` and `query_weights`.

        Returns:
            None where the instance does not live in the frame.
        """
        maps = []
        for layer in self._layers(layers):
            weights = self.cell_weights(row, frame, layer, **options)
            if weights is None:
                return None
            maps.append(self.layout(layer).to_pixels(weights, size_hw, between=between))
        heat = torch.stack(maps).mean(0)
        return heat * self.importance(row).weights[frame] if temporal else heat

    def on_padding(self, row: int, frame: int, layer: int, **options: Any) -> float | None:
        """Share of the weight that falls on padding, 0 to 1."""
        weights = self.cell_weights(row, frame, layer, **options)
        return None if weights is None else float(self.layout(layer).shares(weights)["padding"])

    def layout(self, layer: int) -> GridTokens:
        """Where the cells of a layer's feature level lie."""
        if self.story.view is None:
            raise SelectionError(
                "this run does not say how large its frames were for the model, so its cells "
                "have no place on them; open it with open_run(path, short_side_px=...)"
            )
        stride = LEVEL_STRIDES_PX[layer % len(LEVEL_STRIDES_PX)]
        return GridTokens.from_stride(self.story.view, stride)

    def time_weights(self, row: int, layer: int = -1, head: int | None = None) -> Tensor:
        """Attention of the refiner from frame to frame for one instance, (frames, frames)."""
        if not self.story.refiner_layers:
            raise SelectionError("there is no attention over time: online models have none")
        row = self._checked(row, len(self.story.rows), "row")
        index = self._checked(layer, self.story.refiner_layers, "refiner layer")
        for key, batch in ((row, 0), (0, row)):  # kept row by row, or all rows in one batch
            call = self.calls.find(TIME, key, index)
            if call is not None and call.axes.get("row", row) == row and batch < call.shape[0]:
                return call.weights(heads=head)[batch].float().mean(0).cpu()
        raise SelectionError(
            f"row {row} has no record in the refiner; run with keep='predicted' for the rows of "
            "the result, or keep='all' for every row"
        )

    def importance(self, row: int) -> FrameImportance:
        """How much each frame counts for the class of an instance; offline models only."""
        self._require_refiner()
        of, story = self._row(row), self.story
        assert story.frame_weights is not None
        return FrameImportance(
            weights=story.frame_weights[row],
            contributions=None if story.contributions is None else story.contributions[row],
            alive=torch.tensor([frame in of.life for frame in range(story.frame_count)]),
        )

    def _rolled(self, name: str, frame: int) -> Tensor:
        """Shares of the frame's object queries in a track after all layers, 1 in sum."""
        if kept := self.calls.find(ROLLOUT, frame, -1):
            return kept.weights(self._query(kept, name))[0, 0, 0].cpu()
        layers = range(self.story.tracker_layers)
        cross = [self._tracker(TRACKER_CROSS, frame, layer) for layer in layers]
        own = [self._tracker(TRACKER_SELF, frame, layer) for layer in layers]
        shares = tracker_rollout(
            [call.weights()[0].float().mean(0) for call in cross],
            [call.weights()[0].float().mean(0) for call in own],
            is_first_frame=frame == 0,
        )
        return shares[self._query(cross[0], name)].cpu()

    def _stored(
        self,
        row: int,
        frame: int,
        layer: int,
        masked: bool,
        decoder_head: int | None,
        mixing: dict[str, Any],
    ) -> Tensor | None:
        of = self._row(row)
        self._checked(frame, self.story.frame_count, "frame")
        plain = {"mixing": "weighted", "tracker_layer": -1, "head": None}
        asked = {name: value for name, value in mixing.items() if value != plain.get(name, ...)}
        if not masked or decoder_head is not None or asked or of.track_id is None:
            raise CaptureError(
                "this run kept one finished map a track and frame (keep='maps'), made of tracks, "
                "masked, the mean of heads, by the last tracker layer; run with keep='predicted' "
                "for anything else"
            )
        if frame not in of.life:
            return None
        maps = self.calls.maps(frame)
        assert maps is not None
        place = self.story.tracked[frame].left.index(of.track_id)
        cells = [self.layout(kept).count for kept in self.layers]
        return maps[place].split(cells)[self.layers.index(layer)]

    def _tracker(self, stem: str, frame: int, layer: int) -> Attention:
        index = self._checked(layer, self.story.tracker_layers, "tracker layer")
        call = self.calls.find(stem, frame, index)
        if call is None:
            raise CaptureError(
                f"frame {frame} has no record of {stem}.{index} (keep={self.story.keep!r})"
            )
        return call

    def _query(self, call: Attention, name: str) -> int:
        if name not in call.queries.prefix:
            raise SelectionError(
                f"{name} has no record: it is not in the result; run with keep='all' for every "
                "track"
            )
        return call.queries.prefix.index(name)

    def _kept_layer(self, layer: int) -> None:
        if layer not in self.layers:
            raise SelectionError(
                f"layer {layer} of the predictor was not kept; kept: {list(self.layers)}"
            )

    def _layers(self, layers: Iterable[int] | None) -> Sequence[int]:
        chosen = tuple(self.layers if layers is None else layers)
        if not chosen:
            raise SelectionError(f"no layer of the predictor was chosen; kept: {list(self.layers)}")
        return chosen

    def _row(self, row: int) -> RowStory:
        return self.story.rows[self._checked(row, len(self.story.rows), "row")]

    def _require_refiner(self) -> None:
        if self.story.frame_weights is None:
            raise SelectionError("this is an online model: it weighs no frames against each other")

    @staticmethod
    def _checked(index: int, count: int, what: str) -> int:
        if not -count <= index < count:
            raise SelectionError(
                f"{what} {index} does not exist; there are {count} (0..{count - 1})"
            )
        return index % count

"""From an instance of a video to the pixels that it was seen by.

An instance is a row of the result. In each frame of its life it is one query of the tracker; that
query mixes the frame's object queries; each of them looks at the cells of a feature level. Put
together, these give the weight of each pixel of the original frame.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from regard.attention import Attention
from regard.errors import CaptureError, SelectionError
from regard.geometry import ViewTransform
from regard.grid import GridTokens
from regard.models.dvis_daq.model import DvisDaq
from regard.models.dvis_daq.observe import (
    PREDICTOR,
    ROLLOUT,
    TIME,
    TRACKER_CROSS,
    TRACKER_SELF,
    Keep,
    Watcher,
)
from regard.models.dvis_daq.output import VideoOutput
from regard.models.dvis_daq.pixel_decoder import LEVEL_STRIDES_PX
from regard.models.dvis_daq.tracker_rollout import tracker_rollout
from regard.recording import Recording
from regard.spread import Between

Mixing = Literal["weighted", "top", "rollout"]
"""How an instance mixes the object queries of a frame.

"weighted": by its weights in one layer of the tracker.
"top": the object query alone that it looks at most in that layer.
"rollout": through all layers of the tracker, attention and residuals counting half each; an
    approximation, as every rollout is.
"""


@dataclass(frozen=True, kw_only=True)
class FrameImportance:
    """How much each frame counts for what the instance is said to be; exact."""

    weights: Tensor
    """Share of each frame, (frames,); they sum to 1."""
    contributions: Tensor
    """What each frame adds to each class logit, signed, (frames, classes + 1). Their sum and the
    classifier's bias are the logits."""
    alive: Tensor
    """Whether the instance lives in the frame, bool (frames,). Elsewhere the model looked at what
    it remembers of the instance, not at the frame."""


@dataclass(eq=False, kw_only=True)
class VideoAttention:
    """The recorded attention of a run over a video; see the module."""

    output: VideoOutput
    """What the model says about the video."""
    recording: Recording
    """The kept calls, with ``frame``, ``window``, ``layer_index`` and, in the predictor,
    ``level`` among their axes."""
    view: ViewTransform
    """Where the input's pixels lie on a frame."""
    model: DvisDaq = field(repr=False)
    """The network."""
    layers: tuple[int, ...]
    """Layers of the predictor that were kept."""
    keep: Keep
    """What was kept."""
    _watcher: Watcher = field(repr=False)

    def __post_init__(self) -> None:
        self._calls: dict[tuple[str, int, int], Attention] = {}
        for call in self.recording:
            stem = call.layer.rsplit("_layers.", 1)[0]
            stem += "_layers" if stem != call.layer else ""
            key = (stem, call.axes.get("row", call.axes["frame"]), call.axes["layer_index"])
            self._calls[key] = call

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
        of = self.output.rows[self._checked(row, len(self.output.rows), "row")]
        self._checked(frame, self.output.frames, "frame")
        if not of.lives_in(frame):
            return None
        if of.chain is not None:  # linked without the tracker: it is this object query
            return torch.eye(self._query_count)[of.chain[frame]]
        assert of.track is not None
        name = f"track {of.track.id}"
        if mixing == "rollout":
            return self._rolled(name, frame)
        call = self._tracker(TRACKER_CROSS, frame, tracker_layer)
        weights = call.weights(self._query(call, name), head)[0, :, 0].float().mean(0).cpu()
        return weights if mixing == "weighted" else torch.eye(len(weights))[weights.argmax()]

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
        if layer not in self.layers:
            raise SelectionError(
                f"layer {layer} of the predictor was not kept; kept: {list(self.layers)}"
            )
        if self.keep == "maps":
            return self._stored(row, frame, layer, masked, decoder_head, mixing)
        shares = self.query_weights(row, frame, **mixing)
        if shares is None:
            return None
        window = next(window for window in self.output.windows if frame in window)
        call = self._calls[PREDICTOR, window.start, layer]
        batch = frame - window.start
        needed = shares.nonzero()[:, 0]
        weights = call.weights(needed, decoder_head, masked=masked)[batch].float().mean(0)
        return shares[needed] @ weights.cpu()

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
        stride = LEVEL_STRIDES_PX[layer % len(LEVEL_STRIDES_PX)]
        return GridTokens.from_stride(self.view, stride)

    def time_weights(self, row: int, layer: int = -1, head: int | None = None) -> Tensor:
        """Attention of the refiner from frame to frame for one instance, (frames, frames)."""
        refiner = self._require_refiner()
        index = self._checked(layer, len(refiner.transformer_ffn_layers), "refiner layer")
        for key, batch in ((row, 0), (0, row)):  # kept row by row, or all rows in one batch
            call = self._calls.get((TIME, key, index))
            if call is not None and call.axes.get("row", row) == row and batch < call.shape[0]:
                return call.weights(heads=head)[batch].float().mean(0).cpu()
        raise SelectionError(
            f"row {row} has no record in the refiner; run with keep='predicted' for the rows of "
            "the result, or keep='all' for every row"
        )

    def importance(self, row: int) -> FrameImportance:
        """How much each frame counts for the class of an instance; offline models only."""
        refiner, refined = self._require_refiner(), self.output.refined
        assert refined is not None
        self._checked(row, len(self.output.rows), "row")
        lives = [self.output.rows[row].lives_in(frame) for frame in range(self.output.frames)]
        with torch.no_grad():
            contributions = refined.contributions(refiner.class_embed)[row].cpu()
        return FrameImportance(
            weights=refined.frame_weights[row].cpu(),
            contributions=contributions,
            alive=torch.tensor(lives),
        )

    def _rolled(self, name: str, frame: int) -> Tensor:
        """Shares of the frame's object queries in a track after all layers, 1 in sum."""
        if kept := self._calls.get((ROLLOUT, frame, -1)):
            return kept.weights(self._query(kept, name))[0, 0, 0].cpu()
        layers = range(len(self.model.tracker.transformer_ffn_layers))
        cross = [self._tracker(TRACKER_CROSS, frame, layer) for layer in layers]
        own = [self._tracker(TRACKER_SELF, frame, layer) for layer in layers]
        return tracker_rollout(cross, own, is_first_frame=frame == 0)[self._query(cross[0], name)]

    def _stored(
        self,
        row: int,
        frame: int,
        layer: int,
        masked: bool,
        decoder_head: int | None,
        mixing: dict[str, Any],
    ) -> Tensor | None:
        of = self.output.rows[self._checked(row, len(self.output.rows), "row")]
        if not masked or decoder_head is not None or mixing or of.track is None:
            raise CaptureError(
                "this run kept one finished map a track and frame (keep='maps'), made of tracks, "
                "masked, the mean of heads, by the last tracker layer; run with keep='predicted' "
                "for anything else"
            )
        if not of.lives_in(frame):
            return None
        assert self._watcher.maps is not None
        place = self.output.tracked[frame].left.index(of.track.id)
        by_layer = self._watcher.maps[frame][place].split(self._watcher.map_cells)
        return by_layer[sorted(self.layers).index(layer)]

    def _tracker(self, stem: str, frame: int, layer: int) -> Attention:
        count = len(self.model.tracker.transformer_ffn_layers)
        index = self._checked(layer, count, "tracker layer")
        call = self._calls.get((stem, frame, index))
        if call is None:
            raise CaptureError(
                f"frame {frame} has no record of {stem}.{index} (keep={self.keep!r})"
            )
        return call

    def _query(self, call: Attention, name: str) -> int:
        if name not in call.queries.prefix:
            raise SelectionError(
                f"{name} has no record: it is not in the result; run with keep='all' for every "
                "track"
            )
        return call.queries.prefix.index(name)

    def _layers(self, layers: Iterable[int] | None) -> Sequence[int]:
        chosen = tuple(self.layers if layers is None else layers)
        if not chosen:
            raise SelectionError(f"no layer of the predictor was chosen; kept: {list(self.layers)}")
        return chosen

    @property
    def _query_count(self) -> int:
        return len(self.model.learned_queries)

    def _require_refiner(self) -> Any:
        if self.model.refiner is None or self.output.refined is None:
            raise SelectionError("this is an online model: it weighs no frames against each other")
        return self.model.refiner

    @staticmethod
    def _checked(index: int, count: int, what: str) -> int:
        if not -count <= index < count:
            raise SelectionError(
                f"{what} {index} does not exist; there are {count} (0..{count - 1})"
            )
        return index % count

    def close(self) -> None:
        """Delete temporary files; maps and masks cannot be read afterwards."""
        self.output.close()
        if self._watcher.maps is not None:
            self._watcher.maps.close()

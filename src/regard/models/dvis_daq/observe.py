"""Recording the attention of a run over a video: what each call is, and what of it is kept.

Every call says which frame and window it belongs to, and what its queries and keys are: the
tracker's queries carry the names of their tracks, whose order changes with every birth and death.
"""

import re
from collections.abc import Callable, Sequence
from functools import lru_cache

import torch
from torch import Tensor

from regard.attention import Attention
from regard.geometry import ViewTransform
from regard.models.dvis_daq.dinov2 import PATCH_PX
from regard.models.dvis_daq.frame_store import FrameStore
from regard.models.dvis_daq.inference import Observer, Part
from regard.models.dvis_daq.living_rows import LivingRows
from regard.models.dvis_daq.module_paths import PREDICTOR, TRACKER_CROSS
from regard.models.dvis_daq.pixel_decoder import LEVEL_STRIDES_PX
from regard.models.dvis_daq.story import Keep
from regard.models.dvis_daq.tracks import TrackedFrame
from regard.tokens import Tokens
from regard.tokens.grid import GridTokens

Sink = Callable[[Part, Sequence[Attention]], None]
"""Takes the calls of a part of a run: of a window, of a frame, or of the refiner."""

_INDEX = re.compile(r"layers\.(\d+)\.")


@lru_cache(1024)
def index_of(layer: str) -> int:
    """Index that a layer's path names, from 0; -1 where layers have no number."""
    match = _INDEX.search(layer)
    return int(match[1]) if match else -1


class Watcher(Observer):
    """Gives every recorded call its place in the video, and says which are kept.

    `each` goes to ``regard.record``, the watcher itself to `run_video`.

    Args:
        view: Where the input's pixels lie on a frame.
        keep: What is kept.
        layers: Indices of the predictor's layers to keep.
        sink: Takes calls as soon as all of a window or frame are there; then they are not held.
    """

    def __init__(
        self, view: ViewTransform, keep: Keep, layers: Sequence[int], sink: Sink | None = None
    ) -> None:
        self.maps = FrameStore() if keep == "maps" else None
        self.living_rows = LivingRows()  # "predicted": of the tracker
        self._view, self._keep, self._layers = view, keep, set(layers)
        self._levels = [GridTokens.from_stride(view, stride) for stride in LEVEL_STRIDES_PX]
        self._sink = sink
        self._streamed: list[Attention] = []
        self._part: Part = "segment"
        self._place = {"window": 0, "frame": 0}
        self._of_frame: list[Attention] = []
        self._of_window: list[Attention] = []
        self._means: list[Tensor] = []  # of their heads, (frames, queries, cells) each

    def begin(self, part: Part, *, window: int = 0, frame: int = 0) -> None:
        """The calls that come now belong to this part."""
        self.hand_over()
        self._part, self._place = part, {"window": window, "frame": frame}
        if part == "segment":
            self._of_window, self._means = [], []

    def hand_over(self) -> None:
        """Give the sink what is complete."""
        if self._sink is not None and self._streamed:
            self._sink(self._part, self._streamed)
        self._streamed = []

    def each(self, call: Attention) -> bool:
        """Say what the call is; whether it is held until the run is over."""
        is_kept = self._is_kept(call)
        # which instances are in the result is known at the end, so their rows wait for it
        if not is_kept or self._sink is None or self._waits_for_result():
            return is_kept
        self._streamed.append(call)
        return False

    def _waits_for_result(self) -> bool:
        return self._keep == "predicted" and self._part != "segment"

    def _is_kept(self, call: Attention) -> bool:
        """Say what the call is; whether it is kept."""
        call.axes |= self._place
        call.axes["layer_index"] = index_of(call.layer)
        if call.layer.startswith(PREDICTOR):
            return self._predictor(call)
        if self._part == "track":
            self._of_frame.append(call)
            return self._keep == "all"
        if call.layer.startswith("backbone.vit_module."):
            call.queries = call.keys = GridTokens.from_stride(self._view, PATCH_PX, prefix=("cls",))
        return self._keep == "all" or (self._part == "refine" and self._keep == "predicted")

    def _predictor(self, call: Attention) -> bool:
        level = call.axes["layer_index"] % len(LEVEL_STRIDES_PX)
        call.axes["level"] = level
        call.keys = self._levels[level]
        wanted = call.axes["layer_index"] in self._layers
        if wanted and self._keep == "maps":
            self._of_window.append(call)
        return self._keep == "all" or (wanted and self._keep == "predicted")

    def tracked(self, frame: TrackedFrame) -> None:
        """Name the tracker's queries, now that the births of the frame are known."""
        living = frame.entered, frame.left, frame.left_queries
        for call in self._of_frame:
            call.queries = queries = _layout(".slot_" in call.layer, *living, call.shape[2])
            if call.shape[2] == call.shape[3] and "cross_attention_layers" not in call.layer:
                call.keys = queries
            if call.layer.endswith("slot_attn"):
                call.keys = queries
        if self.maps is not None:
            self.maps.append(self._mixtures(frame))
        if self._keep == "predicted":
            self.living_rows.add(frame, self._of_frame)
        self._of_frame = []

    def _mixtures(self, frame: TrackedFrame) -> Tensor:
        """Map of each living track over the cells of all kept layers, (tracks, cells)."""
        last = [call for call in self._of_frame if call.layer.startswith(TRACKER_CROSS)][-1]
        shares = last.weights(list(frame.left_queries))[0].float().mean(0)
        if not self._means:
            self._means = [call.mean() for call in self._of_window]
        offset = frame.frame - self._of_window[0].axes["frame"]
        return torch.cat([shares @ mean[offset] for mean in self._means], dim=1)


def query_names(frame: TrackedFrame, count: int) -> tuple[str, ...]:
    """What each of so many queries of the tracker is in a frame."""
    return _layout(False, frame.entered, frame.left, frame.left_queries, count).prefix


Ids = tuple[int, ...]


@lru_cache(16)  # the same for all layers, and for frames in which nothing is born or dies
def _layout(is_slots: bool, entered: Ids, left: Ids, left_queries: Ids, count: int) -> Tokens:
    """The queries of the tracker in a frame, or the slots: one a track, then the background's."""
    tracks, others = dict(enumerate(entered)), "background" if is_slots else "candidate"
    if not is_slots:
        tracks |= dict(zip(left_queries, left, strict=True))
    names = (
        f"track {tracks[query]}" if query in tracks else f"{others} {query - len(entered)}"
        for query in range(count)
    )
    return Tokens(count, prefix=tuple(names))

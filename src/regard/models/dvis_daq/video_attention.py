"""The recorded attention of a run over a video, while it is in memory."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from regard.attention import Attention
from regard.geometry import ViewTransform
from regard.models.dvis_daq.frame_store import FrameStore
from regard.models.dvis_daq.model import DvisDaq
from regard.models.dvis_daq.output import VideoOutput
from regard.models.dvis_daq.settings import Settings
from regard.models.dvis_daq.story import Keep, VideoStory, story_rows
from regard.models.dvis_daq.track_attention import TrackAttention
from regard.recording import Recording


class CallsInMemory:
    """Calls by their place; see `Calls`."""

    def __init__(self, calls: Iterable[Attention], maps: FrameStore | None) -> None:
        self._calls = {place_of(call.layer, call.axes): call for call in calls}
        self._maps = maps

    def find(self, stem: str, place: int, layer: int) -> Attention | None:
        """The call of one layer at one place; ``None`` if it was not kept."""
        return self._calls.get((stem, place, layer))

    def maps(self, frame: int) -> Tensor | None:
        """Finished maps of the tracks that live after a frame."""
        return None if self._maps is None else self._maps[frame]


def place_of(layer: str, axes: Mapping[str, Any]) -> tuple[str, int, int]:
    """Stem, place and index of the layer by which a call is found; see `Calls.find`."""
    stem, found, after = layer.rpartition("_layers.")
    name = after.partition(".")[2]  # two kinds of attention in one layer are told by their name
    stem = f"{stem}_layers" if found else layer
    stem = f"{stem}.{name}" if name == "slot_attn" else stem
    return stem, axes.get("row", axes["frame"]), axes["layer_index"]


@dataclass(eq=False, kw_only=True)
class VideoAttention(TrackAttention):
    """What a model said about a video, and everything that was kept of how it looked."""

    output: VideoOutput
    """What the model says about the video."""
    recording: Recording
    """The kept calls, with ``frame``, ``window``, ``layer_index`` and, in the predictor,
    ``level`` among their axes."""
    model: DvisDaq = field(repr=False)
    """The network."""
    _maps: FrameStore | None = field(repr=False)

    @property
    def view(self) -> ViewTransform:
        """Where the input's pixels lie on a frame."""
        assert self.story.view is not None
        return self.story.view

    @property
    def keep(self) -> Keep:
        """What was kept."""
        return self.story.keep

    def close(self) -> None:
        """Delete temporary files; maps and masks cannot be read afterwards."""
        self.output.close()
        if self._maps is not None:
            self._maps.close()


@torch.no_grad()
def story_of(
    model: DvisDaq,
    output: VideoOutput,
    settings: Settings,
    view: ViewTransform,
    layers: tuple[int, ...],
    keep: Keep,
) -> VideoStory:
    """What is known of a run that is over."""
    refiner, refined = model.refiner, output.refined
    return VideoStory(
        rows=story_rows(output),
        tracked=tuple(output.tracked),
        windows=tuple(output.windows),
        view=view,
        object_queries=len(model.learned_queries),
        channels=model.learned_queries.shape[1],
        candidates=settings.new_instances or len(model.learned_queries),
        tracker_layers=len(model.tracker.transformer_ffn_layers),
        refiner_layers=0 if refiner is None else len(refiner.transformer_ffn_layers),
        layers=layers,
        keep=keep,
        frame_weights=None if refined is None else refined.frame_weights.cpu(),
        contributions=(
            refined.contributions(refiner.class_embed).cpu() if refiner and refined else None
        ),
    )

"""Watching the official DVIS-DAQ, a detectron2 model, instead of our own network.

Its attention layers have the paths that ours have. What a hook on a layer cannot know is which
frame a call belongs to and which track each query is; that follows from the order of calls, from
``tracker.last_seq_ids`` and from the embeddings in ``tracker.video_ins_hub``. No class of the
official code is needed: any object with these modules and attributes is watched the same way.

Source: zhang-tao-whu/DVIS_Plus, DVIS_DAQ/dvis_daq/{meta_architecture,track_module,refiner}.py.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from regard.errors import CaptureError
from regard.geometry import ViewTransform
from regard.intercept.record import record
from regard.models.dvis_daq.observe import Watcher
from regard.models.dvis_daq.pixel_decoder import LEVEL_STRIDES_PX
from regard.models.dvis_daq.story import RowStory, VideoStory
from regard.models.dvis_daq.track_attention import TrackAttention
from regard.models.dvis_daq.tracks import TrackedFrame
from regard.models.dvis_daq.video_attention import CallsInMemory
from regard.recording import Recording

_NEEDED = (
    "backbone",
    "sem_seg_head.predictor.transformer_cross_attention_layers",
    "sem_seg_head.predictor.query_feat",
    "tracker.transformer_cross_attention_layers",
    "tracker.transformer_ffn_layers",
)


@dataclass
class Watched:
    """What was kept of a video that the official model ran over."""

    recording: Recording
    """The kept calls, with ``frame``, ``window``, ``layer_index`` and ``level`` among their axes,
    and the names of tracks as their queries."""
    sequence_ids: list[int] = field(default_factory=list)
    """What the official code calls each row of `attention`. Rows of offline models come in the
    order of its ``pred_ids``; tracks that it dropped as noise follow."""
    _attention: TrackAttention | None = None

    @property
    def attention(self) -> TrackAttention:
        """From rows to pixels, as for our own network.

        Raises:
            CaptureError: The ``with`` is not over.
        """
        if self._attention is None:
            raise CaptureError("the video is not over: look at it after the with")
        return self._attention


@contextmanager
def watch_upstream(
    model: nn.Module, view: ViewTransform, *, layers: Sequence[int] | None = None
) -> Iterator[Watched]:
    """Record one video that the official model runs over in the ``with``.

    Kept are the chosen layers of the predictor, and all of tracker and refiner, in memory.

    Args:
        model: The official model object, in evaluation mode; or one built like it.
        view: Where the pixels of its input lie on a frame; `view_of` for its usual preparation.
        layers: Layers of the predictor; by default the last three, one for each level.

    Raises:
        CaptureError: The model lacks a module that the official one has, or runs a second video.
        NothingRecorded: The model did not run.
    """
    _require_modules(model)
    count = len(model.get_submodule(_NEEDED[1]))  # type: ignore[arg-type]
    chosen = range(count - len(LEVEL_STRIDES_PX), count) if layers is None else layers
    watcher = Watcher(view, "all", tuple(chosen))
    listener = _Listener(model, watcher, set(chosen))
    with ExitStack() as stack:
        listener.listen(stack)
        recording = stack.enter_context(
            record(model, "*_attention_layers.*", keep="qk", each=listener.each)
        )
        watched = Watched(recording)
        yield watched
    listener.end_frame()
    watched.sequence_ids, rows = listener.rows()
    story = listener.story(rows, view, tuple(chosen))
    watched._attention = TrackAttention(story=story, calls=CallsInMemory(recording, None))


def _require_modules(model: nn.Module) -> None:
    for path in _NEEDED:
        try:
            model.get_submodule(path)
        except AttributeError as error:
            raise CaptureError(
                f"{type(model).__name__} has no module {path!r}, so it is not built like the "
                "official DVIS-DAQ; regard.record takes any model, without names of tracks"
            ) from error


class _Listener:
    """Tells the watcher how far the official model is, by hooks on a few of its modules."""

    def __init__(self, model: Any, watcher: Watcher, layers: set[int]) -> None:
        self.model, self.watcher, self.layers = model, watcher, layers
        self.tracked: list[TrackedFrame] = []
        self.windows: list[range] = []
        self.born: list[int] = []  # sequence ids in the order of birth
        self.rows_of_refiner: list[int] = []
        self.frame_weights: Tensor | None = None
        self.contributions: Tensor | None = None
        self._entered: list[int] | None = None  # sequence ids, while a frame is open
        self._outputs: Tensor | None = None

    def listen(self, stack: ExitStack) -> None:
        """Put the hooks in place until the stack is closed."""
        tracker, refiner = self.model.tracker, getattr(self.model, "refiner", None)
        hooks = [
            self.model.backbone.register_forward_pre_hook(self._window),
            tracker.transformer_cross_attention_layers[0].register_forward_pre_hook(self._frame),
            tracker.transformer_ffn_layers[-1].register_forward_hook(self._ran),
        ]
        if refiner is not None:
            first = refiner.transformer_time_self_attention_layers[0]
            hooks.append(first.register_forward_pre_hook(self._refine))
            hooks.append(refiner.activation_proj.register_forward_hook(self._weighed))
            stack.enter_context(_told(self.model, "common_inference", self._rows))
        for hook in hooks:
            stack.callback(hook.remove)

    def each(self, call: Any) -> bool:
        """Of the predictor, keep the chosen layers; of the others everything."""
        kept = self.watcher.each(call)
        if call.layer.startswith("sem_seg_head."):
            return "cross" in call.layer and call.axes["layer_index"] in self.layers
        return kept

    def _window(self, _: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self.end_frame()
        first = self.windows[-1].stop if self.windows else 0
        self.windows.append(range(first, first + len(inputs[0])))
        self.watcher.begin("segment", window=len(self.windows) - 1, frame=first)

    def _frame(self, _: nn.Module, __: object) -> None:
        self.end_frame()
        frame = len(self.tracked)
        ids = self.model.tracker.last_seq_ids
        if frame and ids is None:
            raise CaptureError(
                f"a second video begins after {frame} frames; open a new watch for each video"
            )
        self._entered = list(ids or [])
        window = next(number for number, frames in enumerate(self.windows) if frame in frames)
        self.watcher.begin("track", window=window, frame=frame)

    def _ran(self, _: nn.Module, __: object, output: Tensor) -> None:
        self._outputs = output.detach()[:, 0]

    def end_frame(self) -> None:
        """Name the tracks of the frame that is open, if one is."""
        if self._entered is None:
            return
        left = list(self.model.tracker.last_seq_ids)
        queries = self._queries(left)
        self.born += [sequence for sequence in left if sequence not in self.born]
        hub = self.model.tracker.video_ins_hub
        frame = TrackedFrame(
            frame=len(self.tracked),
            entered=tuple(self.born.index(sequence) for sequence in self._entered),
            left=tuple(self.born.index(sequence) for sequence in left),
            left_queries=tuple(queries),
            left_seen=tuple(bool(hub[sequence].appearance[-1]) for sequence in left),
        )
        self.tracked.append(frame)
        self.watcher.tracked(frame)
        self._entered = None

    def _queries(self, left: list[int]) -> list[int]:
        """Query of each sequence that lives on; a new one is the query whose output it stored."""
        assert self._entered is not None
        assert self._outputs is not None
        queries: list[int] = []
        for sequence in left:
            if sequence in self._entered:
                queries.append(self._entered.index(sequence))
                continue
            stored = self.model.tracker.video_ins_hub[sequence].embeds[-1].to(self._outputs)
            first = max([len(self._entered), *(query + 1 for query in queries)])
            same = (self._outputs[first:] == stored).all(-1).nonzero()
            if not len(same):
                raise CaptureError(
                    f"frame {len(self.tracked)}: no query of the tracker put out what sequence "
                    f"{sequence} stored; expected the official video_ins_hub"
                )
            queries.append(first + int(same[0]))
        return queries

    def _refine(self, _: nn.Module, __: object) -> None:
        self.end_frame()
        self.watcher.begin("refine")

    def _rows(self, output: dict[str, Any]) -> None:
        self.rows_of_refiner = [int(sequence) for sequence in output["seq_id_list"]]

    def _weighed(self, _: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        """How much each frame counts; tensors are (layers, 1, frames, rows, channels)."""
        embeds, weights = inputs[0].detach()[-1, 0], output.detach()[-1, 0].softmax(0)
        classify = self.model.refiner.class_embed.weight
        added = weights * F.linear(embeds, classify)
        self.frame_weights = weights[..., 0].T.cpu()
        self.contributions = added.transpose(0, 1).cpu()

    def rows(self) -> tuple[list[int], tuple[RowStory, ...]]:
        """Official id and story of each row.

        Rows that the official code linked by similarity alone belong to no track; they have no
        frame to look at.
        """
        lives = {
            sequence: [f.frame for f in self.tracked if number in f.left]
            for number, sequence in enumerate(self.born)
        }
        ids = list(self.rows_of_refiner)
        ids += [sequence for sequence in self.born if sequence not in ids]
        stories = []
        for sequence in ids:
            frames = lives.get(sequence, [])
            life = range(frames[0], frames[-1] + 1) if frames else range(0)
            track = self.born.index(sequence) if sequence in lives else None
            stories.append(RowStory(track_id=track, life=life))
        return ids, tuple(stories)

    def story(
        self, rows: tuple[RowStory, ...], view: ViewTransform, layers: tuple[int, ...]
    ) -> VideoStory:
        """What is known of the video besides the attention itself."""
        tracker, refiner = self.model.tracker, getattr(self.model, "refiner", None)
        queries: int = self.model.sem_seg_head.predictor.query_feat.num_embeddings
        return VideoStory(
            rows=rows,
            tracked=tuple(self.tracked),
            windows=tuple(self.windows),
            view=view,
            object_queries=queries,
            candidates=tracker.num_new_ins,
            channels=self.model.sem_seg_head.predictor.query_feat.embedding_dim,
            tracker_layers=len(tracker.transformer_ffn_layers),
            refiner_layers=0 if refiner is None else len(refiner.transformer_ffn_layers),
            layers=layers,
            keep="all",
            frame_weights=self.frame_weights,
            contributions=self.contributions,
        )


@contextmanager
def _told(owner: Any, name: str, tell: Callable[[Any], None]) -> Iterator[None]:
    """Tell what a method of an object returned, for as long as the ``with`` lasts."""
    method = getattr(owner, name)

    def call(*args: Any, **options: Any) -> Any:
        result = method(*args, **options)
        tell(result)
        return result

    setattr(owner, name, call)
    try:
        yield
    finally:
        delattr(owner, name)

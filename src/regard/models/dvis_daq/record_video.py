"""Recording the attention of a model while it runs over a video."""

from collections.abc import Iterable, Sequence
from typing import get_args

from torch import Tensor

from regard.errors import SelectionError
from regard.geometry import ViewTransform
from regard.intercept.record import record
from regard.models.dvis_daq.inference import run_video
from regard.models.dvis_daq.model import DvisDaq
from regard.models.dvis_daq.module_paths import PREDICTOR, TRACKER_CROSS
from regard.models.dvis_daq.observe import Sink, Watcher
from regard.models.dvis_daq.pixel_decoder import LEVEL_STRIDES_PX
from regard.models.dvis_daq.settings import Settings
from regard.models.dvis_daq.story import Keep
from regard.models.dvis_daq.trim import only_predicted
from regard.models.dvis_daq.video_attention import CallsInMemory, VideoAttention, story_of
from regard.recording import Recording


def last_looks(model: DvisDaq) -> tuple[int, ...]:
    """The last layers of the predictor, one for each level: 6, 7 and 8 of upstream's nine."""
    count = len(model.sem_seg_head.predictor.transformer_ffn_layers)
    return tuple(range(max(0, count - len(LEVEL_STRIDES_PX)), count))


def record_video(
    model: DvisDaq,
    frames: Iterable[Tensor],
    settings: Settings,
    view: ViewTransform,
    *,
    keep: Keep = "predicted",
    layers: Sequence[int] | None = None,
    sink: Sink | None = None,
) -> VideoAttention:
    """What a model says about a video, and where it looks.

    Args:
        model: In evaluation mode.
        frames: As for `run_video`.
        settings: As for `run_video`.
        view: Where the input's pixels lie on a frame; of `prepare_frame`.
        keep: See `Keep`.
        layers: Layers of the predictor to keep; `last_looks` by default.
        sink: Takes the calls of each window, frame and refiner as soon as they are complete. They
            are not in the result then, and memory does not grow with them. With "predicted" it
            takes the predictor's alone: which others are kept is known at the end.

    Raises:
        SelectionError: A layer or way of keeping that does not exist.
        MediaError: As for `run_video`.
    """
    layers = checked_layers(model, keep, layers)
    watcher = Watcher(view, keep, layers, sink)
    wanted = _wanted(model, keep, layers)
    # where only rows or maps are kept, no output can be checked against them
    sampled = {"all": "*", "predicted": f"{PREDICTOR}.*", "maps": ()}[keep]
    with record(
        model, wanted, keep="qk", watch="kernels", sampled=sampled, each=watcher.each
    ) as recording:
        output = run_video(model, frames, settings, observer=watcher)
        watcher.hand_over()
    if keep == "predicted":
        kept = only_predicted(recording, watcher.living_rows.taken(), output)
        recording = Recording(list(kept), recording.unrecorded)
    return VideoAttention(
        story=story_of(model, output, settings, view, layers, keep),
        calls=CallsInMemory(recording, watcher.maps),
        output=output,
        recording=recording,
        model=model,
        _maps=watcher.maps,
    )


def _wanted(model: DvisDaq, keep: Keep, layers: Sequence[int]) -> list[str]:
    """Globs of the modules whose attention is needed."""
    if keep == "all":
        return ["*attn"]
    chosen = [f"{PREDICTOR}.{layer}" for layer in layers]
    if keep == "maps":
        last = len(model.tracker.transformer_ffn_layers) - 1
        return [*chosen, f"{TRACKER_CROSS}.{last}"]
    return [*chosen, "tracker.*attn", "refiner.*attn"]


def checked_layers(model: DvisDaq, keep: Keep, layers: Sequence[int] | None) -> tuple[int, ...]:
    """Layers of the predictor to keep, in order; `last_looks` by default.

    Raises:
        SelectionError: A layer or way of keeping that does not exist.
    """
    layers = last_looks(model) if layers is None else layers
    if keep not in get_args(Keep):
        raise SelectionError(f"keep is {keep!r}, expected one of {get_args(Keep)}")
    count = len(model.sem_seg_head.predictor.transformer_ffn_layers)
    wrong = [layer for layer in layers if not 0 <= layer < count]
    if wrong or not layers:
        raise SelectionError(
            f"layers {wrong or 'none'} of the predictor do not exist; there are {count} "
            f"(0..{count - 1}), and at least one must be kept"
        )
    return tuple(sorted(set(layers)))

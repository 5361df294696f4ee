"""A recorded video made by hand: two discs, whose attention is where they are."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from regard.attention import Attention, ExplicitAttention
from regard.datasets.rle import encode_mask
from regard.kept import Kept
from regard.models.dvis_daq.module_paths import PREDICTOR, TIME, TRACKER_CROSS, TRACKER_SELF
from regard.models.dvis_daq.preparation import prepare_frame
from regard.models.dvis_daq.settings import Settings
from regard.models.dvis_daq.story import RowStory, VideoStory
from regard.models.dvis_daq.track_attention import TrackAttention
from regard.models.dvis_daq.tracks import TrackedFrame
from regard.models.dvis_daq.video_attention import CallsInMemory
from regard.runs import RecordedInstance, RecordedVideo
from regard.runs.recorded_video import VideoContent
from regard.tokens import Tokens
from regard.tokens.grid import GridTokens

FRAMES, QUERIES, HEADS, LAYERS = 8, 5, 2, 3
SIZE_HW = (90, 134)
"""At a short side of 96 it is 96 x 143 for the model, padded to 96 x 160."""
COLOURS = ((214, 92, 64), (72, 122, 206))
LIVES = (range(8), range(2, 6))
FOUND = ((0, 0.94, 1), (1, 0.81, 2), (0, 0.04, 2), (2, 0.02, 1))
"""Row, score and class of each instance; row 2 is a chain of object queries, no track."""
LEVELS = {6: 32, 7: 16, 8: 8}


def centre(disc: int, frame: int) -> tuple[float, float]:
    """Of a disc in a frame, in pixels."""
    return (28 + 11 * frame, 34 + 2 * frame) if disc == 0 else (100 - 12 * frame, 66)


def disc(which: int, frame: int) -> np.ndarray:
    y, x = np.mgrid[: SIZE_HW[0], : SIZE_HW[1]] + 0.5
    across, down = centre(which, frame)
    found: np.ndarray = (x - across) ** 2 + (y - down) ** 2 < 16**2
    return found & (frame in LIVES[which])


def photo(frame: int) -> Image.Image:
    y, x = np.mgrid[: SIZE_HW[0], : SIZE_HW[1]]
    pixels = np.stack([120 + x / 3, 150 + y / 4, 110 + (x + y) / 6], -1).astype(np.uint8)
    for which, colour in enumerate(COLOURS):
        pixels[disc(which, frame)] = colour
    return Image.fromarray(pixels)


def photos(*frames: int) -> dict[int, Image.Image]:
    return {frame: photo(frame) for frame in frames}


def write_frames(folder: Path) -> list[str]:
    names = [f"{frame:05d}.png" for frame in range(FRAMES)]
    folder.mkdir(parents=True, exist_ok=True)
    for frame, name in enumerate(names):
        photo(frame).save(folder / name)
    return names


def recorded_video(folder: Path, name: str = "discs", *, is_offline: bool = True) -> RecordedVideo:
    """Two discs over eight frames; frames lie in ``folder`` as PNG files."""
    content = _content(folder, write_frames(folder), is_offline)
    return RecordedVideo(name, lambda: content)


def _content(folder: Path, names: list[str], is_offline: bool) -> VideoContent:
    _, view = prepare_frame(photo(0), Settings(short_side_px=96))
    layouts = {layer: GridTokens.from_stride(view, px) for layer, px in LEVELS.items()}
    tracked = tuple(_tracked(frame) for frame in range(FRAMES))
    story = VideoStory(
        rows=(
            RowStory(track_id=0, life=LIVES[0]),
            RowStory(track_id=1, life=LIVES[1]),
            RowStory(track_id=None, life=range(FRAMES), chain=(2,) * FRAMES),
        ),
        tracked=tracked,
        windows=(range(4), range(4, 8)),
        view=view,
        object_queries=QUERIES,
        candidates=QUERIES,
        channels=256,
        tracker_layers=LAYERS,
        refiner_layers=LAYERS if is_offline else 0,
        layers=tuple(LEVELS),
        keep="predicted",
        frame_weights=frame_weights() if is_offline else None,
        contributions=None,
    )
    calls = [*_predictor(layouts), *_tracker(tracked), *(_time() if is_offline else ())]
    return VideoContent(
        attention=TrackAttention(story=story, calls=CallsInMemory(calls, None)),
        instances=tuple(_instance(*found) for found in FOUND),
        size_hw=SIZE_HW,
        frame_indices=tuple(range(FRAMES)),
        frame_seconds=(None,) * FRAMES,
        frame_names=tuple(names),
        frames_per_second=None,
        source=folder,
    )


def frame_weights() -> Tensor:
    """(rows, frames); the first row counts frame 3 most."""
    bumps = torch.tensor([[1, 2, 4, 9, 6, 3, 2, 1], [0.2, 0.2, 3, 5, 4, 2, 0.2, 0.2], [1] * 8])
    return bumps / bumps.sum(1, keepdim=True)


def _instance(row: int, score: float, category: int) -> RecordedInstance:
    masks = [disc(row % 2, frame) for frame in range(FRAMES)]
    return RecordedInstance(
        row=row,
        score=score,
        category_id=category,
        category=("salmon", "trout")[category - 1],
        label=category - 1,
        track_id=row if row < 2 else None,
        life=LIVES[row] if row < 2 else range(FRAMES),
        rles=tuple(encode_mask(mask) if mask.any() else None for mask in masks),
        size_hw=SIZE_HW,
    )


def _tracked(frame: int) -> TrackedFrame:
    entered = tuple(track for track in (0, 1) if frame > 0 and frame - 1 in LIVES[track])
    left = tuple(track for track in (0, 1) if frame in LIVES[track])
    queries = [0 if track == 0 else (1 if track in entered else 1 + 2) for track in left]
    return TrackedFrame(
        frame=frame,
        entered=entered,
        left=left,
        left_queries=tuple(queries),
        left_seen=(True,) * len(left),
    )


def _predictor(layouts: dict[int, GridTokens]) -> list[Attention]:
    """Object queries 0 and 1 look at the discs, 2 at the lower left, the others anywhere."""
    found = []
    for layer, layout in layouts.items():
        rows, columns = layout.grid_hw
        y, x = np.mgrid[:rows, :columns] + 0.5
        across, down = layout.view.to_original(x * LEVELS[layer], y * LEVELS[layer])
        for window in (range(4), range(4, 8)):
            weights = np.ones((4, HEADS, QUERIES, rows, columns))
            for frame in window:
                places = [centre(0, frame), centre(1, frame), (20, 80)]
                for query, (place_x, place_y) in enumerate(places):
                    for head in range(HEADS):
                        far = (across - place_x - 6 * head) ** 2 + (down - place_y) ** 2
                        weights[frame - window.start, head, query] = np.exp(-far / 180) + 0.002
            weights /= weights.sum((-2, -1), keepdims=True)
            flat = torch.from_numpy(weights).float().flatten(-2)
            place = {"window": window.start, "frame": window.start, "layer_index": layer}
            found.append(_call(f"{PREDICTOR}.{layer}.multihead_attn", flat, place, keys=layout))
    return found


def _tracker(tracked: tuple[TrackedFrame, ...]) -> list[Attention]:
    """Each track looks at its disc's query most, and a bit more so in each layer."""
    found = []
    for frame in tracked:
        for layer in range(LAYERS):
            weights = torch.full((1, HEADS, len(frame.left), QUERIES), 0.1)
            for place, track in enumerate(frame.left):
                weights[..., place, track] = 1 + layer + 0.25 * (frame.frame % 3)
            weights = weights / weights.sum(-1, keepdim=True)
            axes = {"frame": frame.frame, "window": 0, "layer_index": layer}
            names = tuple(f"track {track}" for track in frame.left)
            queries = Tokens(len(names), prefix=names)
            layer_path = f"{TRACKER_CROSS}.{layer}.multihead_attn"
            found.append(_call(layer_path, weights, axes, queries=queries, keys=Tokens(QUERIES)))
            among = torch.eye(len(names)).expand(1, HEADS, -1, -1) * 0.5 + 0.5 / len(names)
            layer_path = f"{TRACKER_SELF}.{layer}.self_attn"
            found.append(_call(layer_path, among, axes, queries=queries, keys=queries))
    return found


def _time() -> list[Attention]:
    found = []
    steps = torch.arange(FRAMES)
    for row in (0, 1):
        for layer in range(LAYERS):
            near = -((steps[:, None] - steps[None]).abs() - row).float() / (1 + layer)
            favoured = 2.0 * (steps == 3 + layer).float() * (1 + row)
            heads = torch.stack([near + favoured, near])
            axes = {"frame": 0, "window": 0, "row": row, "layer_index": layer}
            path = f"{TIME}.{layer}.self_attn"
            found.append(_call(path, heads.softmax(-1)[None], axes, keys=Tokens(FRAMES)))
    return found


def _call(
    layer: str,
    weights: Tensor,
    axes: dict[str, int],
    *,
    keys: Tokens,
    queries: Tokens | None = None,
) -> Attention:
    batch, heads, rows, columns = weights.shape
    return ExplicitAttention(
        shape=(batch, heads, rows, columns),
        kept_weights=Kept(weights.contiguous()),
        layer=layer,
        axes=axes,
        queries=queries or Tokens(rows),
        keys=keys,
    )

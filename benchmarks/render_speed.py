"""How fast films are made: 1280 x 720, one instance with attention, line, words and colour bar.

Attention is where DVIS-DAQ's masks let it be: around the object, 0 elsewhere. Its weights lie in
memory, so what it takes to compute them from q and k is not in these numbers. In turn: plain
encoding of finished pictures that lie in memory, by PyAV with the same settings, and the film of
frames that lie in memory; then both with the video decoded from its file, as `regard render` does.
CPU time counts all threads, so it depends less on what else the machine does; on two free cores a
frame takes half of it at best.
"""

import io
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from statistics import median

import av
import numpy as np
import torch
from PIL import Image

from benchmarks.measure import report
from regard.attention import Attention, ExplicitAttention
from regard.datasets.rle import encode_mask
from regard.figures.film import film
from regard.figures.subject import choose
from regard.kept import Kept
from regard.media.animation import mp4_bytes, write_animation
from regard.models.dvis_daq.module_paths import PREDICTOR, TRACKER_CROSS
from regard.models.dvis_daq.preparation import view_of
from regard.models.dvis_daq.settings import Settings
from regard.models.dvis_daq.story import RowStory, VideoStory
from regard.models.dvis_daq.track_attention import TrackAttention
from regard.models.dvis_daq.tracks import TrackedFrame
from regard.models.dvis_daq.video_attention import CallsInMemory
from regard.runs import RecordedInstance, RecordedVideo
from regard.runs.recorded_video import VideoContent
from regard.tokens import Tokens
from regard.tokens.grid import GridTokens

SIZE_HW = (720, 1280)
FRAMES, WINDOW, QUERIES = 48, 12, 100
LAYERS = {6: 32, 7: 16, 8: 8}
REPEATS = 9


def main() -> None:
    """Measure, interleaved."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "clip.mp4"
        write_animation(source, moving_photos(), fps=25)
        video = recorded(source)
        (subject,) = choose(video)
        frames = list(video.frames())
        finished = list(film(subject, frames))
        variants: dict[str, Callable[[], object]] = {
            "plain encoding": lambda: plain_encoding(finished),
            "film": lambda: mp4_bytes(film(subject, frames), 25),
            "decoding, plain encoding": lambda: plain_encoding(decoded(video, finished)),
            "decoding, film": lambda: mp4_bytes(film(subject, video.frames()), 25),
        }
        report("render_speed", rows(variants, finished[0].size))


def rows(
    variants: dict[str, Callable[[], object]], size_wh: tuple[int, int]
) -> list[dict[str, object]]:
    """Times of each variant, and the median ratios to the first one within each round."""
    wall: dict[str, list[float]] = {name: [] for name in variants}
    cpu: dict[str, list[float]] = {name: [] for name in variants}
    for round_number in range(REPEATS + 1):
        for name, run in variants.items():
            start, used = time.perf_counter(), time.process_time()
            run()
            if round_number:
                wall[name].append(time.perf_counter() - start)
                cpu[name].append(time.process_time() - used)

    def over_plain(times: dict[str, list[float]], name: str) -> float:
        plain = "decoding, plain encoding" if name.startswith("decoding") else "plain encoding"
        return round(median(a / b for a, b in zip(times[name], times[plain], strict=True)), 2)

    return [
        {
            "what": name,
            "pixels": f"{size_wh[0]} x {size_wh[1]}",
            "frames_a_second": round(FRAMES / min(wall[name]), 1),
            "cpu_ms_a_frame": round(1000 * min(cpu[name]) / FRAMES, 1),
            "time_over_plain": over_plain(wall, name),
            "cpu_over_plain": over_plain(cpu, name),
        }
        for name in variants
    ]


def decoded(video: RecordedVideo, pictures: Sequence[Image.Image]) -> Iterator[Image.Image]:
    """Finished pictures, after the frame that each was made of has been read."""
    for _, picture in zip(video.frames(), pictures, strict=True):
        yield picture


def plain_encoding(pictures: Iterable[Image.Image]) -> bytes:
    """H.264 as `write_animation` makes it, on this thread, with nothing around it."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(25))
        stream.options = {"crf": "18", "preset": "veryfast", "threads": "2"}
        stream.pix_fmt = "yuv420p"
        for index, picture in enumerate(pictures):
            if index == 0:
                stream.width, stream.height = picture.size
            frame = av.VideoFrame.from_ndarray(np.asarray(picture), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return file.getvalue()


def moving_photos() -> Iterator[Image.Image]:
    """A camera that pans over soft shapes with grain."""
    random = np.random.default_rng(0)
    coarse = random.integers(0, 255, (12, 24, 3), dtype=np.uint8)
    wide = Image.fromarray(coarse).resize((1600, 720), Image.Resampling.BICUBIC)
    grain = random.integers(-6, 7, (720, 1600, 1))
    scene = np.clip(np.asarray(wide).astype(int) + grain, 0, 255).astype(np.uint8)
    for index in range(FRAMES):
        yield Image.fromarray(np.ascontiguousarray(scene[:, 4 * index : 4 * index + 1280]))


def recorded(source: Path) -> RecordedVideo:
    """One track through all frames, seen by random attention of the real sizes."""
    y, x = np.mgrid[: SIZE_HW[0], : SIZE_HW[1]]
    masks = [encode_mask((x - 300 - 10 * i) ** 2 + (y - 360) ** 2 < 150**2) for i in range(FRAMES)]
    instance = RecordedInstance(
        row=0,
        score=0.97,
        category_id=1,
        category="fish",
        label=0,
        track_id=0,
        life=range(FRAMES),
        rles=tuple(masks),
        size_hw=SIZE_HW,
    )
    content = VideoContent(
        attention=attention(),
        instances=(instance,),
        size_hw=SIZE_HW,
        frame_indices=tuple(range(FRAMES)),
        frame_seconds=(None,) * FRAMES,
        frame_names=None,
        frames_per_second=25.0,
        source=source,
    )
    return RecordedVideo("clip", lambda: content)


def attention() -> TrackAttention:
    """The calls that a film reads."""
    view = view_of(SIZE_HW, Settings())
    windows = [range(start, start + WINDOW) for start in range(0, FRAMES, WINDOW)]
    generator = torch.Generator().manual_seed(0)
    calls: list[Attention] = []
    for layer, stride in LAYERS.items():
        keys = GridTokens.from_stride(view, stride)
        for window in windows:
            logits = torch.randn(WINDOW, 1, QUERIES, keys.count, generator=generator)
            logits = logits.masked_fill(~near_object(keys, window), -torch.inf)
            place = {"frame": window.start, "window": window.start, "layer_index": layer}
            calls.append(
                explicit(f"{PREDICTOR}.{layer}.attn", (3 * logits).softmax(-1), place, keys)
            )
    for frame in range(FRAMES):
        logits = torch.randn(1, 8, 1, QUERIES, generator=generator)
        place = {"frame": frame, "window": 0, "layer_index": 0}
        one = Tokens(1, prefix=("track 0",))
        found = explicit(f"{TRACKER_CROSS}.0.attn", logits.softmax(-1), place, Tokens(QUERIES), one)
        calls.append(found)
    story = VideoStory(
        rows=(RowStory(track_id=0, life=range(FRAMES)),),
        tracked=tuple(lives(frame) for frame in range(FRAMES)),
        windows=tuple(windows),
        view=view,
        object_queries=QUERIES,
        candidates=QUERIES,
        channels=256,
        tracker_layers=1,
        refiner_layers=0,
        layers=tuple(LAYERS),
        keep="predicted",
    )
    return TrackAttention(story=story, calls=CallsInMemory(calls, None))


def near_object(keys: GridTokens, window: range) -> torch.Tensor:
    """Cells around the object in each frame of a window, (frames, 1, 1, cells)."""
    rows, columns = keys.grid_hw
    y, x = (torch.arange(side) + 0.5 for side in (rows, columns))
    across, down = keys.view.to_original(x * keys.stride_px[1], y * keys.stride_px[0])
    centres = torch.tensor([300.0 + 10 * frame for frame in window])[:, None, None]
    far = (across - centres) ** 2 + (down[:, None] - 360) ** 2
    return (far < 200**2).flatten(1)[:, None, None]


def lives(frame: int) -> TrackedFrame:
    """Track 0 is the first query of every frame."""
    entered = (0,) if frame else ()
    return TrackedFrame(
        frame=frame, entered=entered, left=(0,), left_queries=(0,), left_seen=(True,)
    )


def explicit(
    layer: str,
    weights: torch.Tensor,
    axes: dict[str, int],
    keys: Tokens,
    queries: Tokens | None = None,
) -> Attention:
    """A call kept as its weights."""
    batch, heads, rows, columns = weights.shape
    return ExplicitAttention(
        shape=(batch, heads, rows, columns),
        kept_weights=Kept(weights),
        layer=layer,
        axes=axes,
        queries=queries or Tokens(rows),
        keys=keys,
    )


if __name__ == "__main__":
    main()

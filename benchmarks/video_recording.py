"""What a run that keeps attention adds to plain inference: DVIS-DAQ with ResNet-50, offline.

Plain: frames are prepared on a thread, the model runs, masks of the result are made and packed.
Recorded: the same, while q, k and masks of the last three layers of the predictor stream to the
disk, with what tracker and refiner looked at, checksums and the journal: everything that `regard
run` does for a video. With "all" every layer streams there, whole. The weights are random, as
upstream's network has them in shape; tracks are capped at 20.

Both ways of using memory are measured, each in a process of its own (see `recording_time`).
"""

import itertools
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from benchmarks.measure import environment, median, ratio, report, seconds
from regard.clips.clip import prepared_frames
from regard.datasets.rle import encode_mask
from regard.media.frames import EVERY_FRAME, Frame, FrameRange
from regard.models.dvis_daq.inference import run_video
from regard.models.dvis_daq.model import DvisDaq, SegmentationHead
from regard.models.dvis_daq.pixel_decoder import PixelDecoder
from regard.models.dvis_daq.predictor import Predictor
from regard.models.dvis_daq.preparation import view_of
from regard.models.dvis_daq.refiner import Refiner
from regard.models.dvis_daq.resnet import ResNet
from regard.models.dvis_daq.settings import Settings
from regard.models.dvis_daq.tracker import Tracker
from regard.runs.folder import RunFolder
from regard.runs.job import Job, Source

SIZE_HW = (288, 512)
FRAMES = 6
ROUNDS = 6
CASES = (("keeps memory", "predicted"), ("default", "predicted"), ("keeps memory", "all"))
"""Allocator, and what is kept."""
SETTINGS = Settings(
    short_side_px=288, window=3, max_tracks=20, first_frame_threshold=0, threshold=0
)


def main() -> None:
    """Measure each case in a new process."""
    rows = []
    for allocator, keep in CASES:
        command = [sys.executable, "-m", __spec__.name, allocator, keep]
        done = subprocess.run(
            command, check=True, capture_output=True, text=True, env=environment(allocator)
        )
        rows.append(json.loads(done.stdout.splitlines()[-1]))
        print(rows[-1], flush=True)
    torch.set_num_threads(1)  # as in the cases; the report names it
    report("video_recording", rows)


def measured(allocator: str, keep: Any) -> dict[str, object]:
    """Plain and recorded in turn: one row of the table."""
    torch.set_num_threads(1)  # a second thread that is preempted makes small products far slower
    torch.manual_seed(0)
    network, noise = resnet50(), Noise()
    cpu_s: dict[str, list[float]] = {"plain": [], "recorded": []}

    def counted(name: str, run: Callable[[], None]) -> None:
        start = time.process_time()
        run()
        cpu_s[name].append(time.process_time() - start)

    with tempfile.TemporaryDirectory() as folder:
        job = Job(network=network, settings=SETTINGS, keep=keep)
        run = counting_runs(job, noise, Path(folder))
        times = seconds(
            {
                "plain": lambda: counted("plain", lambda: plain(network, noise)),
                "recorded": lambda: counted("recorded", run),
            },
            ROUNDS,
        )
        files = (Path(folder) / "1").rglob("*.safetensors")
        written = sum(path.stat().st_size for path in files)
    view = view_of(SIZE_HW, SETTINGS)
    return {
        "keep": keep,
        "allocator": allocator,
        "frames": FRAMES,
        "input": f"{view.input_hw[0]} x {view.input_hw[1]}",
        "plain_s": round(median(times["plain"]), 2),
        "recorded_s": round(median(times["recorded"]), 2),
        "recorded_over_plain": round(ratio(times, "recorded", "plain"), 3),
        "in_processor_time": round(ratio(cpu_s, "recorded", "plain"), 3),
        "written_mb_a_frame": round(written / FRAMES / 1e6, 1),
    }


def counting_runs(job: Job, video: "Noise", folder: Path) -> Callable[[], None]:
    """What runs a video into a new run in a folder, which are called 1, 2, ..."""
    number = itertools.count(1)

    def recorded() -> None:
        with RunFolder(folder / str(next(number))) as run:
            run.acknowledge(job.run(run.path, Source("noise", lambda: video, Path()), None))

    return recorded


def plain(network: DvisDaq, video: "Noise", settings: Settings = SETTINGS) -> None:
    """Everything that a result needs, and nothing else."""
    frames = (pixels for _, pixels in prepared_frames(video.frames(), settings))
    view = view_of(video.size_hw, settings)
    _, _, right, bottom = view.content_box_xyxy
    with run_video(network, frames, settings) as output:
        rows = sorted({found.row for found in output.detections})
        for frame in range(output.frames):
            masks = output.masks(
                frame,
                rows,
                padded_hw=view.input_hw,
                content_hw=(round(bottom), round(right)),
                size_hw=view.original_hw,
            )
            for mask in masks.cpu().numpy():
                encode_mask(mask)


class Noise:
    """A video of noise."""

    name = "noise"
    frames_per_second: float | None = 25.0

    def __init__(self, frames: int = FRAMES, size_hw: tuple[int, int] = SIZE_HW) -> None:
        self.frame_count, self.size_hw = frames, size_hw
        pixels = np.random.default_rng(0).integers(0, 255, (frames, *size_hw, 3), dtype=np.uint8)
        self._images = [Image.fromarray(frame) for frame in pixels]

    def frames(self, wanted: FrameRange = EVERY_FRAME) -> Iterator[Frame]:
        """The frames; see `regard.media.frames.Video`."""
        for index, image in enumerate(self._images):
            if index in wanted:
                yield Frame(index, None, image)


def resnet50(width: int = 256) -> DvisDaq:
    """The network of DAQ_Offline_R50 with random weights; narrower, it has as many layers."""
    backbone = ResNet(
        stem_channels=width // 4,
        blocks=(3, 4, 6, 3),
        inner_channels=(width // 4, width // 2, width, 2 * width),
        channels=(width, 2 * width, 4 * width, 8 * width),
    )
    widths: dict[str, Any] = {"channels": width, "mask_channels": width, "heads": 8}
    inner: dict[str, Any] = {"classes": 25, "width": 8 * width}
    network = DvisDaq(
        backbone,
        SegmentationHead(
            PixelDecoder(backbone.channels, **widths, layers=6, width=4 * width),
            Predictor(**widths, **inner, queries=100),
        ),
        Tracker(**widths, **inner),
        Refiner(**widths, **inner),
    )
    return network.eval()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(measured(*sys.argv[1:])))
    else:
        main()

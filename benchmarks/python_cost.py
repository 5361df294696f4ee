"""What recording takes in Python, where a model is so small that it takes little else.

On a graphics card a pass of few tokens is over when Python has asked for it, and each call that a
recording looks at makes the card wait. Here the networks have the layers of the released ones and
are a few channels wide, so that the time on a CPU is that of asking, too. All calls are watched, or
the kernels alone; for videos the whole of `regard run`, disk included, which watches kernels. The
allocator keeps freed memory, as that of a card does.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from transformers import ViTConfig, ViTModel

import regard
from benchmarks.measure import environment, median, ratio, report, seconds
from benchmarks.video_recording import Noise, counting_runs, plain, resnet50
from regard.models.dvis_daq.settings import Settings
from regard.runs.job import Job

ROUNDS = 15
WIDTH, FRAMES, SIZE_HW = 32, 12, (64, 96)
SETTINGS = Settings(short_side_px=64, window=3, max_tracks=20, first_frame_threshold=0, threshold=0)


def main() -> None:
    """Measure both networks, in a new process."""
    command = [sys.executable, "-W", "ignore", "-m", __spec__.name, "rows"]
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, env=environment("keeps memory")
    )
    torch.set_num_threads(1)  # as there; the report names it
    report("python_cost", json.loads(done.stdout.splitlines()[-1]))


@torch.inference_mode()
def transformer() -> dict[str, Any]:
    """As many layers and heads as ViT-B, 17 tokens."""
    torch.manual_seed(0)
    config = ViTConfig(hidden_size=48, intermediate_size=48, image_size=32, patch_size=8)
    model, x = ViTModel(config).eval(), torch.randn(1, 3, 32, 32)

    def recorded(watch: Any) -> None:
        with regard.record(model, watch=watch):
            model(x)

    times = seconds(
        {
            "plain": lambda: model(x),
            "calls": lambda: recorded("calls"),
            "kernels": lambda: recorded("kernels"),
        },
        10 * ROUNDS,
    )
    return _row("ViT of 12 layers, a pass", times, 1)


def videos() -> list[dict[str, Any]]:
    """Each way of keeping what a video model looked at."""
    torch.manual_seed(0)
    network, noise = resnet50(WIDTH), Noise(FRAMES, SIZE_HW)
    rows = []
    for keep in ("maps", "predicted", "all"):
        job = Job(network=network, settings=SETTINGS, keep=keep)
        with tempfile.TemporaryDirectory() as folder:
            run = counting_runs(job, noise, Path(folder))
            variants = {"plain": lambda: plain(network, noise, SETTINGS), "kernels": run}
            times = seconds(variants, ROUNDS)
        rows.append(_row(f"DVIS-DAQ, a frame, keep {keep}", times, FRAMES))
    return rows


def _row(what: str, times: dict[str, list[float]], units: int) -> dict[str, Any]:
    row = {"model": what, "plain_ms": round(1000 * median(times["plain"]) / units, 1)}
    for name in ("calls", "kernels"):
        row[f"{name}_over_plain"] = round(ratio(times, name, "plain"), 2) if name in times else ""
    return row


if __name__ == "__main__":
    if len(sys.argv) > 1:
        torch.set_num_threads(1)  # a second one that is preempted makes small products far slower
        print(json.dumps([transformer(), *videos()]))
    else:
        main()

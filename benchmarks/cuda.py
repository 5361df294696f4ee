"""What recording costs on an NVIDIA card: a vision transformer, a video, a denoising run.

Alternatives in the same run: the plain pass, and for the transformer eager attention that returns
its weights. Times are by the clock, up to where the card has finished; memory is the peak of what
torch allocates on the card above what it held before. The networks have the released sizes and
random weights. Products are in full float32, or bfloat16.
"""

import gc
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

import regard
from benchmarks.measure import median, ratio, report, seconds
from benchmarks.models import pixels, vit_base
from benchmarks.parts_memory import IMAGE_TOKENS, PARTS, Case, network_of, watch
from benchmarks.video_recording import SETTINGS, Noise, counting_runs, plain, resnet50
from regard.models.partcrafter.watch import LAYERS
from regard.runs.job import Job

TRANSFORMER = ((224, 1, 60), (224, 32, 20), (512, 8, 20), (1024, 4, 5))
"""Side in px, batch, rounds."""
RELEASED = Case(width=2048, tokens=1024, steps=2)
"""PartCrafter's transformer and latent tokens of a part, as released."""
FRAMES, ROUNDS = 30, 7
"""As many frames as a short clip has."""
Variants = Mapping[str, Callable[[], object]]


def main() -> None:
    """Measure all; a machine without a card is told so."""
    if not torch.cuda.is_available():
        sys.exit("benchmarks.cuda: no NVIDIA card that torch can use was found")
    report("cuda_video", [video("predicted"), video("all"), denoising()], "cuda")
    rows = [transformer(*case, dtype) for case in TRANSFORMER for dtype in ("float32", "bfloat16")]
    report("cuda", rows, "cuda")


def transformer(side: int, batch: int, rounds: int, dtype: str) -> dict[str, Any]:
    """ViT-B/16."""
    kind = getattr(torch, dtype)
    fused, eager = (vit_base(side).to("cuda", kind) for _ in range(2))
    eager.set_attn_implementation("eager")
    x = pixels(side, batch).to("cuda", kind)

    def recorded(watch: Any) -> None:
        with regard.record(fused, watch=watch):
            fused(x)

    variants = {
        "plain": lambda: fused(x),
        "recorded": lambda: recorded("calls"),
        "kernels": lambda: recorded("kernels"),
        "eager": lambda: eager(x, output_attentions=True),
    }
    return _row(f"ViT-B/16, {batch} x {side} px", dtype, variants, rounds)


def video(keep: Any) -> dict[str, Any]:
    """DVIS-DAQ with ResNet-50, offline: see `video_recording`."""
    torch.manual_seed(0)
    network, noise = resnet50().cuda(), Noise(FRAMES)
    job = Job(network=network, settings=SETTINGS, keep=keep, device="cuda")
    what = f"DVIS-DAQ, {FRAMES} frames of 288 x 512 px, keep {keep}"
    with tempfile.TemporaryDirectory() as folder:
        recorded = counting_runs(job, noise, Path(folder))
        variants = {"plain": lambda: plain(network, noise), "recorded": recorded}
        return _row(what, "float32", variants, ROUNDS)


def denoising() -> dict[str, Any]:
    """Two steps of PartCrafter with guidance, means and entropies of every layer."""
    network = network_of(RELEASED, device="cuda")
    image = torch.randn(2, IMAGE_TOKENS, RELEASED.config.cross_attention_dim, device="cuda")
    latents = torch.randn(2 * PARTS, RELEASED.tokens, RELEASED.config.in_channels, device="cuda")
    time_of = torch.full((2 * PARTS,), 1000.0, device="cuda")

    def run() -> None:
        for _ in range(RELEASED.steps):
            network(latents, time_of, image, [PARTS] * 2)

    def recorded() -> None:
        taken = watch(RELEASED)
        with regard.record(network, LAYERS, keep="qk", watch="kernels", each=taken.each):
            run()
        assert not taken.means.sum().isnan(), "a step, layer, part or head is missing"

    what = f"PartCrafter, {PARTS} parts of {RELEASED.tokens} tokens, {RELEASED.steps} steps"
    return _row(what, "float32", {"plain": run, "recorded": recorded}, 3)


@torch.inference_mode()
def _row(model: str, dtype: str, variants: Variants, rounds: int) -> dict[str, Any]:
    times = seconds({name: _waited(run) for name, run in variants.items()}, rounds)
    peaks = {name: _peak_mb(run) for name, run in variants.items()}
    row: dict[str, Any] = {
        "model": model,
        "dtype": dtype,
        "plain_ms": round(1000 * median(times["plain"]), 1),
    }
    others = [name for name in variants if name != "plain"]
    row |= {f"{name}_over_plain": round(ratio(times, name, "plain"), 3) for name in others}
    row["plain_mb"] = round(peaks["plain"])
    row |= {f"{name}_adds_mb": round(peaks[name] - peaks["plain"]) for name in others}
    print(row, flush=True)
    return row


def _waited(run: Callable[[], object]) -> Callable[[], None]:
    """A call that ends when the card has finished."""

    def waited() -> None:
        run()
        torch.cuda.synchronize()

    return waited


def _peak_mb(run: Callable[[], object]) -> float:
    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    run()
    torch.cuda.synchronize()
    return (torch.cuda.max_memory_allocated() - before) / 2**20


if __name__ == "__main__":
    start = time.perf_counter()
    main()
    print(f"{time.perf_counter() - start:.0f} s")

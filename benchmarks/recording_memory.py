"""What recording adds to the peak memory of a forward pass: ViT-B/16 at 1,025 tokens.

Alternative: eager attention that returns its weights. Each variant runs in a process of its own;
extra memory is its peak above the peak of the plain pass.
"""

import sys

import torch

import regard
from benchmarks.measure import peak_megabytes, peak_of, report
from benchmarks.models import pixels, vit_base

SIDE = 512


def run(variant: str) -> float:
    torch.set_num_threads(1)
    model, x = vit_base(SIDE), pixels(SIDE)
    if variant == "eager":
        model.set_attn_implementation("eager")

    def once() -> object:
        with torch.inference_mode():
            if variant == "recorded":
                with regard.record(model) as recording:
                    model(x)
                return recording
            return model(x, output_attentions=variant == "eager")

    with torch.inference_mode():
        with regard.record(model):  # warms up what any first recording loads
            model(x)
        model(x)
    return peak_of(once)


def main() -> None:
    if "--variant" in sys.argv:
        print(run(sys.argv[-1]))
        return
    peaks: dict[str, list[float]] = {"plain": [], "recorded": [], "eager": []}
    for _ in range(3):
        for variant, values in peaks.items():
            values.append(peak_megabytes("benchmarks.recording_memory", variant))
    middle = {variant: sorted(values)[1] for variant, values in peaks.items()}
    ours, theirs = middle["recorded"] - middle["plain"], middle["eager"] - middle["plain"]
    row = {
        "tokens": 1025,
        "plain_mb": round(middle["plain"]),
        "recorded_extra_mb": round(ours),
        "eager_extra_mb": round(theirs),
        "recorded_over_eager": round(ours / theirs, 3),
    }
    report("recording_memory", [row])


if __name__ == "__main__":
    main()

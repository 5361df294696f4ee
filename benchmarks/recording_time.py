"""What recording adds to the time of a forward pass: ViT-B/16, 224 and 512 px, batch 1 and 8.

Alternatives in the same run: the plain pass, and the pass with eager attention that returns its
weights (`output_attentions=True`).

What is recorded lies in memory that a plain pass would use again. A program that runs many passes
gets it from its allocator; with glibc's defaults the system takes the memory back when a recording
is dropped, and giving it anew page by page shows in small passes. Both are measured, each case in
a process of its own.
"""

import json
import subprocess
import sys

import torch

import regard
from benchmarks.measure import ALLOCATORS, environment, median, ratio, report, seconds
from benchmarks.models import pixels, vit_base

REPEATS = {(224, 1): 150, (224, 8): 5, (512, 1): 20, (512, 8): 2}
"""(side in px, batch): rounds."""
CASES = [("keeps memory", *case) for case in REPEATS] + [("default", 224, 1)]


def main() -> None:
    """Measure each case in a new process."""
    rows = []
    for case in CASES:
        command = [sys.executable, "-W", "ignore", "-m", __spec__.name, *map(str, case)]
        done = subprocess.run(
            command, check=True, capture_output=True, text=True, env=environment(case[0])
        )
        rows.append(json.loads(done.stdout.splitlines()[-1]))
        print(rows[-1], flush=True)
    torch.set_num_threads(1)  # as in the cases; the report names it
    report("recording_time", rows)


def measured(allocator: str, side: int, batch: int) -> dict[str, object]:
    """One row of the table."""
    torch.set_num_threads(1)  # a second thread that is preempted makes small products far slower
    fused, eager, x = vit_base(side), vit_base(side), pixels(side, batch)
    eager.set_attn_implementation("eager")

    def recorded() -> None:
        with regard.record(fused):
            fused(x)

    with torch.inference_mode():
        times = seconds(
            {
                "plain": lambda: fused(x),
                "recorded": recorded,
                "eager": lambda: eager(x, output_attentions=True),
            },
            REPEATS[side, batch],
        )
    return {
        "pixels": side,
        "batch": batch,
        "allocator": allocator,
        "plain_s": round(median(times["plain"]), 3),
        "recorded_over_plain": round(ratio(times, "recorded", "plain"), 3),
        "eager_over_plain": round(ratio(times, "eager", "plain"), 3),
    }


if __name__ == "__main__":
    if len(sys.argv) > 1:
        allocator, side, batch = sys.argv[1:]
        assert allocator in ALLOCATORS
        print(json.dumps(measured(allocator, int(side), int(batch))))
    else:
        main()

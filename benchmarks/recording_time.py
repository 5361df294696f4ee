"""What recording adds to the time of a forward pass: ViT-B/16, 224 and 512 px, batch 1 and 8.

Alternatives in the same run: the plain pass, and the pass with eager attention that returns its
weights (`output_attentions=True`).
"""

import torch

import regard
from benchmarks.measure import median, ratio, report, seconds
from benchmarks.models import pixels, vit_base

CASES = {(224, 1): 15, (224, 8): 7, (512, 1): 9, (512, 8): 5}
"""(side in px, batch): repeats."""


def main() -> None:
    torch.set_num_threads(1)  # a second thread that is preempted makes small products far slower
    rows = []
    for (side, batch), repeats in CASES.items():
        fused, eager, x = vit_base(side), vit_base(side), pixels(side, batch)
        eager.set_attn_implementation("eager")

        def recorded() -> None:
            with regard.record(fused):  # noqa: B023
                fused(x)  # noqa: B023

        with torch.inference_mode():
            times = seconds(
                {
                    "plain": lambda: fused(x),  # noqa: B023
                    "recorded": recorded,
                    "eager": lambda: eager(x, output_attentions=True),  # noqa: B023
                },
                repeats,
            )
        rows.append(
            {
                "pixels": side,
                "batch": batch,
                "plain_s": round(median(times["plain"]), 3),
                "recorded_over_plain": round(ratio(times, "recorded", "plain"), 3),
                "eager_over_plain": round(ratio(times, "eager", "plain"), 3),
            }
        )
    report("recording_time", rows)


if __name__ == "__main__":
    main()

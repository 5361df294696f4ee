"""CLS rollout of 12 layers at 1,025 tokens: end to end, and from weights that are kept already.

Alternative: eager attention that returns its weights, and the usual chain of matrix products
(mean over heads, plus identity, rows normalised, layer times layer).
"""

import sys
from collections.abc import Sequence

import torch
from torch import Tensor

import regard
from benchmarks.measure import median, peak_megabytes, peak_of, ratio, report, seconds
from benchmarks.models import pixels, vit_base

SIDE = 512


def chain(attentions: Sequence[Tensor]) -> Tensor:
    """The CLS row of the matrix rollout."""
    tokens = attentions[0].shape[-1]
    result = torch.eye(tokens)
    for weights in attentions:
        mixed = weights.mean(1) + torch.eye(tokens)
        result = (mixed / mixed.sum(-1, keepdim=True)) @ result
    return result[:, 0]


def variants() -> dict[str, object]:
    fused, eager, x = vit_base(SIDE), vit_base(SIDE), pixels(SIDE)
    eager.set_attn_implementation("eager")

    def ours() -> Tensor:
        with regard.record(fused) as recording:
            fused(x)
        return regard.rollout(recording)[:, 0]

    def theirs() -> Tensor:
        return chain(eager(x, output_attentions=True).attentions)

    return {"plain": lambda: fused(x), "ours": ours, "theirs": theirs}


def main() -> None:
    torch.set_num_threads(1)
    runs = variants()
    if "--variant" in sys.argv:
        with torch.inference_mode():
            runs["ours"]()  # type: ignore[operator]  # warms up
            print(peak_of(runs[sys.argv[-1]]))  # type: ignore[arg-type]
        return
    with torch.inference_mode():
        difference = (runs["ours"]() - runs["theirs"]()).abs().max().item()  # type: ignore[operator]
        whole = seconds({name: runs[name] for name in ("ours", "theirs")}, repeats=5)  # type: ignore[misc]
        fused, x = vit_base(SIDE), pixels(SIDE)
        with regard.record(fused, keep="weights") as kept:
            fused(x)
        weights = [call.weights() for call in kept]
        only = seconds({"ours": lambda: regard.rollout(kept), "theirs": lambda: chain(weights)}, 7)
    peaks = {name: peak_megabytes("benchmarks.rollout", name) for name in runs}
    extra = {name: peaks[name] - peaks["plain"] for name in ("ours", "theirs")}
    report(
        "rollout",
        [
            {
                "what": "forward and rollout",
                "ours_s": round(median(whole["ours"]), 2),
                "theirs_s": round(median(whole["theirs"]), 2),
                "ours_over_theirs": round(ratio(whole, "ours", "theirs"), 3),
                "ours_extra_mb": round(extra["ours"]),
                "theirs_extra_mb": round(extra["theirs"]),
                "memory_ratio": round(extra["ours"] / extra["theirs"], 3),
                "largest_difference": f"{difference:.1e}",
            },
            {
                "what": "from kept weights",
                "ours_s": round(median(only["ours"]), 4),
                "theirs_s": round(median(only["theirs"]), 3),
                "ours_over_theirs": round(ratio(only, "ours", "theirs"), 3),
                "times_faster": round(1 / ratio(only, "ours", "theirs"), 1),
            },
        ],
    )


if __name__ == "__main__":
    main()

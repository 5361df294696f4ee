"""Bytes of a recording of SAM ViT-B at 1,024 pixels, whose position biases have N² entries a head.

Alternatives: the biases kept whole beside q and k, and the weights.
"""

import math

import torch
from transformers import SamVisionConfig, SamVisionModel

import regard
from benchmarks.measure import report
from benchmarks.models import pixels
from regard.attention import DotProductAttention

FLOAT = 4


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = SamVisionModel(SamVisionConfig(initializer_range=0.02)).eval()
    with torch.inference_mode(), regard.record(model) as recording:
        model(pixels(1024))
    scores = [call.scores for call in recording if isinstance(call, DotProductAttention)]
    q_and_k = sum(s.q.nbytes + s.k.nbytes for s in scores)
    weights = sum(FLOAT * math.prod(call.shape) for call in recording)
    held = (kept for call in recording for kept in call.held)
    alive = sum({kept.storage_key: kept.storage_nbytes for kept in held}.values())
    row = {
        "calls": len(recording),
        "q_and_k_mb": round(q_and_k / 1e6),
        "recorded_mb": round(recording.nbytes / 1e6),
        "kept_alive_mb": round(alive / 1e6),
        "kept_alive_over_q_and_k": round(alive / q_and_k, 3),
        "whole_biases_mb": round((q_and_k + weights) / 1e6),
        "weights_mb": round(weights / 1e6),
        "largest_error": f"{max(found.error or 0 for found in recording.verify()):.1e}",
    }
    report("bias_memory", [row])


if __name__ == "__main__":
    main()

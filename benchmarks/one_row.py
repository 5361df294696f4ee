"""One query's weights from a recording: 4,096 keys, 12 heads.

Alternative: the softmax of all scores, from which the row is then taken.
"""

import torch

import regard
from benchmarks.measure import median, ratio, report, seconds

TOKENS, HEADS, CHANNELS = 4096, 12, 64


class Attend(torch.nn.Module):
    """Fused self-attention over given queries, keys and values."""

    def forward(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        """Plain attention."""
        return torch.nn.functional.scaled_dot_product_attention(q, k, v)


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    q, k, v = torch.randn(3, 1, HEADS, TOKENS, CHANNELS)
    model = Attend()
    with torch.inference_mode(), regard.record(model) as recording:
        model(q, k, v)
    call = recording[0]
    with torch.inference_mode():
        times = seconds(
            {
                "row": lambda: call.weights(queries=2048),
                "matrix": lambda: torch.softmax(q @ k.mT * CHANNELS**-0.5, -1)[:, :, 2048],
            },
            repeats=7,
        )
    row = {
        "keys": TOKENS,
        "heads": HEADS,
        "row_ms": round(1000 * median(times["row"]), 2),
        "matrix_ms": round(1000 * median(times["matrix"]), 1),
        "row_over_matrix": round(ratio(times, "row", "matrix"), 5),
    }
    report("one_row", [row])


if __name__ == "__main__":
    main()

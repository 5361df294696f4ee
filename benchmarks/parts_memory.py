"""What watching a denoising run of PartCrafter adds to its memory.

Blocks, heads, parts and image tokens are those of the released model, with guidance and random
weights. The first row is as wide as it is, the next takes as many latent tokens a part; both at
once would take a CPU many minutes a step. The last rows show what a longer run adds. Statistics are
what stays of every step, layer, part and head; what watching needs besides is given back after
each layer.
"""

import sys
from dataclasses import dataclass

import torch

import regard
from benchmarks.measure import peak_megabytes, peak_of, report
from regard.models.partcrafter.transformer import PartTransformer, TransformerConfig
from regard.models.partcrafter.watch import LAYERS, Watch
from regard.tokens import Tokens

PARTS, IMAGE_TOKENS = 4, 257
OFFICIAL = TransformerConfig()


@dataclass(frozen=True)
class Case:
    """A run: width of the transformer, latent tokens of a part, denoising steps."""

    width: int
    tokens: int
    steps: int

    @property
    def config(self) -> TransformerConfig:
        """The released model's, narrower."""
        return TransformerConfig(
            width=self.width,
            cross_attention_dim=self.width // 2,
            global_attn_block_ids=tuple(range(0, OFFICIAL.num_layers, 2)),
        )


CASES = (
    Case(width=2048, tokens=16, steps=1),
    Case(width=128, tokens=1024, steps=1),
    Case(width=128, tokens=32, steps=2),
    Case(width=128, tokens=32, steps=8),
    Case(width=128, tokens=32, steps=50),
)


def watch(case: Case) -> Watch:
    """What takes the calls of a run."""
    return Watch(
        config=case.config,
        parts=PARTS,
        tokens=case.tokens,
        guided=True,
        times=[(1.0, 1000.0)] * case.steps,
        keys=Tokens(IMAGE_TOKENS),
    )


def run(case: Case, *, watched: bool) -> float:
    """Peak megabytes of a run above what the process held before."""
    torch.set_num_threads(1)
    warm_up = Case(width=64, tokens=4, steps=1)
    _denoise(network_of(warm_up), warm_up, watched=True)  # loads what any first recording loads
    network = network_of(case)
    return peak_of(lambda: _denoise(network, case, watched=watched))


def network_of(case: Case, device: str = "cpu") -> PartTransformer:
    """The transformer of a case, with random weights."""
    with torch.device("meta"):
        network = PartTransformer(case.config)
    network.to_empty(device=device)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.uniform_(-0.02, 0.02)
    return network.eval()


@torch.inference_mode()
def _denoise(network: PartTransformer, case: Case, *, watched: bool) -> Watch | None:
    image = torch.randn(2, IMAGE_TOKENS, case.config.cross_attention_dim)
    latents = torch.randn(2 * PARTS, case.tokens, case.config.in_channels)

    def steps() -> None:
        for _ in range(case.steps):
            network(latents, torch.full((2 * PARTS,), 1000.0), image, [PARTS] * 2)

    if not watched:
        steps()
        return None
    taken = watch(case)
    with regard.record(network, LAYERS, keep="qk", watch="kernels", each=taken.each):
        steps()
    assert not taken.means.sum().isnan(), "a step, layer, part or head is missing"
    return taken


def main() -> None:
    """Measure each case in processes of its own."""
    if "--variant" in sys.argv:
        name, number = sys.argv[-1].split("-")
        print(run(CASES[int(number)], watched=name == "watched"))
        return
    rows = []
    for index, case in enumerate(CASES):
        plain, watched = (
            peak_megabytes("benchmarks.parts_memory", f"{name}-{index}")
            for name in ("plain", "watched")
        )
        kept = watch(case)
        statistics = (kept.means.nbytes + kept.entropies.nbytes) / 2**20
        rows.append(
            {
                "width": case.width,
                "tokens": case.tokens,
                "steps": case.steps,
                "plain_mb": round(plain),
                "watching_adds_mb": round(watched - plain, 1),
                "statistics_mb": round(statistics, 1),
                "besides_mb": round(watched - plain - statistics, 1),
            }
        )
    report("parts_memory", rows)


if __name__ == "__main__":
    main()

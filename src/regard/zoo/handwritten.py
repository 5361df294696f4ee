"""Attention of torch itself, and as people write it out by hand in its less common forms."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from regard.zoo.entry import Entry, Made
from regard.zoo.inputs import normals


def heads_of(x: Tensor, heads: int) -> Tensor:
    """(batch, n, heads·d) as (batch, heads, n, d)."""
    return x.reshape(*x.shape[:-1], heads, -1).transpose(1, 2)


class CrossMatcher(nn.Module):
    """Cross attention of two images in both directions from one similarity, as LightGlue does."""

    def __init__(self) -> None:
        super().__init__()
        self.heads = 2
        self.to_qk, self.to_v = nn.Linear(16, 16), nn.Linear(16, 16)

    def forward(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        qk_a, qk_b = (heads_of(self.to_qk(x), self.heads) * 8**-0.25 for x in (a, b))
        v_a, v_b = (heads_of(self.to_v(x), self.heads) for x in (a, b))
        similarity = torch.einsum("bhid, bhjd -> bhij", qk_a, qk_b)
        a_to_b = similarity.softmax(-1)
        b_to_a = similarity.transpose(-2, -1).contiguous().softmax(-1)
        to_a = torch.einsum("bhij, bhjd -> bhid", a_to_b, v_b)
        to_b = torch.einsum("bhji, bhjd -> bhid", b_to_a.transpose(-2, -1), v_a)
        return to_a, to_b


class TalkingHeads(nn.Module):
    """Heads are mixed before and after the softmax. Source: Shazeer et al. 2020, as in CaiT."""

    def __init__(self) -> None:
        super().__init__()
        self.num_heads = 4
        self.qkv = nn.Linear(16, 48)
        self.mix_scores, self.mix_weights = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (heads_of(part, self.num_heads) for part in self.qkv(x).chunk(3, -1))
        scores = (q * 0.5) @ k.transpose(-2, -1)
        scores = self.mix_scores(scores.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        weights = scores.softmax(-1)
        mixed: Tensor = self.mix_weights(weights.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return (mixed @ v).transpose(1, 2).flatten(2)


class GatedMixture(nn.Module):
    """Content and position softmaxes mixed by a gate. Source: d'Ascoli et al. 2021, ConViT."""

    def __init__(self) -> None:
        super().__init__()
        self.num_heads = 4
        self.qkv = nn.Linear(16, 48)
        self.gate = nn.Parameter(torch.ones(1, 4, 1, 1))
        self.position = nn.Parameter(torch.randn(1, 4, 9, 9))

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (heads_of(part, self.num_heads) for part in self.qkv(x).chunk(3, -1))
        content = (q @ k.transpose(-2, -1) * 0.5).softmax(-1)
        gate = self.gate.sigmoid()
        mixed = (1 - gate) * content + gate * self.position.softmax(-1)
        mixed = mixed / mixed.sum(-1, keepdim=True)
        return (mixed @ v).transpose(1, 2).flatten(2)


class SinkAttention(nn.Module):
    """A learned sink takes part in the softmax and is cut away: rows sum to less than 1."""

    def __init__(self) -> None:
        super().__init__()
        self.num_heads = 4
        self.qkv = nn.Linear(16, 48)
        self.sink = nn.Parameter(torch.zeros(1, 4, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (heads_of(part, self.num_heads) for part in self.qkv(x).chunk(3, -1))
        scores = q @ k.transpose(-2, -1) * 0.5
        sink = self.sink.expand(len(x), -1, scores.shape[2], -1)
        weights = torch.cat([scores, sink], dim=-1).softmax(-1)[..., :-1]
        return (weights @ v).transpose(1, 2).flatten(2)


def _decoder() -> Made:
    layer = nn.TransformerDecoderLayer(32, 4, 64, batch_first=True)
    inputs = normals(tgt=(2, 5, 32), memory=(2, 9, 32))()
    mask = nn.Transformer.generate_square_subsequent_mask(5)
    return nn.TransformerDecoder(layer, 2), inputs | {"tgt_mask": mask, "tgt_is_causal": True}


def _one(
    name: str,
    module: Callable[[], nn.Module],
    calls: str,
    softmaxes: int | None = None,
    because: str = "",
    **inputs: tuple[int, ...],
) -> Entry:
    def make() -> Made:
        return module(), normals(**inputs)()

    return Entry(name, "torch", make, calls, softmaxes=softmaxes, because=because)


ENTRIES: tuple[Entry, ...] = (
    Entry("nn.TransformerDecoder", "torch", _decoder, "4 sdpa"),
    _one("cross matcher", CrossMatcher, "2 softmax", a=(2, 9, 16), b=(2, 7, 16)),
    _one("talking heads", TalkingHeads, "1 softmax", x=(2, 9, 16)),
    _one("gated mixture", GatedMixture, "1 explicit", 2, "two softmaxes are mixed", x=(2, 9, 16)),
    _one("attention sinks", SinkAttention, "1 explicit", x=(2, 9, 16)),
)

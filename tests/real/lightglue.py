"""A matcher of points in two images (Lindenberger et al. 2023, LightGlue), at full depth.

Module names are those of the weights. Self attention is fused; cross attention is written out,
both directions from one similarity.
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

DIM, HEADS, DEPTH = 256, 4, 9


def to_heads(x: Tensor) -> Tensor:
    return x.reshape(*x.shape[:2], HEADS, -1).transpose(1, 2)


def from_heads(x: Tensor) -> Tensor:
    return x.transpose(1, 2).flatten(2)


def rotate(x: Tensor, angles: Tensor) -> Tensor:
    """Pairs of channels turned by the angles of their point. Source: Su et al. 2021, RoPE."""
    even, odd = x[..., 0::2], x[..., 1::2]
    cos, sin = angles.cos(), angles.sin()
    return torch.stack([even * cos - odd * sin, odd * cos + even * sin], -1).flatten(-2)


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.ffn = nn.Sequential(
            nn.Linear(2 * DIM, 2 * DIM), nn.LayerNorm(2 * DIM), nn.GELU(), nn.Linear(2 * DIM, DIM)
        )

    def add(self, x: Tensor, message: Tensor) -> Tensor:
        y: Tensor = x + self.ffn(torch.cat([x, message], -1))
        return y


class SelfBlock(Block):
    def __init__(self) -> None:
        super().__init__()
        self.Wqkv, self.out_proj = nn.Linear(DIM, 3 * DIM), nn.Linear(DIM, DIM)

    def forward(self, x: Tensor, angles: Tensor) -> Tensor:
        qkv = self.Wqkv(x).reshape(*x.shape[:2], HEADS, -1, 3).transpose(1, 2)
        q, k, v = qkv.unbind(-1)
        y = F.scaled_dot_product_attention(rotate(q, angles), rotate(k, angles), v)
        return self.add(x, self.out_proj(from_heads(y)))


class CrossBlock(Block):
    def __init__(self) -> None:
        super().__init__()
        self.to_qk, self.to_v = nn.Linear(DIM, DIM), nn.Linear(DIM, DIM)
        self.to_out = nn.Linear(DIM, DIM)

    def forward(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        half = (DIM // HEADS) ** -0.25
        qk_a, qk_b = to_heads(self.to_qk(a)) * half, to_heads(self.to_qk(b)) * half
        v_a, v_b = to_heads(self.to_v(a)), to_heads(self.to_v(b))
        similarity = torch.einsum("bhid, bhjd -> bhij", qk_a, qk_b)
        a_to_b = F.softmax(similarity, dim=-1)
        b_to_a = F.softmax(similarity.transpose(-2, -1).contiguous(), dim=-1)
        to_a = torch.einsum("bhij, bhjd -> bhid", a_to_b, v_b)
        to_b = torch.einsum("bhji, bhjd -> bhid", b_to_a.transpose(-2, -1), v_a)
        return (
            self.add(a, self.to_out(from_heads(to_a))),
            self.add(b, self.to_out(from_heads(to_b))),
        )


class Layer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.self_attn, self.cross_attn = SelfBlock(), CrossBlock()


class Matcher(nn.Module):
    """Descriptors and points of two images to descriptors that know of each other."""

    def __init__(self) -> None:
        super().__init__()
        self.input_proj = nn.Linear(128, DIM)
        self.posenc = nn.ModuleDict({"Wr": nn.Linear(2, DIM // HEADS // 2, bias=False)})
        self.transformers = nn.ModuleList([Layer() for _ in range(DEPTH)])

    def forward(
        self, points: tuple[Tensor, Tensor], descriptors: tuple[Tensor, Tensor], size_wh: Tensor
    ) -> tuple[Tensor, Tensor]:
        a, b = (self.input_proj(x) for x in descriptors)
        centred = ((p - size_wh / 2) / (size_wh.max() / 2) for p in points)
        angles = [self.posenc["Wr"](p)[:, None] for p in centred]
        for layer in self.transformers:
            a, b = layer.self_attn(a, angles[0]), layer.self_attn(b, angles[1])  # type: ignore[operator]
            a, b = layer.cross_attn(a, b)  # type: ignore[operator]
        return a, b


def load(folder: Path) -> Matcher:
    """The matcher with its trained weights, in float32."""
    model, weights = Matcher(), load_file(folder / "model.safetensors")
    missing, unexpected = model.load_state_dict(
        {name: tensor.float() for name, tensor in weights.items()}, strict=False
    )
    assert not missing
    heads = ("log_assignment", "token_confidence", "confidence_thresholds")
    assert all(name.startswith(heads) for name in unexpected)
    return model.eval()

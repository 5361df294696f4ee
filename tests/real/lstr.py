"""A lane detector in the manner of DETR (Liu et al. 2021, LSTR), as small as its weights allow.

Module names are those of the weights; `self_attn` and `multihead_attn` are torch's own
`nn.MultiheadAttention`, called as DETR calls them.
"""

import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn

SIZE_WH = (640, 360)
MEAN_BGR, STD_BGR = (0.40789654, 0.44719302, 0.47026115), (0.28863828, 0.27408164, 0.27809835)


class Block(nn.Module):
    def __init__(self, inside: int, out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inside, out, 3, stride, 1, bias=False)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(out), nn.BatchNorm2d(out)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or inside != out:
            conv = nn.Conv2d(inside, out, 1, stride, bias=False)
            self.downsample = nn.Sequential(conv, nn.BatchNorm2d(out))

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + self.downsample(x))


class Layer(nn.Module):
    """An encoder layer, or with `crossing` a decoder layer; tensors are (tokens, batch, 32)."""

    def __init__(self, crossing: bool) -> None:
        super().__init__()
        self.self_attn = nn.MultiheadAttention(32, 2)
        if crossing:
            self.multihead_attn = nn.MultiheadAttention(32, 2)
            self.norm3 = nn.LayerNorm(32)
        self.linear1, self.linear2 = nn.Linear(32, 128), nn.Linear(128, 32)
        self.norm1, self.norm2 = nn.LayerNorm(32), nn.LayerNorm(32)

    def forward(
        self, x: Tensor, place: Tensor, padding: Tensor | None, memory: Tensor, key: Tensor
    ) -> Tensor:
        q = x + place
        x = self.norm1(x + self.self_attn(q, q, x, key_padding_mask=padding)[0])
        last = self.norm2
        if hasattr(self, "multihead_attn"):
            y = self.multihead_attn(x + place, key, memory)[0]
            x, last = self.norm2(x + y), self.norm3
        y = self.linear2(F.relu(self.linear1(x)))
        out: Tensor = last(x + y)
        return out


class Stack(nn.Module):
    def __init__(self, crossing: bool) -> None:
        super().__init__()
        self.layers = nn.ModuleList([Layer(crossing), Layer(crossing)])
        if crossing:
            self.norm = nn.LayerNorm(32)


class LaneDetector(nn.Module):
    """(batch, 3, 360, 640) to lane probabilities of seven queries, (batch, 7)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 16, 7, 2, 3, bias=False), nn.BatchNorm2d(16)
        for i, (inside, out, count) in enumerate(
            [(16, 16, 1), (16, 32, 2), (32, 64, 2), (64, 128, 2)]
        ):
            blocks = [Block(inside, out, 1 if i == 0 else 2)]
            blocks += [Block(out, out, 1) for _ in range(count - 1)]
            setattr(self, f"layer{i + 1}", nn.Sequential(*blocks))
        self.input_proj = nn.Conv2d(128, 32, 1)
        self.query_embed = nn.Embedding(7, 32)
        self.transformer = nn.ModuleDict({"encoder": Stack(False), "decoder": Stack(True)})
        self.class_embed = nn.Linear(32, 2)

    def forward(self, pixels: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(pixels))), 3, 2, 1)
        for i in range(4):
            x = getattr(self, f"layer{i + 1}")(x)
        place = sine(*x.shape[-2:])[:, None]
        memory = self.input_proj(x).flatten(2).permute(2, 0, 1)
        padding = torch.zeros(memory.shape[1], memory.shape[0], dtype=torch.bool)
        for layer in self.transformer["encoder"].layers:  # type: ignore[union-attr]
            memory = layer(memory, place, padding, memory, memory)
        query = self.query_embed.weight[:, None].expand(-1, memory.shape[1], -1)
        lanes = torch.zeros_like(query)
        for layer in self.transformer["decoder"].layers:  # type: ignore[union-attr]
            lanes = layer(lanes, query, None, memory, memory + place)
        lanes = self.transformer["decoder"].norm(lanes)  # type: ignore[operator]
        found: Tensor = self.class_embed(lanes).softmax(-1)[..., 1].T
        return found


def sine(height: int, width: int) -> Tensor:
    """Sine position of every cell, y before x, (cells, 32). Source: Carion et al. 2020, DETR."""
    y = torch.arange(1, height + 1) / (height + 1e-6) * 2 * math.pi
    x = torch.arange(1, width + 1) / (width + 1e-6) * 2 * math.pi
    period = 10000 ** (2 * (torch.arange(16) // 2) / 16)

    def waves(t: Tensor) -> Tensor:
        angle = t[:, None] / period
        return torch.stack([angle[:, 0::2].sin(), angle[:, 1::2].cos()], 2).flatten(1)

    rows, columns = waves(y)[:, None], waves(x)[None]
    return torch.cat([rows.expand(-1, width, -1), columns.expand(height, -1, -1)], -1).flatten(0, 1)


def load(folder: Path) -> LaneDetector:
    """The detector with its trained weights."""
    model, weights = LaneDetector(), load_file(folder / "model.safetensors")
    curves = {k for k in weights if k.startswith(_CURVES)}
    missing, unexpected = model.load_state_dict(weights, strict=False)
    assert set(unexpected) == curves
    assert all(k.endswith("num_batches_tracked") for k in missing)
    return model.eval()


def lanes(folder: Path, queries: Tensor) -> list[Tensor]:
    """Points (x, y) of each query's lane on the 640 x 360 input, at 200 heights.

    Args:
        folder: Where the weights are.
        queries: (7, 32) output of the decoder's last norm.
    """
    weights = load_file(folder / "model.safetensors")
    own = _perceptron(weights, "specific_embed", queries)
    k, f, m, n = _perceptron(weights, "shared_embed", queries).mean(0)
    found = []
    for lower, upper, b2, b3 in own:
        y = torch.linspace(*sorted([float(lower), float(upper)]), 200)  # type: ignore[call-overload]
        x = k / (y - f) ** 2 + m / (y - f) + n + b2 * y - b3
        points: Tensor = torch.stack([x * SIZE_WH[0], y * SIZE_WH[1]], -1)
        inside = (points >= 0).all(-1) & (points < torch.tensor(SIZE_WH)).all(-1)
        found.append(points[inside])
    return found


def _perceptron(weights: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    for i in range(3):
        place = f"{name}.layers.{i}"
        x = F.linear(x, weights[f"{place}.weight"], weights[f"{place}.bias"])
        x = x if i == 2 else F.relu(x)
    return x


_CURVES = ("shared_embed", "specific_embed")


def pixels(path: Path) -> Tensor:
    """A photo as the detector wants it, (1, 3, 360, 640), blue first."""
    with Image.open(path) as photo:
        small = photo.convert("RGB").resize(SIZE_WH, Image.Resampling.BILINEAR)
    bgr = np.asarray(small, dtype=np.float32)[..., ::-1] / 255
    normal = ((bgr - MEAN_BGR) / STD_BGR).astype(np.float32)
    return torch.from_numpy(normal).permute(2, 0, 1)[None].contiguous()

"""Train mini-aoanet: a small CNN on what is in each grid cell, then an AoANet on its features.

This is how AoANet's own features came about: a network that names objects and attributes was
trained first, and the captioner on what it saw. The captioner learns from captions alone: nothing
tells its attention where to look.

    python -m training.mini_aoanet --out runs/mini-aoanet

Stopped at any time, the same command goes on. About 25 minutes on one core.
"""

import argparse
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from regard.datasets.shapes import COLOURS, KINDS, STUFF, Scene, photo
from regard.models.aoanet.cnn import DEVIATION, MEAN
from regard.models.aoanet.network import AoANet
from regard.models.aoanet.options import Options
from regard.models.aoanet.small_cnn import STRIDE, SmallCnn

SIZE_PX = 80
GRID = SIZE_PX // STRIDE
OBJECTS = (1, 3)
FIRST_SEED = 1_000_000
"""Scenes below are held out."""
SIZES = ("small", "large")
WORDS = (*("a", "left", "of", "above", "and", "on"), *SIZES, *COLOURS, *KINDS, *STUFF, "UNK")
MAX_LENGTH = 16
OPT: dict[str, Any] = {
    "caption_model": "aoa",
    "vocab_size": len(WORDS),
    "rnn_size": 64,
    "input_encoding_size": 64,
    "num_heads": 4,
    "use_ff": 0,
    "max_length": MAX_LENGTH,
}


@dataclass
class Pool:
    """Generated scenes with what is to be learned of them."""

    images: np.ndarray
    cells: np.ndarray
    """(scenes, 5, GRID, GRID) int8: kind or stuff, colour, size, and centre of the object."""
    tokens: np.ndarray
    """(scenes, MAX_LENGTH) uint8."""


def make_pool(count: int, folder: Path) -> Pool:
    shapes: dict[str, tuple[tuple[int, ...], Any]] = {
        "images": ((count, SIZE_PX, SIZE_PX, 3), np.uint8),
        "cells": ((count, 5, GRID, GRID), np.int8),
        "tokens": ((count, MAX_LENGTH), np.uint8),
    }
    paths = {name: folder / f"{name}.npy" for name in shapes}
    if all(path.exists() for path in paths.values()):
        found = {name: np.load(path, mmap_mode="r") for name, path in paths.items()}
        if len(found["images"]) >= count:
            return Pool(**found)
    arrays = {name: np.empty(shape, dtype) for name, (shape, dtype) in shapes.items()}
    began = time.monotonic()
    for i in range(count):
        scene = photo(FIRST_SEED + i, (SIZE_PX, SIZE_PX), OBJECTS)
        arrays["images"][i] = scene.image
        arrays["cells"][i] = cells_of(scene)
        arrays["tokens"][i] = tokens_of(scene)
        if i % 1000 == 999:
            print(f"scene {i + 1} of {count}, {time.monotonic() - began:.0f} s", flush=True)
    for name, path in paths.items():
        np.save(path, arrays[name])
    return Pool(**arrays)


def tokens_of(scene: Scene) -> np.ndarray:
    found = np.zeros(MAX_LENGTH, np.uint8)
    found[: len(scene.words)] = [WORDS.index(word) + 1 for word in scene.words]
    return found


def cells_of(scene: Scene) -> np.ndarray:
    """What each cell shows: the object that has most of it, if that is a quarter; else stuff."""
    masks = np.stack([one.mask for one in scene.objects])
    share = masks.reshape(-1, GRID, STRIDE, GRID, STRIDE).mean((2, 4))
    owner = np.where(share.max(0) >= 0.25, share.argmax(0), -1)
    stuff = scene.stuff.reshape(GRID, STRIDE, GRID, STRIDE).transpose(0, 2, 1, 3)
    stuff = np.median(stuff.reshape(GRID, GRID, -1), axis=2).astype(np.int8)
    out = np.full((5, GRID, GRID), -1, np.int8)
    out[0] = len(KINDS) + stuff
    for number, one in enumerate(scene.objects):
        x0, y0, x1, y1 = one.box_xyxy
        inside = owner == number
        out[0][inside] = KINDS.index(one.kind)
        out[1][inside] = COLOURS.index(one.colour)
        out[2][inside] = SIZES.index(one.size)
        out[3][inside] = (x0 + x1) / 2 / SIZE_PX * 127
        out[4][inside] = (y0 + y1) / 2 / SIZE_PX * 127
    return out


class Heads(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.split = (len(KINDS) + len(STUFF), len(COLOURS), len(SIZES), 2)
        self.out = nn.Conv2d(width, sum(self.split), 1)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return self.out(x).split(self.split, 1)


def pixels(images: np.ndarray) -> Tensor:
    x = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float() / 255
    mean, deviation = (torch.tensor(v).view(3, 1, 1) for v in (MEAN, DEVIATION))
    return (x - mean) / deviation


def cell_loss(heads: Heads, features: Tensor, cells: Tensor) -> tuple[Tensor, dict[str, float]]:
    kind, colour, size, centre = heads(features)
    thing = cells[:, 1] >= 0
    weight = torch.where(thing, 1.0, 0.1)
    losses = F.cross_entropy(kind, cells[:, 0], reduction="none")
    loss = 2 * (losses * weight).sum() / weight.sum()
    loss = loss + F.cross_entropy(colour, cells[:, 1], ignore_index=-1)
    loss = loss + F.cross_entropy(size, cells[:, 2], ignore_index=-1)
    near = F.smooth_l1_loss(centre, cells[:, 3:].float() / 127, reduction="none", beta=0.05)
    loss = loss + 4 * (near.mean(1) * thing).sum() / thing.sum()
    right = {
        "kind": (kind.argmax(1) == cells[:, 0])[thing].float().mean().item(),
        "colour": (colour.argmax(1) == cells[:, 1])[thing].float().mean().item(),
        "size": (size.argmax(1) == cells[:, 2])[thing].float().mean().item(),
    }
    return loss, right


def rate(step: int, steps: int, peak: float) -> float:
    return peak * min(1, (step + 1) / 50) * (0.5 + 0.5 * math.cos(math.pi * step / steps))


def orders(count: int, batch: int, seed: int) -> Iterator[np.ndarray]:
    random = np.random.default_rng(seed)
    while True:
        order = random.permutation(count)
        yield from (np.sort(order[i : i + batch]) for i in range(0, count - batch + 1, batch))


def train_cnn(pool: Pool, steps: int, folder: Path) -> SmallCnn:
    cnn = SmallCnn()
    heads = Heads(cnn.channels - 16)
    optimiser = torch.optim.AdamW([*cnn.parameters(), *heads.parameters()], 1e-3, weight_decay=1e-2)
    state, done = folder / "cnn.pt", 0
    if state.exists():
        saved = torch.load(state, weights_only=True)
        cnn.load_state_dict(saved["cnn"]), heads.load_state_dict(saved["heads"])
        optimiser.load_state_dict(saved["optimiser"])
        done = saved["step"]
    began = time.monotonic()
    batches = orders(len(pool.images), 32, 1)
    for step in range(steps):
        chosen = next(batches)
        if step < done:
            continue
        for group in optimiser.param_groups:
            group["lr"] = rate(step, steps, 4e-3)
        x, cells = pixels(pool.images[chosen]), torch.from_numpy(pool.cells[chosen].astype(np.int64))
        loss, right = cell_loss(heads, cnn.look(x), cells)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(cnn.parameters(), 1.0)
        optimiser.step()
        if step % 25 == 24:
            words = " ".join(f"{k} {v:.3f}" for k, v in right.items())
            print(f"cnn {step + 1}/{steps} loss {loss.item():.3f} {words} {time.monotonic() - began:.0f} s", flush=True)
        if step % 100 == 99 or step == steps - 1:
            torch.save({"cnn": cnn.state_dict(), "heads": heads.state_dict(), "optimiser": optimiser.state_dict(), "step": step + 1}, state)
    return cnn.eval().requires_grad_(False)


@torch.inference_mode()
def features_of(cnn: SmallCnn, images: np.ndarray) -> np.ndarray:
    out = [cnn(pixels(images[i : i + 64])).flatten(2).transpose(1, 2).half().numpy() for i in range(0, len(images), 64)]
    return np.concatenate(out)


def train_captioner(features: np.ndarray, tokens: np.ndarray, steps: int, folder: Path, batch: int = 32) -> AoANet:
    opt = {**OPT, "att_feat_size": features.shape[2], "fc_feat_size": features.shape[2]}
    network = AoANet(Options.from_opt(opt))
    optimiser = torch.optim.AdamW(network.parameters(), 1e-3, weight_decay=1e-3)
    state, done = folder / "captioner.pt", 0
    if state.exists():
        saved = torch.load(state, weights_only=True)
        network.load_state_dict(saved["network"])
        optimiser.load_state_dict(saved["optimiser"])
        done = saved["step"]
    began = time.monotonic()
    batches = orders(len(features), batch, 2)
    for step in range(steps):
        chosen = next(batches)
        if step < done:
            continue
        for group in optimiser.param_groups:
            group["lr"] = rate(step, steps, 3e-3)
        x = torch.from_numpy(features[chosen]).float()
        wanted = torch.from_numpy(tokens[chosen].astype(np.int64))
        length = int((wanted > 0).sum(1).max()) + 1
        wanted = wanted[:, :length]
        told = F.pad(wanted[:, :-1], (1, 0))
        counts = torch.arange(length) <= (wanted > 0).sum(1, keepdim=True)
        scores = network(x, told)
        loss = F.nll_loss(scores[counts], wanted[counts])
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        if step % 25 == 24:
            right = (scores.argmax(-1) == wanted)[counts].float().mean()
            print(f"captioner {step + 1}/{steps} loss {loss.item():.3f} words {right:.3f} {time.monotonic() - began:.0f} s", flush=True)
        if step % 100 == 99 or step == steps - 1:
            torch.save({"network": network.state_dict(), "optimiser": optimiser.state_dict(), "step": step + 1}, state)
    return network.eval().requires_grad_(False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/mini-aoanet"))
    parser.add_argument("--scenes", type=int, default=16000)
    parser.add_argument("--cnn-steps", type=int, default=900)
    parser.add_argument("--steps", type=int, default=1500)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    chosen.out.mkdir(parents=True, exist_ok=True)
    pool = make_pool(chosen.scenes, chosen.out)
    cnn = train_cnn(pool, chosen.cnn_steps, chosen.out)
    path = chosen.out / "features.npy"
    if not path.exists():
        np.save(path, features_of(cnn, pool.images))
    train_captioner(np.load(path), pool.tokens, chosen.steps, chosen.out)


if __name__ == "__main__":
    main()

"""Train mini-aoanet: a small CNN on what is in each grid cell, then an AoANet on its features.

This is how AoANet's own features came about: a network that names objects and their attributes
was trained first, and the captioner on what it sees. The captioner learns from captions alone, by
cross-entropy: nothing tells its attention where to look.

    python -m training.mini_aoanet --out runs/mini-aoanet

Stopped at any time, the same command goes on. It leaves ``config.json`` and ``model.safetensors``
in the folder's ``model``.
"""

import argparse
import json
import math
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from regard.datasets.shapes import COLOURS, KINDS, STUFF
from regard.models.aoanet.cnn import DEVIATION, MEAN
from regard.models.aoanet.folder import MODEL_TYPE
from regard.models.aoanet.network import AoANet
from regard.models.aoanet.options import Options
from regard.models.aoanet.small_cnn import POSITION_CHANNELS, SmallCnn
from training.aoanet_scenes import (
    FIRST_SEED,
    GRID,
    MAX_LENGTH,
    SIZE_PX,
    SIZES,
    WORDS,
    Array,
    Pool,
    make_pool,
    mirrored,
)

BATCH = 32
SCENES = 10_000
"""Of the CNN, with up to three objects."""
CAPTIONED = 8_000
"""Of the captioner, with up to two: others, so that features are no better than of any photo."""
CNN_STEPS = 2000
CAPTIONER_STEPS = 3000


class Stage:
    """The steps of one stage: goes on from its checkpoint, sets the rate, says how it goes."""

    def __init__(
        self, path: Path, modules: Mapping[str, nn.Module], steps: int, peak: float, decay: float
    ) -> None:
        self.path, self.modules, self.steps, self.peak = path, modules, steps, peak
        self.parameters = [p for module in modules.values() for p in module.parameters()]
        self.optimiser = torch.optim.AdamW(self.parameters, peak, weight_decay=decay)
        self.done = 0
        if path.exists():
            saved = torch.load(path, weights_only=True)
            for name, module in modules.items():
                module.load_state_dict(saved[name])
            self.optimiser.load_state_dict(saved["optimiser"])
            self.done = saved["done"]

    def batches(self, count: int, seed: int) -> Iterator[Array]:
        """Indices of the samples of each step that is left; saves now and then."""
        began = time.monotonic()
        for step, chosen in zip(range(self.steps), _batches(count, seed), strict=False):
            if step < self.done:
                continue
            warm = min(1, (step + 1) / 50)
            cosine = 0.5 + 0.5 * math.cos(math.pi * step / self.steps)
            for group in self.optimiser.param_groups:
                group["lr"] = self.peak * warm * cosine
            self.seconds = time.monotonic() - began
            yield chosen
            self.done = step + 1
            if self.done % 100 == 0 or self.done == self.steps:
                self.save()

    def descend(self, loss: Tensor, **measured: float) -> None:
        """One step down; a line of progress every 25 steps."""
        self.optimiser.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimiser.step()
        if self.done % 25 == 24:
            words = " ".join(f"{name} {value:.3f}" for name, value in measured.items())
            print(
                f"{self.path.stem} {self.done + 1}/{self.steps} loss {loss.item():.3f} {words} "
                f"{self.seconds:.0f} s",
                flush=True,
            )

    def save(self) -> None:
        """Write the checkpoint; the earlier one stays until it is whole."""
        state = {name: module.state_dict() for name, module in self.modules.items()}
        temporary = self.path.with_suffix(".tmp")
        torch.save(
            {**state, "optimiser": self.optimiser.state_dict(), "done": self.done}, temporary
        )
        temporary.replace(self.path)


def _batches(count: int, seed: int) -> Iterator[Array]:
    random = np.random.default_rng(seed)
    while True:
        order = random.permutation(count)
        for first in range(0, count - BATCH + 1, BATCH):
            yield np.sort(order[first : first + BATCH])


class CellHeads(nn.Module):
    """What the CNN is trained to say of each cell; not kept."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.split = (len(KINDS) + len(STUFF), len(COLOURS), len(SIZES), 2)
        self.out = nn.Conv2d(width, sum(self.split), 1)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Scores of kinds and stuff, of colours, of sizes; and the centre of the object."""
        found: tuple[Tensor, ...] = self.out(x).split(self.split, 1)
        return found


def train_cnn(pool: Pool, steps: int, folder: Path) -> SmallCnn:
    """The CNN, trained on cells of the scenes and of their mirror images."""
    cnn = SmallCnn()
    heads = CellHeads(cnn.channels - POSITION_CHANNELS)
    stage = Stage(folder / "cnn.pt", {"cnn": cnn, "heads": heads}, steps, 4e-3, 1e-2)
    for chosen in stage.batches(len(pool.images), seed=1):
        images, cells = pool.images[chosen], pool.cells[chosen].astype(np.int64)
        if stage.done % 2:
            images, cells = images[:, :, ::-1], mirrored(cells)
        loss, measured = _cell_loss(heads(cnn.look(_pixels(images))), torch.from_numpy(cells))
        stage.descend(loss, **measured)
    return cnn.eval().requires_grad_(False)


def _cell_loss(found: tuple[Tensor, ...], cells: Tensor) -> tuple[Tensor, dict[str, float]]:
    """Cross-entropy of kind, colour and size, and distance of the centre; things count most."""
    kind, colour, size, centre = found
    thing = cells[:, 1] >= 0
    weight = torch.where(thing, 1.0, 0.1)
    kinds = F.cross_entropy(kind, cells[:, 0], reduction="none")
    loss = 2 * (kinds * weight).sum() / weight.sum()
    loss = loss + F.cross_entropy(colour, cells[:, 1], ignore_index=-1)
    loss = loss + F.cross_entropy(size, cells[:, 2], ignore_index=-1)
    far = F.smooth_l1_loss(centre, cells[:, 3:].float() / 127, reduction="none", beta=0.05)
    loss = loss + 4 * (far.mean(1) * thing).sum() / thing.sum()
    scores = {"kind": kind, "colour": colour, "size": size}
    right = {
        name: float((score.argmax(1) == cells[:, i])[thing].float().mean())
        for i, (name, score) in enumerate(scores.items())
    }
    return loss, right


def _pixels(images: Array) -> Tensor:
    """(batch, 3, height, width), as `GridCnn` gives a photo to its network."""
    x = torch.from_numpy(images.copy()).permute(0, 3, 1, 2).float() / 255
    mean, deviation = (torch.tensor(value).view(3, 1, 1) for value in (MEAN, DEVIATION))
    return (x - mean) / deviation


@torch.inference_mode()
def features_of(cnn: SmallCnn, images: Array) -> Array:
    """(scenes, cells, channels) float16."""
    found = [
        cnn(_pixels(images[first : first + 64])).flatten(2).transpose(1, 2).half().numpy()
        for first in range(0, len(images), 64)
    ]
    return np.concatenate(found)


def train_captioner(features: Array, tokens: Array, steps: int, folder: Path) -> AoANet:
    """The captioner, trained to say the next word of the true caption."""
    network = AoANet(Options.from_opt(options(features.shape[2])))
    stage = Stage(folder / "captioner.pt", {"network": network}, steps, 3e-3, 1e-3)
    for chosen in stage.batches(len(features), seed=2):
        wanted = torch.from_numpy(tokens[chosen].astype(np.int64))
        counts = (wanted > 0).sum(1, keepdim=True)
        wanted = wanted[:, : int(counts.max()) + 1]
        told = torch.arange(wanted.shape[1]) <= counts  # the words, and the end after them
        scores = network(torch.from_numpy(features[chosen]).float(), F.pad(wanted[:, :-1], (1, 0)))
        right = (scores.argmax(-1) == wanted)[told].float().mean()
        stage.descend(F.nll_loss(scores[told], wanted[told]), words=float(right))
    return network.eval().requires_grad_(False)


def options(feature_width: int) -> dict[str, Any]:
    """The options of the captioner, named as in AoANet's training."""
    return {
        "caption_model": "aoa",
        "vocab_size": len(WORDS),
        "rnn_size": 64,
        "input_encoding_size": 64,
        "att_feat_size": feature_width,
        "fc_feat_size": feature_width,
        "num_heads": 4,
        "use_ff": 0,
        "max_length": MAX_LENGTH,
    }


def write_model(folder: Path, cnn: SmallCnn, network: AoANet) -> None:
    """Leave what ``regard.load_captioner`` reads."""
    folder.mkdir(exist_ok=True)
    weights = {f"cnn.{name}": tensor for name, tensor in cnn.state_dict().items()}
    weights |= network.state_dict()
    half = {
        name: tensor.half() if tensor.is_floating_point() else tensor
        for name, tensor in weights.items()
    }
    save_file(half, folder / "model.safetensors")
    config = {
        "model_type": MODEL_TYPE,
        "opt": options(cnn.channels),
        "words": WORDS,
        "cnn": {"input_hw": [SIZE_PX, SIZE_PX], "grid_hw": [GRID, GRID]},
    }
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")


def main() -> None:
    """Read the command line, and train what is not trained yet."""
    parser = argparse.ArgumentParser(description="Train mini-aoanet.")
    parser.add_argument("--out", type=Path, default=Path("runs/mini-aoanet"))
    parser.add_argument("--scenes", type=int, default=SCENES)
    parser.add_argument("--captioned", type=int, default=CAPTIONED)
    parser.add_argument("--cnn-steps", type=int, default=CNN_STEPS)
    parser.add_argument("--captioner-steps", type=int, default=CAPTIONER_STEPS)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    chosen.out.mkdir(parents=True, exist_ok=True)
    seen, first = chosen.out / "seen", FIRST_SEED
    pool = make_pool(chosen.scenes, seen, first=first, objects=(1, 3))
    cnn = train_cnn(pool, chosen.cnn_steps, chosen.out)
    told, first = chosen.out / "told", FIRST_SEED + chosen.scenes
    pool = make_pool(chosen.captioned, told, first=first, objects=(1, 2))
    features = features_of(cnn, pool.images)
    network = train_captioner(features, pool.tokens, chosen.captioner_steps, chosen.out)
    write_model(chosen.out / "model", cnn, network)


if __name__ == "__main__":
    main()

"""Small AoANets: the frozen one of the shared folder, and random ones that need no files."""

import argparse
import functools
import json
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor

from regard.captions.attention import CaptionAttention, caption
from regard.models.aoanet.decoding import Decoding
from regard.models.aoanet.features import Features
from regard.models.aoanet.infos import Infos
from regard.models.aoanet.loading import Captioner
from regard.models.aoanet.network import AoANet
from regard.models.aoanet.options import Options
from regard.models.aoanet.small_cnn import SmallCnn
from regard.tokens.regions import RegionTokens

OPTIONS: dict[str, Any] = {
    "caption_model": "aoa",
    "vocab_size": 12,
    "rnn_size": 16,
    "input_encoding_size": 12,
    "att_feat_size": 10,
    "fc_feat_size": 10,
    "num_heads": 4,
    "use_ff": 0,
    "max_length": 6,
}
WORDS = [*["a", "the", "man", "dog", "on", "grass", "with", "red", "ball", "near", "sky"], "UNK"]


def folder(shared: Path) -> Path:
    """Frozen tensors of the official code."""
    return shared / "parity" / "aoanet"


def captioner(**changes: Any) -> Captioner:
    """A random model of a few words."""
    torch.manual_seed(10)
    network = AoANet(Options.from_opt({**OPTIONS, **changes})).eval().requires_grad_(False)
    for parameter in network.parameters():  # livelier than what layers begin with
        parameter.mul_(2.5)
    return Captioner("tiny", network, Infos(network.options, words()))


def words() -> dict[int, str]:
    return {i + 1: word for i, word in enumerate(WORDS)}


def write_files(to: Path, **changes: Any) -> tuple[Path, Path]:
    """Checkpoint and infos as a training run leaves them."""
    one = captioner(**changes)
    model, infos = to / "model.pth", to / "infos_tiny.pkl"
    torch.save(one.network.state_dict(), model, _use_new_zipfile_serialization=False)
    opt = argparse.Namespace(**{**OPTIONS, **changes})
    content = {"opt": opt, "vocab": {str(i): word for i, word in words().items()}, "iter": 5}
    infos.write_bytes(pickle.dumps(content, protocol=2))
    return model, infos


def write_folder(to: Path) -> Path:
    """A random captioner with its own CNN, which sees photos as 3 x 4 cells."""
    torch.manual_seed(4)
    cnn = SmallCnn((4, 6, 8)).eval()
    network = captioner(att_feat_size=cnn.channels, fc_feat_size=cnn.channels).network
    weights = {f"cnn.{name}": tensor for name, tensor in cnn.state_dict().items()}
    to.mkdir(parents=True)
    save_file({**weights, **network.state_dict()}, to / "model.safetensors")
    widths = {"att_feat_size": cnn.channels, "fc_feat_size": cnn.channels}
    config = {
        "model_type": "aoanet",
        "opt": {**OPTIONS, **widths},
        "words": WORDS,
        "cnn": {"input_hw": [24, 32], "grid_hw": [3, 4]},
    }
    (to / "config.json").write_text(json.dumps(config))
    return to


def tensors(path: Path) -> dict[str, Tensor]:
    found: dict[str, Tensor] = load_file(path)
    return found


def write_cnn(to: Path, width: int) -> Path:
    """A CNN of three layers, as safetensors."""
    torch.manual_seed(1)
    sizes = [(8, 3), (8, 8), (width, 8)]
    state = {}
    for number, (out, into) in enumerate(sizes, 1):
        state[f"conv{number}.weight"] = torch.randn(out, into, 3, 3) * 0.3
        state[f"conv{number}.bias"] = torch.randn(out) * 0.1
    save_file(state, to)
    return to


@functools.cache
def photo() -> Image.Image:
    """A small photo of colours and noise."""
    pixels = np.random.default_rng(0).integers(0, 90, (60, 80, 3), dtype=np.uint8)
    pixels[10:40, 20:50] += 120
    return Image.fromarray(pixels)


def region_features(width: int = 10) -> Features:
    """Random features of seven regions of `photo`."""
    torch.manual_seed(7)
    boxes = [(0, 0, 80, 60), (20, 10, 50, 40), (5, 42, 30, 58), (60, 5, 78, 30)]
    boxes += [(30, 30, 79, 59), (0, 0, 25, 25), (40, 2, 58, 18)]
    return Features(torch.randn(7, width), RegionTokens.of(boxes, (60, 80)))


@functools.cache
def caption_of_regions(word: str = "", best: int = 0, **changes: Any) -> CaptionAttention:
    """A caption of `photo`; `word`, if given, is what the model calls everything."""
    one = captioner(**changes)
    if word:
        named = dict.fromkeys(one.infos.vocabulary, word)
        one = replace(one, infos=Infos(one.infos.options, named))
    decoding = Decoding(beam=3)
    found = caption(photo(), model=one, features=region_features(), decoding=decoding, best=3)
    return found[best]


def write_workplace(to: Path, size_wh: tuple[int, int]) -> None:
    """What the examples of docs/captions.md use: a model, a CNN, features of photo.jpg."""
    write_files(to)
    write_cnn(to / "cnn.safetensors", 10)
    features = region_features()
    scale = np.array([size_wh[0] / 80, size_wh[1] / 60] * 2)
    boxes = np.array([features.layout.box_xyxy(i) for i in range(7)]) * scale
    for name in ("features", "boxes"):
        (to / name).mkdir()
    np.savez(to / "features" / "photo.npz", feat=features.regions.numpy())
    np.save(to / "boxes" / "photo.npy", boxes.astype(np.float32))

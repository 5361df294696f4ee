"""Diffusion models of videos, of codes, and of latents in lists or in a sequence."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from layouts.models import Built, Row, of_zoo
from layouts.settings import AUTOENCODED, VIDEO_LATENTS


def through(
    build: Callable[[], Built], change: Callable[[dict[str, Any]], dict[str, Any]]
) -> Callable[[], Built]:
    """The same model; its inputs go through a function before."""

    def built() -> Built:
        network, made, inputs = build()
        return network, made, lambda pictures: {**inputs(pictures), **change(inputs(pictures))}

    return built


def coded(build: Callable[[], Built], quantizer: str) -> Callable[[], Built]:
    """The same model with codes of which dark places have the first, and only bright ones others.

    With random codes, a place that is made bright might keep its own.
    """

    def built() -> Built:
        network, made, inputs = build()
        quantize = network.get_submodule(quantizer)
        codes = quantize.get_parameter("embedding.weight")
        seen: list[Tensor] = []
        hook = quantize.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
        with torch.no_grad():
            network(**inputs(made))
            hook.remove()
            farthest = seen[0].norm(dim=1).max()
            codes.copy_(2.2 * farthest * nn.functional.normalize(codes, dim=1))
            codes[0] = 0
        return network, made, inputs

    return built


def sequence(given: dict[str, Any]) -> dict[str, Any]:
    """LTX: the latents of a video, (1, frames, channels, height, width), as a sequence."""
    video = given["hidden_states"]
    _, frames, channels, height, width = video.shape
    flat = video.permute(0, 1, 3, 4, 2).reshape(1, -1, channels)
    return {"hidden_states": flat, "num_frames": frames, "height": height, "width": width}


def two_of_a_list(given: dict[str, Any]) -> dict[str, Any]:
    """Z-Image: latents of two sizes and captions of two lengths."""
    first, second = given["x"][:, :, None]
    captions = torch.randn(20, 16, generator=torch.Generator().manual_seed(3))
    return {
        "x": [first[..., :12], second],
        "t": torch.tensor([0.5, 0.5]),
        "cap_feats": [captions[:5], captions],
    }


def codes(given: dict[str, Any]) -> dict[str, Any]:
    """UVit: a code for each pixel; that of a bright one is another."""
    channel: Tensor = given["input_ids"][:, 0]
    dark = (channel * 4).round().long() % 16
    return {"input_ids": torch.where(channel > 10, 20, dark)}


MIXING = r"to_out|net\.2|temp_convs|temporal_res_block|samplers|up_blocks\.0"
"""What mixes frames, or gives the cells of a fine map what their coarse one has."""
FILM: dict[str, Any] = {"size_hw": (16, 16), "apart": True, "given": "sample", "quiet": MIXING}
IMAGE_FILM: dict[str, Any] = {
    "size_hw": (16, 16),
    "given": "sample",
    "quiet": MIXING,
    "apart": True,
}

DENOISERS = [
    Row(
        "unet 3d",
        of_zoo("unet 3d condition", 1, 4, channels=2, **FILM),
        *(32, 2),
        side=1,
        picture_axis=2,
    ),
    Row(
        "unet spatio temporal",
        of_zoo("unet spatio temporal", 1, 2, channels=8, **FILM),
        *(24, 2),
        side=1,
        picture_axis=1,
    ),
    Row("unet 2d", of_zoo("unet 2d", **FILM), 8, corner=2, side=1),
    Row(
        "vq model",
        coded(of_zoo("vq model", **AUTOENCODED), "quantize"),
        4,
        corner=2,
        last=True,
        side=1,
    ),
    Row("latte", of_zoo("latte", 1, 4, **VIDEO_LATENTS), 5, corner=2, picture_axis=2),
    Row(
        "ltx",
        through(of_zoo("ltx", 1, 2, size_hw=(4, 6), channels=4, given="hidden_states"), sequence),
        *(3, 1),
        side=1,
        picture_axis=1,
    ),
    Row(
        "z image",
        through(of_zoo("z image", 2, size_hw=(16, 16), channels=4, given="x"), two_of_a_list),
        4,
        corner=2,
        picture_axis=0,
    ),
    Row(
        "uvit",
        through(of_zoo("uvit", size_hw=(6, 4), channels=1, given="input_ids"), codes),
        *(7, 1),
        side=1,
    ),
]

"""From a photo to the latents of its parts: image tokens, then the walk from noise.

With guidance the batch holds every part twice,
first without the image (zeros for tokens), then with it.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from regard.errors import InputError
from regard.models.partcrafter.checkpoint import PartCrafter
from regard.models.partcrafter.flow import RectifiedFlow
from regard.models.partcrafter.photo import ObjectPhoto

OnStep = Callable[[int, Tensor], None]
"""Called after each step with its index and the latents (parts, tokens, channels)."""


def image_tokens(model: PartCrafter, photo: ObjectPhoto) -> Tensor:
    """What the transformer reads of a photo: (1, 1 + patches, channels), class token first."""
    pixels = model.preprocessing.tensor(photo.picture).to(model.device, model.dtype)
    with torch.no_grad():
        tokens: Tensor = model.encoder(pixels).last_hidden_state
    return tokens


def noise(model: PartCrafter, parts: int, tokens: int, seed: int = 0) -> Tensor:
    """Where the walk starts: (parts, tokens, channels), the same for a seed on every device."""
    _require_parts(model, parts)
    shape = (parts, tokens, model.transformer.config.in_channels)
    drawn = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    return drawn.to(model.device, model.dtype)


def denoise(
    model: PartCrafter,
    image: Tensor,
    latents: Tensor,
    flow: RectifiedFlow,
    *,
    guidance: float = 7.0,
    on_step: OnStep | None = None,
) -> Tensor:
    """The latents of all parts after the walk.

    Args:
        model: The networks.
        image: (1, tokens, channels), of `image_tokens`.
        latents: (parts, tokens, channels), of `noise`.
        flow: The schedule.
        guidance: How far to go beyond what the image adds; 1 or less runs without guidance.
        on_step: Told of every step.

    Returns:
        (parts, tokens, channels).

    Raises:
        InputError: More parts than the model has embeddings for.
    """
    parts = len(latents)
    guided = guidance > 1
    _require_parts(model, parts, guided=guided)
    seen = torch.cat([torch.zeros_like(image), image]) if guided else image
    groups = [parts] * (2 if guided else 1)
    times = flow.timesteps.to(latents.device)
    with torch.no_grad():
        for step in range(flow.steps):
            rows = torch.cat([latents] * len(groups))
            out = model.transformer(rows, times[step].expand(len(rows)), seen, groups)
            if guided:
                without, with_image = out.chunk(2)
                out = without + guidance * (with_image - without)
            latents = flow.step(latents, out, step)
            if on_step is not None:
                on_step(step, latents)
    return latents


def _require_parts(model: PartCrafter, parts: int, *, guided: bool = False) -> None:
    config = model.transformer.config
    most = config.max_num_parts // (2 if guided else 1)
    if parts < 1 or (config.enable_part_embedding and parts > most):
        with_guidance = " with guidance, which takes two for each part" if guided else ""
        raise InputError(
            f"{parts} parts asked for; this model has {config.max_num_parts} part embeddings: "
            f"expected 1 to {most}{with_guidance}"
        )

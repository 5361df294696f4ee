"""From points of the surface back to the photo.

The decoder's last block says which latent tokens a point reads, the recorded run which pixels
those tokens looked at; composed, they attribute a point to pixels. It is an attribution, not a
proof: both networks mix tokens in between, and positions of tokens are only where the last layers
use them.
"""

import torch
from torch import Tensor

from regard.errors import SelectionError
from regard.intercept.record import record
from regard.models.partcrafter.checkpoint import PartCrafter
from regard.parts.generation import Generation

CHUNK = 4096


def tokens_of_points(model: PartCrafter, latent: Tensor, points: Tensor) -> Tensor:
    """Which latent tokens points read, mean over heads: (points, tokens), rows sum to 1.

    Args:
        model: The networks.
        latent: (tokens, channels) of one part.
        points: (points, 3), x y z.
    """
    layer = f"decoder.blocks.{len(model.decoder.decoder.blocks) - 1}.attn2"
    with torch.no_grad():
        tokens = model.decoder.tokens(latent[None])
        found = []
        for chunk in torch.split(points.to(latent.device, latent.dtype), CHUNK):
            with record(model.decoder, layer, watch="kernels") as recording:
                model.decoder.values(tokens, chunk[None])
            found.append(recording[-1].mean()[0].float().cpu())
    return torch.cat(found)


def pixels_of_tokens(
    made: Generation, part: int, *, layers: str = "*", step: int | None = None
) -> Tensor:
    """What each latent token of a part looked at, mean over layers and heads: (tokens, keys).

    Args:
        made: What `generate` made.
        part: Which part.
        layers: Glob of the kept layers to average over.
        step: Which of the kept steps; by default the last one.

    Raises:
        SelectionError: That step or layer was not kept.
    """
    kept = made.attention.recording
    if not len(kept):
        raise SelectionError("no step was kept; generate with keep_steps=(-1,)")
    step = max(call.axes["step"] for call in kept) if step is None else step
    calls = kept.find(layers, step=step, part=part)
    return torch.stack([call.mean(slice(1, None))[0].float().cpu() for call in calls]).mean(0)


def pixels_of_points(
    model: PartCrafter, made: Generation, part: int, points: Tensor, *, layers: str = "*"
) -> Tensor:
    """What of the photo points of a part's surface are attributed to: (points, keys).

    Args:
        model: The networks that made it.
        made: What `generate` made.
        part: Which part.
        points: (points, 3), such as vertices of its mesh.
        layers: Glob of the kept layers to average over.
    """
    reads = tokens_of_points(model, made.latents[part], points)
    return reads @ pixels_of_tokens(made, part, layers=layers)

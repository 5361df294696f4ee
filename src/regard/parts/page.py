"""A page with the photo and the object side by side: click one, see the other."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from regard.atomic import write_atomically
from regard.errors import InputError, MediaError
from regard.models.partcrafter.checkpoint import PartCrafter
from regard.models.partcrafter.surface import Mesh
from regard.parts.generation import Generation, meshes_of
from regard.parts.pictures import colour_of
from regard.parts.surface import pixels_of_tokens, tokens_of_points
from regard.render.colour import colour_table
from regard.view.page import image_address, one_file, packed

TOP = 16
"""Latent tokens that are kept of what a vertex reads; the rest is left out, the sum kept at 1."""
NOTE = (
    "Heat is attention over uniform, mean over layers and heads. What a point is attributed to is "
    "what the decoder's last layer reads for it (its 16 strongest tokens) times what these tokens "
    "looked at in the photo: an attribution, as both networks mix tokens in between."
)


def write_page(
    path: str | os.PathLike[str],
    model: PartCrafter,
    made: Generation,
    *,
    layers: str = "*",
    depth: int = 6,
) -> None:
    """Write one HTML file that needs nothing else.

    Args:
        path: Where to.
        model: The networks that made it.
        made: What `generate` made, with at least one kept step.
        layers: Glob of the kept layers to average over.
        depth: The meshes in the page are of 2^depth cells a side: finer ones make it large.

    Raises:
        InputError: No part has a surface.
        SelectionError: No step was kept.
        MediaError: The file cannot be written.
    """
    meshes = list(meshes_of(model, made.latents, depth, 4))
    parts = [
        _part(model, made, index, mesh, layers)
        for index, mesh in enumerate(meshes)
        if mesh is not None
    ]
    if not parts:
        raise InputError("no part has a surface, so there is no object to show")
    page = one_file(
        "parts",
        title="What shaped each part",
        data={**_photo(made), "parts": parts, "note": NOTE},
        vendored=("three.js",),
    )
    try:
        write_atomically(Path(path), page.encode())
    except OSError as error:
        raise MediaError(f"cannot write {os.fspath(path)!r}: {error.strerror}") from error


def _photo(made: Generation) -> dict[str, Any]:
    photo, view = made.photo.photo, made.attention.keys.view
    scale = min(1.0, 1024 / max(photo.size))
    height, width = view.input_hw
    corners = (*view.to_original(0.0, 0.0), *view.to_original(float(width), float(height)))
    return {
        "photo": image_address(photo),
        "photo_wh": [max(1, round(photo.width * scale)), max(1, round(photo.height * scale))],
        "grid_hw": list(made.attention.keys.grid_hw),
        "input_box": [x * scale for x in corners],
        "colours": packed(np.rint(colour_table("inferno")).astype(np.uint8)),
    }


def _part(
    model: PartCrafter, made: Generation, index: int, mesh: Mesh, layers: str
) -> dict[str, Any]:
    pixels = pixels_of_tokens(made, index, layers=layers)
    reads = tokens_of_points(model, made.latents[index], torch.from_numpy(mesh.vertices))
    share, token = reads.topk(min(TOP, reads.shape[1]), dim=-1)
    scales = pixels.amax(-1)
    return {
        "name": f"part {index}",
        "colour": list(colour_of(index)),
        "mean": packed(made.attention.weights()[index].numpy().astype(np.float32)),
        "vertices": packed(mesh.vertices),
        "faces": packed(mesh.faces.astype(np.uint32)),
        "top": share.shape[1],
        "token": packed(token.numpy().astype(np.uint16)),
        "weight": packed(_in_bytes(share / share.sum(-1, keepdim=True))),
        "pixels": packed(_in_bytes(pixels / scales[:, None])),
        "scales": packed(scales.numpy().astype(np.float32)),
    }


def _in_bytes(shares: Tensor) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return (shares * 255).round().to(torch.uint8).numpy()

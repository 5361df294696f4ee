"""A photo of a toy, made again as a 3D object in parts, and which pixels shaped which part."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from regard.cli.terminal import plain
from regard.datasets.solids import photograph, solid
from regard.evaluation.occupancy import part_ious
from regard.models.partcrafter.checkpoint import PartCrafter, load
from regard.parts import pictures
from regard.parts.files import save
from regard.parts.generation import Generation, generate
from regard.parts.page import write_page
from regard.render.stack import stack_pictures

SEED = 10
"""Of a toy that training never saw."""
CELLS = 48


def run(out: Path, *, device: str = "cpu") -> None:
    """Photograph a generated toy, make its parts with `mini-partcrafter`, and compare."""
    thing, model = solid(SEED), load("mini-partcrafter", device=device)
    out.mkdir(parents=True, exist_ok=True)
    photo = photograph(thing, 512)
    Image.fromarray(photo.image).save(out / "photo.png")
    made = generate(out / "photo.png", len(thing.parts), model=model, between_parts=True)
    written = save(made, out)
    write_page(out / "object.html", model, made)
    axis = np.linspace(-1, 1, CELLS, dtype=np.float32)
    points = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)
    ious, matched = part_ious(filled(model, made, points), thing.part_distances(points) < 0)
    last = len(made.attention.blocks) - 1
    heat = made.attention.heat(between="cells", layers=last).numpy()
    seen = [pictures.draw_parts(made, layers=[last]), pictures.draw_object(made)]
    stack_pictures(seen).save(out / "summary.png")
    print(f"a {thing.kind} of {len(thing.parts)} parts, from one photo of 512 x 512 px")
    for part, iou, match in zip(thing.parts, ious.tolist(), matched, strict=True):
        on_it = photo.part_ids == thing.parts.index(part)
        share = heat[match][on_it].sum() / np.nansum(heat[match])
        print(
            f"part {match}, the {part.name}: fills what it should to {iou:.0%}; "
            f"{share:.0%} of its attention in the last block "
            f"is on its own {on_it.mean():.0%} of the photo"
        )
    print(f"{len(written) + 2} files in {plain(out.resolve())}; open object.html and click")


def filled(model: PartCrafter, made: Generation, points: np.ndarray) -> np.ndarray:
    """Which points (n, 3) each generated part fills, (parts, n)."""
    places = torch.from_numpy(points).to(made.latents)
    with torch.no_grad():
        inside = [model.decoder(one[None], places[None])[0, :, 0] > 0 for one in made.latents]
    return torch.stack(inside).cpu().numpy()

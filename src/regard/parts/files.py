"""Everything that a generation leaves, written into a folder."""

import io
import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from regard import __version__
from regard.analysis.parts import (
    concentration,
    entropy,
    overlap,
    relative_entropy,
    sparsity,
    stability,
)
from regard.atomic import write_atomically
from regard.errors import MediaError
from regard.media.animation import write_animation
from regard.models.partcrafter.surface import write_glb
from regard.parts import pictures
from regard.parts.generation import Generation
from regard.render import Picture
from regard.render.stack import stack_pictures


def save(made: Generation, folder: str | os.PathLike[str]) -> list[Path]:
    """Write meshes, pictures and numbers; paths of the files in the order they are written.

    `object.glb`: the parts with a surface, in their colours. Pictures: `object` and `summary` (if
    a part has a surface), `parts`, `parts_centred`, `owners`, `over_steps`, `over_layers`,
    `entropy`, `class_token`, `between_parts` (if it was recorded), all PNG; `over_steps` as GIF
    and MP4, too.
    `attention.npz`: means, entropies, blocks, timesteps, sigmas. `recording.safetensors`: the
    kept calls. `generation.json`: settings and statistics.

    Raises:
        MediaError: The folder cannot be made or written to; what is in it is whole.
    """
    target = Path(folder)
    try:
        target.mkdir(parents=True, exist_ok=True)
        return list(_written(made, target))
    except OSError as error:
        if isinstance(error, MediaError):
            raise
        raise MediaError(f"cannot write into {str(target)!r}: {error.strerror}") from error


def _written(made: Generation, folder: Path) -> Iterator[Path]:
    if any(mesh is not None for mesh in made.meshes):
        colours = [pictures.colour_of(part) for part in range(len(made.meshes))]
        write_glb(folder / "object.glb", made.meshes, colours)
        yield folder / "object.glb"
        for name, picture in _with_meshes(made):
            picture.save(folder / f"{name}.png")
            yield folder / f"{name}.png"
    for name, picture in _pictures(made):
        picture.save(folder / f"{name}.png")
        yield folder / f"{name}.png"
    frames = pictures.step_frames(made)
    for kind in ("gif", "mp4"):
        write_animation(folder / f"over_steps.{kind}", frames, fps=max(2, len(frames) / 10))
        yield folder / f"over_steps.{kind}"
    write_atomically(folder / "attention.npz", _arrays(made))
    yield folder / "attention.npz"
    if len(made.attention.recording):
        yield made.attention.recording.save(folder / "recording.safetensors")
    told = json.dumps(summary(made), indent=1) + "\n"
    write_atomically(folder / "generation.json", told.encode())
    yield folder / "generation.json"


def _with_meshes(made: Generation) -> Iterator[tuple[str, Picture]]:
    parts = pictures.draw_object(made)
    yield "object", parts
    yield "summary", stack_pictures([pictures.draw_parts(made), parts])


def _pictures(made: Generation) -> Iterator[tuple[str, Picture]]:
    yield "parts", pictures.draw_parts(made)
    if len(made.meshes) > 1:
        yield "parts_centred", pictures.draw_parts(made, centred=True)
        yield "owners", pictures.draw_part_owners(made)
    yield "over_steps", pictures.draw_over_steps(made)
    yield "over_layers", pictures.draw_over_layers(made)
    yield "entropy", pictures.draw_entropy(made)
    yield "class_token", pictures.draw_class_mass(made)
    if made.attention.between is not None:
        yield "between_parts", pictures.draw_between_parts(made)


def _arrays(made: Generation) -> bytes:
    found, file = made.attention, io.BytesIO()
    arrays = {
        "means": found.means.numpy(),
        "entropies": found.entropies.numpy(),
        "blocks": np.array(found.blocks),
        "layouts": np.array(found.layouts),
        "timesteps": np.array(found.timesteps),
        "sigmas": np.array(found.sigmas),
    }
    if found.between is not None:
        arrays["between"] = found.between.numpy()
    np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
    return file.getvalue()


def summary(made: Generation) -> dict[str, object]:
    """Settings and statistics as plain numbers; see `regard.analysis.parts` for what they mean."""
    found = made.attention
    weights = found.weights()
    by_step = found.means.mean((1, 3))  # (steps, parts, keys)
    return {
        "regard": __version__,
        "parts": len(made.meshes),
        "steps": len(found.timesteps),
        "guidance": made.guidance,
        "seed": made.seed,
        "photo_size_hw": list(made.photo.view.original_hw),
        "seen_box_xyxy": list(found.keys.seen_box_xyxy),
        "parts_without_surface": list(made.empty_parts),
        "blocks_without_image": list(found.blind_blocks),
        "attention": [
            {
                "part": part,
                "class_token": round(float(row[0]), 6),
                "mean": round(float(row.mean()), 6),
                "max": round(float(row.max()), 6),
                "entropy_nats": round(float(entropy(row)), 4),
                "relative_entropy": round(float(relative_entropy(row)), 4),
                "times_uniform": round(float(concentration(row)), 3),
                "share_below_tenth_of_uniform": round(float(sparsity(row)), 4),
                "stability_over_steps": [round(x, 4) for x in stability(by_step[:, part]).tolist()],
                "overlap_with_parts": [round(float(overlap(row, other)), 4) for other in weights],
                "vertices": 0 if (mesh := made.meshes[part]) is None else len(mesh.vertices),
            }
            for part, row in enumerate(weights)
        ],
    }

"""Pictures of what shaped the parts of a generated object."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

import torch
from PIL import Image

from regard.analysis.parts import relative_entropy
from regard.errors import InputError, SelectionError
from regard.geometry import ViewTransform
from regard.models.partcrafter.checkpoint import PartCrafter
from regard.parts.attention import Pick
from regard.parts.generation import Generation
from regard.parts.surface import pixels_of_points
from regard.render import Look, Picture, draw_heads, draw_layers, draw_matrix, style
from regard.render.grid import NAME_HEIGHT
from regard.render.meshes import ColouredMesh, render_meshes
from regard.render.owners import draw_owners
from regard.render.page import draw_page
from regard.render.palette import distinct
from regard.render.sheet import Sheet
from regard.render.style import Colour

_SMALL_PX, _SIDE_PX = 110, 364
_STRIP = 12
_SQUARE = "the square that the model saw"
VALUES = Look(cmap="viridis", unit="value", high="max")


def colour_of(part: int) -> Colour:
    """Colour of a part, in pictures and in meshes."""
    return distinct(part)


def draw_parts(
    made: Generation,
    *,
    steps: Pick = None,
    layers: Pick = None,
    heads: Pick = None,
    centred: bool = False,
    look: Look | None = None,
) -> Picture:
    """The photo with each part's attention over it, a panel a part, on one scale.

    Args:
        made: What `generate` made.
        steps: Steps to average over; None for all.
        layers: Entries of the layer axis, likewise.
        heads: Heads, likewise.
        centred: Show only what a part looks at more than the mean of all parts.
        look: Colour map, scale and unit.
    """
    found = made.attention
    heat = found.heat(
        steps=steps, layers=layers, heads=heads, centred=centred, size_hw=_panel_hw(made, 480)
    )
    if centred:
        heat = heat.clamp_min(0)
    mass = found.weights(steps=steps, layers=layers, heads=heads)[:, 0]
    names = [f"part {i} · {share:.0%} on class token" for i, share in enumerate(mass.tolist())]
    what = "more than the mean of all parts" if centred else "mean over their latent tokens"
    return draw_heads(
        made.photo.photo,
        heat,
        names=names,
        colours=[colour_of(part) for part in range(len(names))],
        look=look or Look(),
        title="What each part looks at",
        lines=[f"{what}; {_words(steps=steps, layers=layers, heads=heads)}"],
    )


def draw_object(made: Generation) -> Picture:
    """The generated parts in their colours: from the front, from the right, from behind, apart.

    Raises:
        InputError: No part has a surface.
    """
    meshes = [
        ColouredMesh(mesh.vertices, mesh.faces, colour_of(part))
        for part, mesh in enumerate(made.meshes)
        if mesh is not None
    ]
    if not meshes:
        raise InputError("no part has a surface, so there is no object to draw")
    quarter = math.pi / 2
    sides = {
        "front": (0.35, 0.0),
        "right": (0.35 + quarter, 0.0),
        "behind": (0.35 + 2 * quarter, 0.0),
    }
    sides["parts pulled apart"] = (0.35, 0.6)
    tiles = [
        render_meshes(meshes, _SIDE_PX, azimuth=azimuth, apart=apart)
        for azimuth, apart in sides.values()
    ]

    def draw(sheet: Sheet, x: int, y: int) -> None:
        for name, tile in zip(sides, tiles, strict=True):
            sheet.text(name, x, y + style.SMALL, size=style.SMALL, colour=style.QUIET)
            sheet.panel(tile, x, y + NAME_HEIGHT)
            x += _SIDE_PX + style.GAP

    width = len(tiles) * (_SIDE_PX + style.GAP) - style.GAP
    return draw_page((width, _SIDE_PX + NAME_HEIGHT), draw, title="The parts that were made")


def draw_part_owners(
    made: Generation, *, steps: Pick = None, layers: Pick = None, heads: Pick = None
) -> Picture:
    """The photo in the colours of the parts that look at each place most."""
    heat = made.attention.heat(
        steps=steps, layers=layers, heads=heads, size_hw=_panel_hw(made, 640)
    )
    count = len(heat)
    mean = heat.nansum((1, 2)).clamp_min(1e-12)[:, None, None]
    return draw_owners(
        made.photo.photo,
        heat / mean,
        names=[f"part {i}" for i in range(count)],
        colours=[colour_of(i) for i in range(count)],
        title="The part that looks at each place most",
        lines=[
            "each part's attention on the photo sums to 1; "
            + _words(steps=steps, layers=layers, heads=heads)
        ],
    )


def draw_over_steps(made: Generation, *, layers: Pick = None, heads: Pick = None) -> Picture:
    """A row for each part, a column for each of up to 12 steps from noise to object."""
    count = len(made.attention.timesteps)
    shown = _spread(count, _STRIP)
    heats = [_square_heat(made, steps=step, layers=layers, heads=heads) for step in shown]
    return draw_layers(
        torch.stack(heats, dim=1),
        layer_names=[f"part {i}" for i in range(len(made.meshes))],
        head_names=[f"step {shown[0]}", *map(str, shown[1:])],
        title="What each part looks at, from noise to object",
        lines=[f"{_SQUARE}; {count} denoising steps, {_words(layers=layers, heads=heads)}"],
    )


def step_frames(made: Generation, *, layers: Pick = None, heads: Pick = None) -> list[Image.Image]:
    """A frame for each step with a panel for each part, on one scale.

    It is that of the first, middle or last step, whichever reaches highest.
    """
    count = len(made.attention.timesteps)
    highs = [
        draw_parts(made, steps=step, layers=layers, heads=heads).scales[0].high
        for step in {0, count // 2, count - 1}
    ]
    look = Look(high=max(highs))
    return [
        draw_parts(made, steps=step, layers=layers, heads=heads, look=look).image
        for step in range(count)
    ]


def draw_over_layers(made: Generation, *, steps: Pick = None, heads: Pick = None) -> Picture:
    """A row for each layer, first to last, a column for each part."""
    found = made.attention
    heats = [
        _square_heat(made, steps=steps, layers=layer, heads=heads)
        for layer in range(len(found.blocks))
    ]
    blind = (
        [f"blocks without image input, not drawn: {', '.join(map(str, found.blind_blocks))}"]
        if found.blind_blocks
        else []
    )
    return draw_layers(
        torch.stack(heats),
        layer_names=_layer_names(made),
        head_names=[f"part {i}" for i in range(len(made.meshes))],
        title="What each part looks at, layer by layer",
        lines=[
            f"{_SQUARE}; {_words(steps=steps, heads=heads)}",
            "local: parts attend one by one; global: all parts together",
            *blind,
        ],
    )


def draw_entropy(made: Generation) -> Picture:
    """Layers by steps: how spread the parts' attention is, 0 one patch to 1 even."""
    means = made.attention.means.mean((2, 3))  # (steps, layers, keys)
    return _layers_by_steps(
        made,
        relative_entropy(means),
        "How spread attention to the photo is",
        "entropy of the mean attention over the largest possible",
    )


def draw_class_mass(made: Generation) -> Picture:
    """Layers by steps: what the class token takes."""
    return _layers_by_steps(
        made,
        made.attention.class_mass.mean(-1),
        "What the class token takes",
        "share of attention that goes to no place of the photo",
    )


def draw_between_parts(made: Generation, *, steps: Pick = None) -> Picture:
    """Parts by parts: which part reads which, in the layers where they attend together.

    Raises:
        SelectionError: It was not recorded.
    """
    if made.attention.between is None:
        raise SelectionError(
            "attention between parts was not recorded; generate with between_parts=True"
        )
    between = made.attention.between
    chosen = range(len(between)) if steps is None else steps
    index = torch.as_tensor(
        [chosen] if isinstance(chosen, int) else list(_listed(chosen, len(between)))
    )
    names = [f"part {i}" for i in range(between.shape[-1])]
    return draw_matrix(
        between[index].mean((0, 1)),
        query_names=names,
        key_names=names,
        title="Which part reads which",
        lines=["share of a part's self-attention, mean over global layers, heads and tokens"],
        look=VALUES,
        axes=("reads", "is read"),
    )


def draw_guidance(guided: Generation, plain: Generation, *, steps: Pick = None) -> Picture:
    """Two runs from the same noise, with guidance and without: a row each, a column for each part.

    Raises:
        SelectionError: The runs differ in more than guidance.
    """
    if len(guided.meshes) != len(plain.meshes) or guided.seed != plain.seed:
        raise SelectionError(
            f"runs of {len(guided.meshes)} and {len(plain.meshes)} parts from seeds "
            f"{guided.seed} and {plain.seed}; expected the same parts and seed"
        )
    heats = [_square_heat(made, steps=steps) for made in (guided, plain)]
    return draw_layers(
        torch.stack(heats),
        layer_names=[f"guidance {made.guidance:g}" for made in (guided, plain)],
        head_names=[f"part {i}" for i in range(len(heats[0]))],
        title="What each part looks at, with guidance and without",
        lines=[
            f"{_SQUARE}; rows that see the image",
            _words(steps=steps, layers=None, heads=None),
        ],
    )


def draw_token(made: Generation, part: int, token: int, *, layer: str, step: int) -> Picture:
    """Every head of one latent token of a part, in a step and layer that was kept."""
    call = made.attention.recording.find(layer, step=step, part=part)[0]
    weights = call.weights(token)[0, :, 0]
    heat = call.keys.to_pixels(weights, _panel_hw(made, 320), between="linear")
    return draw_heads(
        made.photo.photo,
        heat,
        title=f"Part {part}, {call.queries.name(token)}",
        lines=[f"{layer}, step {step}"],
    )


def draw_point(
    model: PartCrafter,
    made: Generation,
    part: int,
    point: Sequence[float],
    *,
    layers: str = "*",
) -> Picture:
    """What of the photo a point of a part's surface is attributed to.

    Args:
        model: The networks that made it.
        made: What `generate` made, with at least one kept step.
        part: Which part.
        point: x, y, z, such as a vertex of its mesh.
        layers: Glob of the kept layers to average over.

    Raises:
        SelectionError: No step was kept, or no such layer.
    """
    weights = pixels_of_points(model, made, part, torch.tensor([list(point)]), layers=layers)
    keys = made.attention.keys
    return draw_heads(
        made.photo.photo,
        keys.to_pixels(weights, _panel_hw(made, 480), between="linear"),
        names=[f"{weights[0, 0]:.0%} on class token"],
        title=f"Part {part}, the point " + ", ".join(f"{float(x):.2f}" for x in point),
        lines=[
            "what it reads of the latent tokens, times what they looked at",
            "an attribution, not a proof: both networks mix tokens in between",
        ],
    )


def _layers_by_steps(made: Generation, values: torch.Tensor, title: str, line: str) -> Picture:
    return draw_matrix(
        values.T,
        query_names=_layer_names(made),
        key_names=[str(i) for i in range(values.shape[0])],
        title=title,
        lines=[line],
        look=VALUES,
        axes=("layer", "step"),
    )


def _layer_names(made: Generation) -> list[str]:
    found = made.attention
    return [f"block {b} {kind}" for b, kind in zip(found.blocks, found.layouts, strict=True)]


def _panel_hw(made: Generation, side_px: int) -> tuple[int, int]:
    photo: Image.Image = made.photo.photo
    scale = min(1.0, side_px / max(photo.size))
    return max(1, round(photo.height * scale)), max(1, round(photo.width * scale))


def _square_heat(
    made: Generation, *, steps: Pick = None, layers: Pick = None, heads: Pick = None
) -> torch.Tensor:
    """Of each part on the square that the model saw: (parts, height, width)."""
    keys = made.attention.keys
    square = replace(keys, view=ViewTransform.identity(keys.view.input_hw))
    weights = made.attention.weights(steps=steps, layers=layers, heads=heads)
    return square.to_pixels(weights, (_SMALL_PX, _SMALL_PX), between="linear")


def _words(**picks: Pick) -> str:
    """What was chosen, and what is whole: "layers 0 and 1, all steps and heads"."""
    said = [_chosen_words(name, pick) for name, pick in picks.items() if pick is not None]
    whole = _joined([name for name, pick in picks.items() if pick is None])
    return ", ".join([*said, f"all {whole}"] if whole else said)


def _chosen_words(name: str, pick: int | slice | Sequence[int]) -> str:
    if isinstance(pick, slice):
        return f"{name} {pick.start or 0}:{'' if pick.stop is None else pick.stop}"
    chosen = [pick] if isinstance(pick, int) else list(pick)
    return f"{name if len(chosen) > 1 else name.removesuffix('s')} {_joined(map(str, chosen))}"


def _joined(words: Iterable[str]) -> str:
    *others, last = [*words] or [""]
    return f"{', '.join(others)} and {last}" if others else last


def _spread(count: int, most: int) -> list[int]:
    if count <= most:
        return list(range(count))
    return sorted({round(i * (count - 1) / (most - 1)) for i in range(most)})


def _listed(pick: Sequence[int] | slice | range, count: int) -> range | Sequence[int]:
    return range(count)[pick] if isinstance(pick, slice) else pick

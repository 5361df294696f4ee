"""`lay_out`: every call of a recording learns what its tokens stand for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from regard.attention import Attention
from regard.errors import GeometryError
from regard.geometry import ViewTransform
from regard.layouts.scene import Recipe, Rules, Scene
from regard.layouts.table import TABLE
from regard.layouts.video import each_picture
from regard.recording import Recording, matches
from regard.tokens import Tokens


@dataclass(frozen=True, slots=True)
class Unplaced:
    """A layer whose tokens are still known by index only.

    Attributes:
        layer: Path of the module.
        reason: Why, in words.
    """

    layer: str
    reason: str


def lay_out(
    recording: Recording,
    model: nn.Module,
    inputs: Mapping[str, Any] | Tensor,
    view: ViewTransform | Sequence[ViewTransform] | None = None,
    *,
    words: Sequence[str] = (),
) -> list[Unplaced]:
    """Tell every recorded call what its queries and keys stand for.

    Args:
        recording: What was recorded.
        model: The model that was recorded.
        inputs: What it was called with: keyword arguments, or its one tensor.
        view: Where the input's pixels lie on the original; by default the input is the original.
            A sequence has one for each picture (frame, crop, image of the prompt).
        words: What the text tokens are, one for each; by default they are known by index.

    Returns:
        Layers that keep tokens known by index, with the reason: no recipe for this architecture,
        or inputs that its recipe does not fit. Empty if every call was laid out.

    Example:
        >>> with regard.record(model) as recording:  # doctest: +SKIP
        ...     model(**inputs)
        >>> regard.lay_out(recording, model, inputs)  # doctest: +SKIP
        []
        >>> keys = recording[-1].keys  # doctest: +SKIP
    """
    inputs = {"pixel_values": inputs} if isinstance(inputs, Tensor) else dict(inputs)
    views = () if view is None else (view,) if isinstance(view, ViewTransform) else tuple(view)
    unplaced: dict[Unplaced, None] = {}
    for call in recording:
        try:
            recipes, scene = _recipes(call, model, inputs, views, words, recording.noted)
            call.queries, call.keys = _both(recipes, scene)
        except GeometryError as error:
            unplaced[Unplaced(call.layer, str(error))] = None
    return list(unplaced)


def _recipes(
    call: Attention,
    model: nn.Module,
    inputs: Mapping[str, Any],
    views: Sequence[ViewTransform],
    words: Sequence[str],
    noted: Mapping[str, Sequence[Tensor]],
) -> tuple[tuple[Recipe, Recipe], Scene]:
    """The recipes of the outermost module around the call that the table knows."""
    known = []
    for owner_path in _around(call.layer):
        owner = model.get_submodule(owner_path)
        for name in _names(owner):
            known.append(name)
            path = call.layer[len(owner_path) :].lstrip(".")
            recipe = _matching(TABLE.get(name, {}), path)
            if recipe is not None:
                config = getattr(owner, "config", object())
                scene = Scene(call, model, owner, path, config, inputs, views, words, noted)
                return recipe if isinstance(recipe, tuple) else (recipe, recipe), scene
    raise GeometryError(
        f"no recipe for {', '.join(dict.fromkeys(known))}; set call.queries and call.keys "
        "yourself, for instance to GridTokens.from_stride(view, stride_px)"
    )


def _both(recipes: tuple[Recipe, Recipe], scene: Scene) -> tuple[Tokens, Tokens]:
    batch, _, queries, keys = scene.call.shape
    found = _axis(recipes[0], scene, queries), _axis(recipes[1], scene, keys)
    for tokens, count, axis in zip(found, (queries, keys), ("queries", "keys"), strict=True):
        tokens.check(count, where=f"layer {scene.call.layer!r}", axis=axis)
        if batch % tokens.parts:
            raise GeometryError(
                f"layer {scene.call.layer!r} has a batch of {batch}, which is no multiple of the "
                f"{tokens.parts} windows that its input makes"
            )
    return found


def _axis(recipe: Recipe, scene: Scene, count: int) -> Tokens:
    """The layout of an axis; one for each picture of a batch whose views differ."""
    tokens, pictures = recipe(scene, count), len(scene.views)
    if pictures > 1 and tokens.pictures == (0,) and tokens.parts == 1:
        return each_picture(recipe, scene, count, pictures, "picture {}")
    return tokens


def _matching(rules: Rules, path: str) -> Recipe | tuple[Recipe, Recipe] | None:
    return next((recipe for glob, recipe in rules.items() if matches(path, glob)), None)


def _around(path: str) -> list[str]:
    """The paths of the modules around a layer, the model first."""
    parts = path.split(".") if path else []
    return [".".join(parts[:n]) for n in range(len(parts) + 1)]


def _names(module: nn.Module) -> list[str]:
    """What the table may call a module: its class, and the type of its config."""
    model_type = getattr(getattr(module, "config", None), "model_type", None)
    names = [f"{type(module).__module__.partition('.')[0]}:{type(module).__name__}"]
    return [*names, model_type] if isinstance(model_type, str) else names

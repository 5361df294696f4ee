"""What a recipe may look at: the call, the model around it, the inputs, what was noted."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from torch import Tensor, nn

from regard.attention import Attention
from regard.errors import GeometryError
from regard.geometry import ViewTransform, size_text
from regard.tokens import Tokens
from regard.tokens.grid import GridTokens

Size = tuple[int, int]
PIXELS = ("pixel_values", "pixel_values_videos", "image", "x")
"""Names under which models take pixels."""


@dataclass(frozen=True)
class Scene:
    """One recorded call and everything around it.

    Attributes:
        call: The call.
        model: The recorded model.
        owner: The module whose architecture the recipe is of: the model, or a part of it.
        path: Path of the call's layer below the owner.
        config: The owner's config; an empty object where it has none.
        inputs: What the model was called with.
        views: Where each picture's input pixels lie on its original; empty for identity.
        words: What the text tokens are; empty if not known.
        noted: What was noted while the model ran, by module path.
    """

    call: Attention
    model: nn.Module
    owner: nn.Module
    path: str
    config: Any
    inputs: Mapping[str, Any]
    views: Sequence[ViewTransform] = ()
    words: Sequence[str] = ()
    noted: Mapping[str, Sequence[Tensor]] = field(default_factory=dict)

    @cached_property
    def pixels_shape(self) -> tuple[int, ...]:
        """Shape of the pixels that went in, (..., height, width)."""
        for name in (*PIXELS, *self.inputs):
            value = self.inputs.get(name)
            if isinstance(value, Tensor) and value.is_floating_point() and value.dim() >= 4:
                return tuple(value.shape)
        raise GeometryError(
            f"no pixels among the inputs {sorted(self.inputs)}; expected a float tensor "
            "(..., height, width): pass what the model was called with"
        )

    @property
    def input_hw(self) -> Size:
        """Height and width of the pixels that went in."""
        height, width = self.pixels_shape[-2:]
        return height, width

    def given(self, name: str) -> Tensor:
        """An input that the layout depends on."""
        value = self.inputs.get(name)
        if not isinstance(value, Tensor):
            raise GeometryError(
                f"the inputs have no tensor {name}, which says where tokens lie; there are "
                f"{sorted(self.inputs)}: pass what the model was called with"
            )
        return value.cpu()

    @property
    def frames(self) -> int:
        """Number of frames that went in: (batch, frames, 3, height, width), or one video's."""
        return self.pixels_shape[-4]

    def view(self, input_hw: Size | None = None, picture: int = 0) -> ViewTransform:
        """Where a picture's input pixels lie on its original; on themselves if not told."""
        input_hw = input_hw or self.input_hw
        if not self.views:
            return ViewTransform.identity(input_hw)
        view = self.views[0] if len(self.views) == 1 else self.views[picture]
        if view.input_hw != input_hw:
            raise GeometryError(
                f"the view leads to an input of {size_text(view.input_hw)}, but the model was "
                f"given {size_text(input_hw)}: pass the view of these very inputs"
            )
        return view

    def of_picture(self, picture: int) -> "Scene":
        """The same, seen from one picture of several."""
        return self if len(self.views) < 2 else replace(self, views=(self.views[picture],))

    @property
    def numbers(self) -> list[int]:
        """The numbers in the path of the call's layer below the owner: stage, block."""
        found = [int(part) for part in self.path.split(".") if part.isdigit()]
        if not found:
            raise GeometryError(f"the path {self.path!r} has no number of a block or stage")
        return found

    def around(self, *attributes: str) -> Any:
        """The innermost module around the call that has these attributes."""
        path = self.call.layer
        while True:
            module = self.model.get_submodule(path)
            if all(hasattr(module, name) for name in attributes):
                return module
            if not path:
                raise GeometryError(f"no module around {self.call.layer!r} has {attributes}")
            path = path.rpartition(".")[0]

    def note(self) -> Tensor:
        """What the one watched module decided in this call's pass through the model."""
        notes = [list(found) for found in self.noted.values() if found]
        if len(notes) != 1:
            raise GeometryError(
                f"{type(self.owner).__name__} chooses its tokens while it runs, and that was "
                f"noted in {len(notes)} places: lay out the recording that `record` gave"
            )
        passes = notes[0]
        return passes[self.call.axes["forward"] if len(passes) > 1 else 0].cpu()

    @property
    def cells(self) -> Size:
        """Rows and columns of whole patches of the input."""
        return floor_div(self.input_hw, self.patch)

    @property
    def patch(self) -> Size:
        """Height and width of a patch, also where a tubelet's shape includes them."""
        for name in ("patch_size", "tubelet_size"):
            for told in (self.vision, self.owner, getattr(self.owner, "patch_embed", None)):
                if getattr(told, name, None) is not None:
                    return pair(getattr(told, name))
        raise GeometryError(f"{type(self.owner).__name__} does not say its patch_size")

    @property
    def vision(self) -> Any:
        """The config of the part that sees pixels: the owner's own, where it has no parts."""
        for name in ("vision_config", "image_config", "encoder"):
            if getattr(self.config, name, None) is not None:
                return getattr(self.config, name)
        return self.config

    def setting(self, name: str, default: Any = None) -> Any:
        """A value of the owner's config, or of the owner itself."""
        value = getattr(self.config, name, None)
        if value is None:
            value = getattr(self.owner, name, default)
        if value is None:
            raise GeometryError(f"{type(self.owner).__name__} does not say its {name}")
        return value


Recipe = Callable[[Scene, int], Tokens]
"""Gives the layout of an axis of this many tokens."""

Rules = Mapping[str, Recipe | tuple[Recipe, Recipe]]
"""Glob of layers to the recipe of both axes, or to those of queries and of keys."""


def pair(value: Any) -> Size:
    """A side, or (height, width), as (height, width)."""
    if isinstance(value, (int, float)):
        return int(value), int(value)
    *_, height, width = value
    return int(height), int(width)


def numbered(name: str, count: int) -> tuple[str, ...]:
    """``("register 1", "register 2")``."""
    return tuple(f"{name} {number}" for number in range(1, count + 1))


def grid(
    view: ViewTransform,
    grid_hw: Size,
    stride_px: tuple[float, float],
    prefix: tuple[str, ...] = (),
    suffix: tuple[str, ...] = (),
) -> GridTokens:
    """A grid of this size and stride on the view."""
    return GridTokens(
        math.prod(grid_hw) + len(prefix) + len(suffix),
        grid_hw=grid_hw,
        stride_px=stride_px,
        view=view,
        prefix=prefix,
        suffix=suffix,
    )


def ceil_div(size_hw: Size, by_hw: Size) -> Size:
    """Sides divided, rounded up."""
    return -(-size_hw[0] // by_hw[0]), -(-size_hw[1] // by_hw[1])


def floor_div(size_hw: Size, by_hw: Size) -> Size:
    """Sides divided, rounded down."""
    return size_hw[0] // by_hw[0], size_hw[1] // by_hw[1]

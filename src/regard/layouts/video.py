"""Recipes for videos: frames one after another, or each attending by itself."""

from dataclasses import dataclass

import torch
from torch import Tensor

from regard.layouts.grids import QueriesFirst, Raster, measured
from regard.layouts.scene import Recipe, Scene, grid
from regard.layouts.windows import parted, selected
from regard.tokens import Tokens
from regard.tokens.joined import JoinedTokens, Segment


@dataclass(frozen=True)
class Tubelets:
    """Frame after frame (or pair of frames), each row by row, after the prefix."""

    prefix: tuple[str, ...] = ()

    def __call__(self, scene: Scene, count: int) -> Tokens:
        """The layout."""
        return clip(scene, self.prefix)


@dataclass(frozen=True)
class TimeFastest:
    """Place after place, each through all frames, after the prefix."""

    prefix: tuple[str, ...] = ()

    def __call__(self, scene: Scene, count: int) -> Tokens:
        """The layout."""
        base = clip(scene, self.prefix)
        named = torch.arange(len(self.prefix))
        return selected(base, torch.cat([named, _by_place(scene, base, len(named)).flatten()]))


@dataclass(frozen=True)
class Temporal:
    """Each place attends through the frames by itself: the batch holds places."""

    def __call__(self, scene: Scene, count: int) -> Tokens:
        """The layout."""
        base = clip(scene, ())
        return parted(base, _by_place(scene, base, 0))


@dataclass(frozen=True)
class TemporalMaps:
    """The same for the places of a feature map, whose stride is measured by their number.

    Attributes:
        time_axis: Axis of the input along which frames follow each other.
    """

    time_axis: int = -4

    def __call__(self, scene: Scene, count: int) -> Tokens:
        """The layout."""
        places = scene.call.shape[0] // scene.pixels_shape[0]
        base = JoinedTokens.of(
            Segment(f"frame {i}", measured(scene.view(picture=i), places), i)
            for i in range(scene.pixels_shape[self.time_axis])
        )
        return parted(base, torch.arange(base.count).reshape(-1, places).T)


@dataclass(frozen=True)
class PerFrame:
    """Each frame attends by itself: the batch holds frames.

    Attributes:
        frame: The layout of one.
        time_axis: Axis of the input along which frames follow each other.
    """

    frame: Recipe
    time_axis: int = -4

    def __call__(self, scene: Scene, count: int) -> Tokens:
        """The layout."""
        frames = scene.pixels_shape[self.time_axis]
        return each_picture(self.frame, scene, count, frames, "frame {}")


@dataclass(frozen=True)
class FramesInTurn:
    """VideoMT: the first layers see frames along the batch, the last ones one frame a step.

    These look with object queries, which go on from frame to frame.
    """

    def __call__(self, scene: Scene, count: int) -> Tokens:
        """The layout."""
        first = int(scene.setting("num_hidden_layers")) - int(scene.setting("num_blocks"))
        if scene.numbers[0] < first:
            return PerFrame(Raster(("cls",), more="register"))(scene, count)
        frame = scene.call.axes["step"] % scene.frames
        tokens = QueriesFirst()(scene.of_picture(frame), count)
        return JoinedTokens.of([Segment(f"frame {frame}", tokens, frame)])


@dataclass(frozen=True)
class AllFrames:
    """One map for all frames, of which its cells are the mean.

    Attributes:
        frame: The layout of one.
    """

    frame: Recipe

    def __call__(self, scene: Scene, count: int) -> Tokens:
        """The layout."""
        cells = self.frame(scene.of_picture(0), count)
        return JoinedTokens.of([Segment("frames", cells, 0, scene.frames)])


@dataclass(frozen=True)
class ContextAndTargets:
    """V-JEPA 2's predictor: tokens of the context and of what is to be predicted, by place.

    Where both have a place, which comes first is up to the sort that the model ran.
    """

    def __call__(self, scene: Scene, count: int) -> Tokens:
        """The layout."""
        seen, wanted = (clip(scene, (), f"{kind} ") for kind in ("context", "target"))
        masks = scene.inputs.get("context_mask")
        known = masks[0].shape[1] if masks else seen.count
        before, places = scene.note()
        order = places + torch.where(before < known, 0, seen.count)
        return parted(JoinedTokens.of([*seen.segments, *wanted.segments]), order)


def each_picture(recipe: Recipe, scene: Scene, count: int, pictures: int, name: str) -> Tokens:
    """The layout of a batch of pictures, each by itself, each with its own view."""
    base = JoinedTokens.of(
        Segment(name.format(i), recipe(scene.of_picture(i), count), i) for i in range(pictures)
    )
    return parted(base, torch.arange(base.count).reshape(pictures, count))


def clip(scene: Scene, prefix: tuple[str, ...], kind: str = "") -> JoinedTokens:
    """All tokens of a video, in the order of time, rows, columns; `kind` begins their names."""
    length = _tubelet(scene)
    times = scene.frames // length
    segments = [Segment("", Tokens(len(prefix), prefix=prefix))] if prefix else []
    for i in range(times):
        view = scene.view(picture=i * length)
        cells = grid(view, scene.cells, scene.patch)
        segments.append(Segment(kind + _frame_name(i, length), cells, i * length, length))
    return JoinedTokens.of(segments)


def _by_place(scene: Scene, base: Tokens, named: int) -> Tensor:
    times = scene.frames // _tubelet(scene)
    return torch.arange(named, base.count).reshape(times, -1).T


def _tubelet(scene: Scene) -> int:
    """How many frames a token stands for."""
    length = getattr(scene.config, "tubelet_size", 1)
    return int(length) if isinstance(length, int) else int(length[0])


def _frame_name(index: int, length: int) -> str:
    first = index * length
    return f"frame {first}" if length == 1 else f"frames {first}-{first + length - 1}"


CLS_FRAME = PerFrame(Raster(("cls",)))
"""Frames as a plain ViT sees them."""

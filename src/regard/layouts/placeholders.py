"""Recipe for language models that read pictures, which stand where the prompt has placeholders."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from regard.errors import GeometryError
from regard.layouts.scene import Scene
from regard.layouts.sequences import Words
from regard.layouts.windows import parted
from regard.tokens import Tokens
from regard.tokens.joined import JoinedTokens, Segment

Pictures = Callable[[Scene, int], Sequence[Segment]]
"""Gives the segments of all pictures of the batch, in order, from the number of placeholders."""

OF_IMAGES = ("pixel_values", "image_grid_thw", "image_sizes")
OF_VIDEOS = ("pixel_values_videos", "video_grid_thw", "image_sizes_videos")


@dataclass(frozen=True)
class Placeholders:
    """Text and pictures in one sequence; prompts of a batch may have theirs in different places.

    Attributes:
        images: Lays out the images.
        videos: Lays out the videos, where these have placeholders of their own.
    """

    images: Pictures
    videos: Pictures | None = None

    def __call__(self, scene: Scene, count: int) -> Tokens:
        """The layout."""
        ids = scene.inputs["input_ids"]
        prompts, length = ids.shape
        if scene.call.shape[0] != prompts:
            raise GeometryError(
                f"the layer has a batch of {scene.call.shape[0]}, the input has {prompts} prompts: "
                "which is whose is not known; generate without beams, or for one prompt at a time"
            )
        whole = max(count, scene.call.shape[3])
        segments, order = _text(scene, prompts, length, whole)
        for at, pictures in self._found(scene, ids):
            start = sum(segment.tokens.count for segment in segments)
            segments += pictures
            order[at[:, 0], at[:, 1]] = torch.arange(start, start + len(at))
        return parted(JoinedTokens.of(segments), order[:, whole - count :])

    def _found(self, scene: Scene, ids: Tensor) -> Iterator[tuple[Tensor, Sequence[Segment]]]:
        """For each kind of picture: (prompt, place) of its placeholders, and its segments."""
        before = 0
        for kind, pictures in (("image", self.images), ("video", self.videos)):
            if pictures is None:
                continue
            at = (ids == _placeholder(scene, kind)).nonzero()
            if not len(at):
                continue
            segments = pictures(_seeing(scene, kind, before), len(at))
            made = sum(segment.tokens.count for segment in segments)
            if made != len(at):
                raise GeometryError(
                    f"the input has {len(at)} placeholders, its pictures make {made} tokens"
                )
            yield at, [replace(each, picture=each.picture + before) for each in segments]
            before = max(each.picture + each.span for each in segments)


def _text(scene: Scene, prompts: int, length: int, whole: int) -> tuple[list[Segment], Tensor]:
    """What was read and what was generated; the order of a prompt without pictures."""
    segments = [Segment("text", Words()(scene, length))]
    new = tuple(f"generated {i + 1}" for i in range(whole - length))
    if new:
        segments.append(Segment("", Tokens(len(new), prefix=new)))
    return segments, torch.arange(whole).repeat(prompts, 1)


def _placeholder(scene: Scene, kind: str) -> int:
    """The id of placeholders, where the model has it."""
    homes = (scene.config, getattr(scene.owner, "vocabulary_mapping", None))
    names = (f"{kind}_token_id", f"{kind}_token_index")
    told = (getattr(home, name, None) for home in homes for name in names)
    return next(int(token) for token in told if token is not None)


def _seeing(scene: Scene, kind: str, before: int) -> Scene:
    """The scene with the inputs and views of one kind of picture only."""
    others = OF_IMAGES if kind == "video" else OF_VIDEOS
    inputs = {name: value for name, value in scene.inputs.items() if name not in others}
    views = scene.views[before:] if len(scene.views) > 1 else scene.views
    return replace(scene, inputs=inputs, views=views)

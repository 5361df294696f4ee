"""Recipe for regions that an object detector found: tokens are boxes, not patches."""

from dataclasses import dataclass

import torch

from regard.errors import GeometryError
from regard.layouts.scene import Scene
from regard.layouts.windows import parted
from regard.tokens import Tokens
from regard.tokens.joined import JoinedTokens, Segment
from regard.tokens.regions import RegionTokens


@dataclass(frozen=True)
class Regions:
    """LXMERT: features of regions; their boxes go in beside them, as parts of width and height.

    Attributes:
        boxes: Name of that input, (batch, regions, 4), each (left, top, right, bottom).
    """

    boxes: str = "visual_pos"

    def __call__(self, scene: Scene, count: int) -> Tokens:
        """The layout."""
        boxes = scene.given(self.boxes)
        views = tuple(scene.views)
        views = views if len(views) > 1 else views * len(boxes)
        if not views:
            raise GeometryError(
                f"{self.boxes} says where regions lie as parts of a picture, but not how large it "
                "is: pass view=ViewTransform.identity((height, width))"
            )
        segments = []
        for i, (of_one, view) in enumerate(zip(boxes, views, strict=True)):
            height, width = view.original_hw
            sides = torch.tensor([width, height, width, height])
            segments.append(
                Segment(f"picture {i}", RegionTokens.of(of_one * sides, (height, width)), i)
            )
        if len(segments) == 1:
            return segments[0].tokens
        return parted(
            JoinedTokens.of(segments), torch.arange(boxes[..., 0].numel()).reshape(-1, count)
        )

"""Recipe for keypoints: matchers whose tokens are points of two pictures."""

from dataclasses import dataclass

import torch

from regard.layouts.scene import Scene
from regard.layouts.windows import parted
from regard.tokens import Tokens
from regard.tokens.joined import JoinedTokens, Segment
from regard.tokens.points import PointTokens


@dataclass(frozen=True)
class Keypoints:
    """LightGlue and SuperGlue: the batch holds the two pictures of each pair.

    Attributes:
        other: Whether these are the points of the other picture, as keys of cross attention are.
        kinds: Setting that lists the layers that are "cross"; "" where their paths tell.
    """

    other: bool = False
    kinds: str = ""

    def __call__(self, scene: Scene, count: int) -> Tokens:
        """The layout."""
        height, width = scene.input_hw
        points = scene.note() * torch.tensor([width, height])
        segments = [
            Segment(f"picture {i}", PointTokens.of(of_one, scene.view(picture=i)), i)
            for i, of_one in enumerate(points)
        ]
        orders = torch.arange(len(points) * points.shape[1]).reshape(len(points), -1)
        if self._are_others(scene):
            orders = orders.reshape(-1, 2, orders.shape[1]).flip(1).reshape(orders.shape)
        return parted(JoinedTokens.of(segments), orders)

    def _are_others(self, scene: Scene) -> bool:
        if not self.kinds:
            return self.other
        return bool(scene.setting(self.kinds)[scene.numbers[0]] == "cross")

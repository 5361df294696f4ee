"""How good a miniature of object queries is, on scenes that it was not trained on."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from regard.datasets.coco_output import CocoOutput
from regard.datasets.coco_panoptic import read_panoptic
from regard.datasets.shapes import KINDS, Scene, photo, write_coco_panoptic
from regard.demos.scene import found, true_masks
from regard.demos.scene import own_share as own_share_of
from regard.evaluation.panoptic_quality import PanopticQuality, panoptic_quality
from regard.models.family import LoadedModel
from regard.objects.attention import ObjectAttention, panoptic
from training.scenes import HELD_OUT, SIZE_PX

Looked = Sequence[tuple[Scene, ObjectAttention]]


def look(model: LoadedModel, count: int) -> Looked:
    """The first held-out scenes, each with what the model made of it."""
    scenes = [photo(HELD_OUT + i, (SIZE_PX, SIZE_PX)) for i in range(count)]
    return [(scene, panoptic(Image.fromarray(scene.image), model=model)) for scene in scenes]


def quality(looked: Looked, folder: Path, *, shift: int = 0) -> PanopticQuality:
    """Panoptic quality, by way of the files that `regard evaluate` reads.

    Args:
        looked: What `look` gave.
        folder: For the files.
        shift: Compare each scene's prediction with the scene so many places on: a control.
    """
    seeds = range(HELD_OUT, HELD_OUT + len(looked))
    truth = write_coco_panoptic(folder / "truth", seeds, size_hw=(SIZE_PX, SIZE_PX))
    output = CocoOutput(folder / "predicted")
    for place in range(len(looked)):
        result = looked[(place + shift) % len(looked)][1]
        output.add(
            f"{seeds[place]:06d}",
            segmentation=result.segmentation,
            instances=result.instances(most=1),
            categories=result.predictions.categories,
        )
    output.close()
    return panoptic_quality(
        read_panoptic(folder / "predicted" / "panoptic.json"), read_panoptic(truth)
    )


@dataclass(frozen=True, kw_only=True)
class OwnShare:
    """Share of cross-attention, from 0 to 1, that falls on the object that the query found."""

    masked: float
    """As the model ran."""
    unmasked: float
    """Without the masks of the layers, from the same queries and keys."""
    elsewhere: float
    """Masked, on the next object of the same photo instead: a control."""


def own_share(looked: Looked, layers: Sequence[int]) -> OwnShare:
    """Means over the objects that were found, and over decoder layers; NaN if none was."""
    shares = [
        (
            own_share_of(one, own, layer),
            own_share_of(one, own, layer, masked=False),
            own_share_of(one, other, layer),
        )
        for one, own, other in _objects(looked)
        for layer in layers
    ]
    if not shares:
        return OwnShare(masked=math.nan, unmasked=math.nan, elsewhere=math.nan)
    masked, unmasked, elsewhere = torch.tensor(shares).mean(0).tolist()
    return OwnShare(masked=masked, unmasked=unmasked, elsewhere=elsewhere)


def _objects(looked: Looked) -> Iterator[tuple[ObjectAttention, Tensor, Tensor]]:
    """Each object that was found, as seen by its query; its true mask, and the next object's."""
    for scene, result in looked:
        masks = [mask for name, mask in true_masks(scene) if name in KINDS]
        for segment, place, _ in found(result, scene):
            if segment.is_thing:
                one = result.of(query=segment.queries[0])
                yield one, masks[place], masks[(place + 1) % len(masks)]

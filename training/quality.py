"""How good a miniature of object queries is, on scenes that it was not trained on."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from regard.datasets.coco_output import CocoOutput
from regard.datasets.coco_panoptic import read_panoptic
from regard.datasets.shapes import Scene, photo, write_coco_panoptic
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
    """Means over the objects that were found, and over decoder layers."""
    shares = []
    for result, own, other in _found(looked):
        for layer in layers:
            masked, unmasked = (_heat(result, layer, masked=masked) for masked in (True, False))
            shares.append(
                [float(x) for x in (masked[own].sum(), unmasked[own].sum(), masked[other].sum())]
            )
    masked, unmasked, elsewhere = torch.tensor(shares).mean(0).tolist()
    return OwnShare(masked=masked, unmasked=unmasked, elsewhere=elsewhere)


def _found(looked: Looked) -> Iterator[tuple[ObjectAttention, Tensor, Tensor]]:
    """Each object that a query found (right kind, IoU above a half), and where the next one is."""
    for scene, result in looked:
        masks = [torch.from_numpy(one.mask) for one in scene.objects]
        assert result.segmentation is not None
        for segment in result.segmentation.segments:
            own = result.segmentation.mask(segment)
            for place, (one, mask) in enumerate(zip(scene.objects, masks, strict=True)):
                iou = float((own & mask).sum() / (own | mask).sum())
                if segment.name == one.kind and iou > 0.5:
                    other = masks[(place + 1) % len(masks)]
                    yield result.of(query=segment.queries[0], between="cells"), mask, other


def _heat(result: ObjectAttention, layer: int, *, masked: bool) -> Tensor:
    """On the photo, its sum 1."""
    heat = result.heat(layer, masked=masked)
    return heat / heat.sum()

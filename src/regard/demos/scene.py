"""The generated scene that the demos of object queries look at, and how right they are about it."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from regard.datasets.shapes import KINDS, STUFF, Scene, photo
from regard.objects.attention import ObjectAttention
from regard.segmentation.segments import Segment

SEED = 10_000_021
"""Beyond the seeds that the miniatures were trained on."""
SIZE_PX = 512


def demo_scene() -> tuple[Image.Image, Scene]:
    """A scene that no miniature was trained on, as a photo, and what is true about it."""
    scene = photo(SEED, (SIZE_PX, SIZE_PX), objects=(4, 5))
    return Image.fromarray(scene.image), scene


def middle(scene: Scene) -> tuple[float, float]:
    """X and y of the middle of the largest object that has something there: a ring has not."""
    things = sorted((mask for name, mask in true_masks(scene) if name in KINDS), key=torch.sum)
    middles = [(mask, mask.nonzero().float().mean(0)) for mask in reversed(things)]
    y, x = next((at for mask, at in middles if mask[tuple(at.long())]), middles[0][1]).tolist()
    return x, y


def true_masks(scene: Scene) -> Iterator[tuple[str, Tensor]]:
    """Class and mask of every segment of a scene, objects first, in their order."""
    ids, segments = scene.panoptic()
    names = (*KINDS, *STUFF)
    for segment in segments:
        yield names[segment["category_id"] - 1], torch.from_numpy(np.equal(ids, segment["id"]))


def found(result: ObjectAttention, scene: Scene) -> list[tuple[Segment, int, float]]:
    """What was found: the segment, the place of the true one, and their IoU.

    As panoptic quality counts: of the same class, with an IoU above a half.
    """
    if result.segmentation is None:
        return []
    matches = []
    for segment in result.segmentation.segments:
        own = result.segmentation.mask(segment)
        for place, (name, mask) in enumerate(true_masks(scene)):
            iou = float((own & mask).sum() / (own | mask).sum())
            if name == segment.name and iou > 0.5:
                matches.append((segment, place, iou))
    return matches


def of_best(result: ObjectAttention, scene: Scene) -> ObjectAttention:
    """The same run, showing the query of what was found best, an object where there is one."""
    matches = sorted(found(result, scene), key=lambda match: (match[0].is_thing, match[2]))
    return result.of(query=matches[-1][0].queries[0]) if matches else result


def own_share(result: ObjectAttention, mask: Tensor, layer: int, *, masked: bool = True) -> float:
    """Share of the weight on the photo, from 0 to 1, that falls into a mask."""
    heat = result.of(between="cells").heat(layer, masked=masked)
    return float(heat[mask].sum() / heat.sum())


def found_words(result: ObjectAttention, scene: Scene) -> str:
    """How much of the scene was found: ``7 of 7 segments found, mean IoU 0.88``."""
    matches, count = found(result, scene), len(scene.panoptic()[1])
    mean = sum(iou for _, _, iou in matches) / max(1, len(matches))
    return f"{len(matches)} of {count} segments found, mean IoU {mean:.2f}"


def own_words(
    result: ObjectAttention, scene: Scene, layers: Sequence[int], *, masked: bool = True
) -> str:
    """Mean share of attention on the segment that its query found: ``83 %``."""
    masks = [mask for _, mask in true_masks(scene)]
    shares = [
        own_share(result.of(query=segment.queries[0]), masks[place], layer, masked=masked)
        for segment, place, _ in found(result, scene)
        for layer in layers
    ]
    return f"{100 * sum(shares) / len(shares):.0f} %" if shares else "none"

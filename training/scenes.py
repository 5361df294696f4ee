"""Generated scenes for training: drawn once, kept in a folder, read back in batches.

Drawing costs more than a training step on small photos, so scenes are drawn in chunks and every
run that needs them reads the same files.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from regard.datasets.shapes import KINDS, STUFF, Segment, photo

NAMES = (*KINDS, *STUFF)
"""Name of each class index: things first, then stuff."""
HELD_OUT = 10_000_000
"""Seeds from here on are never trained on."""
SIZE_PX = 256
"""Height and width of the scenes that are kept."""

_CHUNK = 250
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Batch:
    """Photos and the segments in them, things and stuff alike."""

    pixels: Tensor
    """(batch, 3, height, width) float32, normalized."""
    labels: list[Tensor]
    """(segments,) int64 class index, one tensor for each photo."""
    masks: list[Tensor]
    """(segments, height / 4, width / 4) float32: share of each cell that a segment covers."""
    boxes: list[Tensor]
    """(segments, 4) float32: centre and size as shares of the photo."""


class Scenes:
    """Scenes of the seeds 0, 1, 2, ..."""

    def __init__(self, folder: Path, count: int) -> None:
        """Read scenes from a folder; those that it lacks are drawn first."""
        folder.mkdir(parents=True, exist_ok=True)
        chunks = [_chunk(folder, start) for start in range(0, count, _CHUNK)]
        self._images = [images for images, _, _ in chunks]
        self._ids = [ids for _, ids, _ in chunks]
        self._labels = [row for _, _, labels in chunks for row in labels]
        self._resized: dict[tuple[int, int], _Scene] = {}

    def __len__(self) -> int:
        return len(self._labels)

    def batch(self, count: int, size_px: int, random: np.random.Generator) -> Batch:
        """Some scenes at random, half of them mirrored, at ``size_px`` x ``size_px``."""
        rows = [self._scene(int(i), size_px) for i in random.integers(0, len(self), count)]
        flips = random.random(count) < 0.5
        rows = [row.mirrored() if flip else row for row, flip in zip(rows, flips, strict=True)]
        mean, std = (torch.tensor(each).view(3, 1, 1) for each in (_MEAN, _STD))
        return Batch(
            pixels=(torch.stack([row.pixels for row in rows]) / 255 - mean) / std,
            labels=[row.labels for row in rows],
            masks=[row.masks for row in rows],
            boxes=[row.boxes for row in rows],
        )

    def _scene(self, index: int, size_px: int) -> "_Scene":
        """A scene at a size; kept, for resizing costs more than reading."""
        found = self._resized.get((index, size_px))
        if found is None:
            found = self._resized[index, size_px] = self._resize(index, size_px)
        return found

    def _resize(self, index: int, size_px: int) -> "_Scene":
        chunk, place = divmod(index, _CHUNK)
        image = torch.from_numpy(self._images[chunk][place].copy()).permute(2, 0, 1)[None]
        pixels = F.interpolate(image.float(), size=(size_px, size_px), mode="area")[0]
        ids = torch.from_numpy(self._ids[chunk][place].copy())
        labels = torch.tensor(self._labels[index])
        masks = (ids == torch.arange(1, len(labels) + 1, dtype=torch.uint8)[:, None, None]).float()
        return _Scene(
            pixels=pixels.round().to(torch.uint8),
            labels=labels,
            masks=F.interpolate(masks[None], size=(size_px // 4,) * 2, mode="area")[0],
            boxes=boxes_around(masks),
        )


@dataclass(frozen=True)
class _Scene:
    """One scene of a batch, its pixels from 0 to 255."""

    pixels: Tensor
    labels: Tensor
    masks: Tensor
    boxes: Tensor

    def mirrored(self) -> "_Scene":
        """Left and right changed."""
        turn, start = torch.tensor([-1.0, 1, 1, 1]), torch.tensor([1.0, 0, 0, 0])
        return _Scene(
            self.pixels.flip(-1), self.labels, self.masks.flip(-1), start + turn * self.boxes
        )


def boxes_around(masks: Tensor) -> Tensor:
    """Boxes around masks (n, height, width) as shares of the photo: centre and size, (n, 4)."""
    sides = []
    for across, length in ((masks.amax(1), masks.shape[2]), (masks.amax(2), masks.shape[1])):
        inside = across > 0
        first = inside.float().argmax(1)
        last = length - inside.flip(1).float().argmax(1)
        sides.append((first / length, last / length))
    (x0, x1), (y0, y1) = sides
    return torch.stack([(x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0], 1)


def _chunk(
    folder: Path, start: int
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8], list[list[int]]]:
    """Images, segment ids and class indices of one chunk of scenes."""
    images, ids, labels = (folder / f"{start:06d}.{end}" for end in ("rgb.npy", "ids.npy", "json"))
    if not labels.exists():  # written last
        drawn = [photo(seed, size_hw=(SIZE_PX, SIZE_PX)) for seed in range(start, start + _CHUNK)]
        maps = [scene.panoptic() for scene in drawn]
        np.save(images, np.stack([scene.image for scene in drawn]))
        np.save(ids, np.stack([_renumbered(*each) for each in maps]))
        labels.write_text(json.dumps([_labels(segments) for _, segments in maps]))
    return (
        np.load(images, mmap_mode="r"),
        np.load(ids, mmap_mode="r"),
        json.loads(labels.read_text()),
    )


def _renumbered(ids: npt.NDArray[np.int32], segments: list[Segment]) -> npt.NDArray[np.uint8]:
    """Ids 1, 2, ... in the order of the segments."""
    result = np.zeros(ids.shape, np.uint8)
    for place, segment in enumerate(segments):
        result[ids == segment["id"]] = place + 1
    return result


def _labels(segments: list[Segment]) -> list[int]:
    return [segment["category_id"] - 1 for segment in segments]

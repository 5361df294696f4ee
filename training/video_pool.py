"""Generated clips, made once and kept in files, from which every stage takes its batches.

Clips of even seeds show a whole story in 8 frames; those of odd seeds 8 frames of a story of 16,
in which everything moves half as fast.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from regard.datasets.shapes import KINDS, clip
from training.video_losses import Objects

FRAMES = 8
SIDE_PX = 128
OBJECTS = 4
"""Most objects of a clip."""
STRIDE_PX = 4
"""Of the masks."""

_SEEN_CELLS = 1.0
_SAY_CLIPS = 100

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Pool:
    """Clips in files that are mapped into memory.

    Attributes:
        images: uint8 (clips, frames, 3, height, width).
        shares: Share of each cell that an object covers, in 255ths: uint8 (clips, frames,
            objects, height / 4, width / 4).
        labels: Class from 0, int8 (clips, objects); -1 where there is none.
    """

    images: Array
    shares: Array
    labels: Array

    def __len__(self) -> int:
        return len(self.labels)

    def first(self, clips: int) -> "Pool":
        """The first so many clips."""
        return Pool(self.images[:clips], self.shares[:clips], self.labels[:clips])

    def objects(self, clips: Sequence[int], frames: int | Sequence[int]) -> Objects:
        """What is in one frame of some clips: in the same of all, or in one of each."""
        shares = torch.from_numpy(self.shares[list(clips), frames]).float() / 255
        return _seen(torch.from_numpy(self.labels[list(clips)].astype(np.int64)), shares)

    def objects_over_time(self, clips: Sequence[int]) -> Objects:
        """What is in some clips; frames lie below one another, (clips, objects, T · h, w)."""
        shares = torch.from_numpy(self.shares[list(clips)]).float() / 255
        over_time = shares.transpose(1, 2).flatten(2, 3)
        return _seen(torch.from_numpy(self.labels[list(clips)].astype(np.int64)), over_time)


def _seen(labels: Tensor, shares: Tensor) -> Objects:
    """Objects of which less than a cell is to be seen are not there."""
    hidden = shares.flatten(2).sum(-1) < _SEEN_CELLS
    return Objects(labels=labels.masked_fill(hidden, -1), shares=shares)


def open_pool(folder: Path, seeds: range) -> Pool:
    """Clips of these seeds; they are generated if the folder does not hold them yet."""
    names = ("images", "shares", "labels")
    paths = [folder / f"{name}_{seeds.start}_{seeds.stop}.npy" for name in names]
    if not all(path.is_file() for path in paths):
        _generate(paths, seeds)
    return Pool(*(np.load(path, mmap_mode="r") for path in paths))


def _generate(paths: list[Path], seeds: range) -> None:
    paths[0].parent.mkdir(parents=True, exist_ok=True)
    side = SIDE_PX // STRIDE_PX
    shapes: list[tuple[int, ...]] = [
        (len(seeds), FRAMES, 3, SIDE_PX, SIDE_PX),
        (len(seeds), FRAMES, OBJECTS, side, side),
        (len(seeds), OBJECTS),
    ]
    unfinished = [path.with_suffix(".part") for path in paths]
    types = (np.uint8, np.uint8, np.int8)
    images, shares, labels = (
        np.lib.format.open_memmap(part, mode="w+", dtype=kind, shape=shape)
        for part, kind, shape in zip(unfinished, types, shapes, strict=True)
    )
    labels[:] = -1
    for place, seed in enumerate(seeds):
        count = FRAMES * (1 + seed % 2)
        film = clip(seed, frames=count, size_hw=(SIDE_PX, SIDE_PX), objects=(2, OBJECTS))
        first = int(np.random.default_rng(seed).integers(count - FRAMES + 1))
        part = slice(first, first + FRAMES)
        images[place] = film.images[part].transpose(0, 3, 1, 2)
        cells = film.masks[part].reshape(FRAMES, -1, side, STRIDE_PX, side, STRIDE_PX)
        shares[place, :, : len(film.objects)] = np.round(cells.mean((3, 5)) * 255)
        labels[place, : len(film.objects)] = [KINDS.index(thing.kind) for thing in film.objects]
        if (place + 1) % _SAY_CLIPS == 0:
            print(f"generated {place + 1} of {len(seeds)} clips", flush=True)
    for array in (images, shares, labels):
        array.flush()
    for file, path in zip(unfinished, paths, strict=True):
        file.replace(path)

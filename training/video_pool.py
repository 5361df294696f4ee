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
from regard.models.dvis_daq.preparation import normalised
from regard.models.dvis_daq.settings import Settings
from training.video_losses import Objects

FRAMES = 8
SIDE_PX = 128
OBJECTS = 4
"""Most objects of a clip."""
STRIDE_PX = 4
"""Of the masks."""

_SEEN_CELLS = 1.0
_WHOLE_CELLS = 12.0
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

    def frames(
        self, chosen: Sequence[tuple[int, int]], *, side_px: int, random: torch.Generator
    ) -> tuple[Tensor, Objects]:
        """A batch of frames: parts of ``side_px`` at random places, half of them mirrored.

        Args:
            chosen: Clip and frame of each.
            side_px: Side of the square that is cut out, a multiple of 4.
            random: Where the places come from.
        """
        room = (SIDE_PX - side_px) // STRIDE_PX + 1
        pixels, shares, labels = [], [], []
        for clip_index, frame in chosen:
            y, x = torch.randint(room, (2,), generator=random).tolist()
            cells = slice(y, y + side_px // STRIDE_PX), slice(x, x + side_px // STRIDE_PX)
            places = tuple(slice(s.start * STRIDE_PX, s.stop * STRIDE_PX) for s in cells)
            image = torch.from_numpy(self.images[clip_index, frame][:, *places].copy())
            share = torch.from_numpy(self.shares[clip_index, frame][:, *cells].copy())
            if torch.rand((), generator=random) < 0.5:
                image, share = image.flip(-1), share.flip(-1)
            pixels.append(normalised(image, Settings()))
            shares.append(share.float() / 255)
            labels.append(torch.from_numpy(self.labels[clip_index].astype(np.int64)))
        return torch.stack(pixels), _seen(torch.stack(labels), torch.stack(shares))

    def crops(
        self, count: int, *, side_px: int, random: torch.Generator
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Pictures of single objects, more or less in the middle, half of them mirrored.

        Args:
            count: How many.
            side_px: Side of a crop, a multiple of 4.
            random: Which objects, and how far from the middle.

        Returns:
            Pixels (count, 3, side, side), normalised; share of each cell that the object covers
            (count, side / 4, side / 4); classes (count,).
        """
        pixels, shares = [], []
        labels: list[int] = []
        room, cells = (SIDE_PX - side_px) // STRIDE_PX, side_px // STRIDE_PX
        while len(labels) < count:
            clip_index = int(torch.randint(len(self), (), generator=random))
            frame = int(torch.randint(FRAMES, (), generator=random))
            thing = int(torch.randint(OBJECTS, (), generator=random))
            share = torch.from_numpy(self.shares[clip_index, frame, thing].copy()).float() / 255
            if share.sum() < _WHOLE_CELLS:
                continue
            ys, xs = (share > 0).nonzero().float().mean(0).tolist()
            jitter = torch.randint(-2, 3, (2,), generator=random).tolist()
            y, x = (
                min(max(round(at) - cells // 2 + off, 0), room)
                for at, off in zip((ys, xs), jitter, strict=True)
            )
            image = torch.from_numpy(
                self.images[
                    clip_index,
                    frame,
                    :,
                    y * STRIDE_PX : y * STRIDE_PX + side_px,
                    x * STRIDE_PX : x * STRIDE_PX + side_px,
                ].copy()
            )
            share = share[y : y + cells, x : x + cells]
            if torch.rand((), generator=random) < 0.5:
                image, share = image.flip(-1), share.flip(-1)
            pixels.append(normalised(image, Settings()))
            shares.append(share)
            labels.append(int(self.labels[clip_index, thing]))
        return torch.stack(pixels), torch.stack(shares), torch.tensor(labels)

    def objects(self, clips: Sequence[int], frame: int) -> Objects:
        """What is in one frame of some clips."""
        shares = torch.from_numpy(self.shares[list(clips), frame]).float() / 255
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

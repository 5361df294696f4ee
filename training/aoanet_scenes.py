"""What mini-aoanet learns from: generated scenes, what each grid cell shows, and captions."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from regard.datasets.shapes import COLOURS, KINDS, STUFF, Scene, photo
from regard.evaluation.captions import LEAST_SHARE
from regard.models.aoanet.small_cnn import STRIDE

SIZE_PX = 80
GRID = SIZE_PX // STRIDE
FIRST_SEED = 1_000_000
"""Scenes of smaller seeds are held out."""
SIZES = ("small", "large")
WORDS = (*("a", "left", "of", "above", "and", "on"), *SIZES, *COLOURS, *KINDS, *STUFF, "UNK")
MAX_LENGTH = 16

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Pool:
    """Scenes, generated once."""

    images: Array
    """(scenes, SIZE_PX, SIZE_PX, 3) uint8."""
    cells: Array
    """(scenes, 5, GRID, GRID) int8: kind or stuff, colour, size, and centre of the object."""
    tokens: Array
    """(scenes, MAX_LENGTH) uint8; 0 ends a caption and fills up what is after it."""


def make_pool(count: int, folder: Path, *, first: int, objects: tuple[int, int]) -> Pool:
    """Generate the scenes of seeds from ``first`` on, or read those of an earlier run."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {name: folder / f"{name}.npy" for name in ("images", "cells", "tokens")}
    if all(path.exists() for path in paths.values()):
        found = Pool(**{name: np.load(path, mmap_mode="r") for name, path in paths.items()})
        if len(found.images) == count:
            return found
    pool = Pool(
        images=np.empty((count, SIZE_PX, SIZE_PX, 3), np.uint8),
        cells=np.empty((count, 5, GRID, GRID), np.int8),
        tokens=np.empty((count, MAX_LENGTH), np.uint8),
    )
    began = time.monotonic()
    for i in range(count):
        scene = photo(first + i, (SIZE_PX, SIZE_PX), objects)
        pool.images[i], pool.cells[i], pool.tokens[i] = scene.image, cells(scene), tokens(scene)
        if i % 1000 == 999:
            print(f"scene {i + 1} of {count}, {time.monotonic() - began:.0f} s", flush=True)
    for name, path in paths.items():
        np.save(path, getattr(pool, name))
    return pool


def tokens(scene: Scene) -> Array:
    """(MAX_LENGTH,) tokens of the caption."""
    found = np.zeros(MAX_LENGTH, np.uint8)
    found[: len(scene.words)] = [WORDS.index(word) + 1 for word in scene.words]
    return found


def cells(scene: Scene) -> Array:
    """(5, GRID, GRID): what each cell shows, -1 for what only objects have.

    It shows the object that has most of it, if that is a quarter; else the stuff. Centres are in
    127ths of the picture.
    """
    masks = np.stack([one.mask for one in scene.objects])
    share = masks.reshape(-1, GRID, STRIDE, GRID, STRIDE).mean((2, 4))
    owner = np.where(share.max(0) >= LEAST_SHARE, share.argmax(0), -1)
    stuff = scene.stuff.reshape(GRID, STRIDE, GRID, STRIDE).transpose(0, 2, 1, 3)
    found = np.full((5, GRID, GRID), -1, np.int8)
    found[0] = len(KINDS) + np.median(stuff.reshape(GRID, GRID, -1), axis=2).astype(np.int8)
    for number, one in enumerate(scene.objects):
        x0, y0, x1, y1 = one.box_xyxy
        inside = owner == number
        found[0][inside] = KINDS.index(one.kind)
        found[1][inside] = COLOURS.index(one.colour)
        found[2][inside] = SIZES.index(one.size)
        found[3][inside] = (x0 + x1) / 2 / SIZE_PX * 127
        found[4][inside] = (y0 + y1) / 2 / SIZE_PX * 127
    return found


def mirrored(cells: Array) -> Array:
    """Cells (batch, 5, GRID, GRID) of mirror images."""
    found = cells[..., ::-1].copy()
    found[:, 3] = np.where(found[:, 3] < 0, -1, 127 - found[:, 3])
    return found

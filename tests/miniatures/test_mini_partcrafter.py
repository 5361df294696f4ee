"""What `mini-partcrafter` makes of toys that training never saw."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image

from regard.datasets.solids import Solid, SolidPhoto, photograph, solid
from regard.evaluation.occupancy import part_ious
from regard.models.partcrafter.checkpoint import PartCrafter, load
from regard.parts.generation import Generation, generate

HELD_OUT = range(12)
"""Seeds; training took those from 1,000,000."""
LAYER = 4
"""Whose attention is asked, over all steps: the block with the highest lift on training toys."""

CELLS = 28
AXIS = np.linspace(-1, 1, CELLS, dtype=np.float32)
POINTS = np.stack(np.meshgrid(AXIS, AXIS, AXIS, indexing="ij"), -1).reshape(-1, 3)


@dataclass(frozen=True)
class Result:
    thing: Solid
    photo: SolidPhoto
    made: Generation
    filled: npt.NDArray[np.bool_]
    matched: list[int]
    ious: npt.NDArray[np.float64]


def truth(thing: Solid) -> npt.NDArray[np.bool_]:
    return thing.part_distances(POINTS) < 0


def result_of(model: PartCrafter, seed: int, **options: Any) -> Result:
    thing = solid(seed)
    photo = photograph(thing, 192)
    picture = Image.fromarray(photo.image)
    made = generate(picture, len(thing.parts), model=model, depth=2, **options)
    with torch.no_grad():
        values = model.decoder(made.latents, torch.from_numpy(POINTS)[None])
    filled = values[..., 0].numpy() > 0
    ious, matched = part_ious(filled, truth(thing))
    return Result(thing, photo, made, filled, matched, ious)


@pytest.fixture(scope="module")
def results() -> list[Result]:
    model = load("mini-partcrafter")
    return [result_of(model, seed) for seed in HELD_OUT]


def lift(result: Result, part: int, looking: int) -> float:
    """Attention of a generated part on the pixels of a true one, over an even spread."""
    heat = result.made.attention.heat(size_hw=(192, 192), between="cells", layers=LAYER)[looking]
    weights = heat.numpy()
    on_it = result.photo.part_ids == part
    return float(weights[on_it].sum() / weights.sum() / on_it.mean())


def test_parts_fill_the_space_they_should(results: list[Result]) -> None:
    ious = np.concatenate([result.ious for result in results])
    assert ious.mean() >= 0.6
    assert (ious >= 0.6).mean() >= 0.9


def test_parts_of_another_photo_do_not(results: list[Result]) -> None:
    """The same parts, matched as well as they can be to a toy of another kind."""
    wrong = [
        part_ious(other.filled, truth(result.thing))[0]
        for result in results
        for other in results
        if other.thing.kind != result.thing.kind
    ]
    assert np.concatenate(wrong).mean() < 0.3


def test_each_part_looks_at_its_own_pixels(results: list[Result]) -> None:
    own = [
        lift(result, part, match) for result in results for part, match in enumerate(result.matched)
    ]
    assert np.mean(own) >= 3


def test_each_part_does_not_look_at_the_pixels_of_the_next(results: list[Result]) -> None:
    another = [
        lift(result, part, result.matched[part - 1])
        for result in results
        for part in range(len(result.matched))
    ]
    assert np.mean(another) < 2

"""A generated photo through a small AoANet: a caption, and where each of its words looks."""

from pathlib import Path

import numpy as np
from PIL import Image

from regard.captions.attention import CaptionAttention, caption
from regard.cli.terminal import plain
from regard.datasets.shapes import Scene, photo
from regard.evaluation.captions import object_at_peak, word_accuracy
from regard.models.aoanet import load_captioner

SEED = 16
SIZE_HW = (512, 512)
OBJECTS = (2, 2)


def run(out: Path, *, device: str = "cpu") -> None:
    """Caption a scene that the model has never seen, whose truth is known."""
    scene = photo(SEED, SIZE_HW, OBJECTS)
    (found,) = caption(
        Image.fromarray(scene.image), model=load_captioner("mini-aoanet", device=device)
    )
    written = found.save(out, ("words", "heads", "page", "json", "gif"))
    print(f"{found.model}: {found.text}")
    print(f"{word_accuracy(found.words[:-1], scene.words):.0%} of the words are true")
    print(f"{_looks(found, scene)} words for objects look at their own object most")
    print(f"{len(written)} files in {plain(out.resolve())}")


def _looks(found: CaptionAttention, scene: Scene) -> str:
    """How many of the words that speak of an object look at it, such as "8 of 9"."""
    masks = np.stack([one.mask for one in scene.objects])
    pairs = zip(found.weights(), scene.word_objects, strict=False)
    right = [
        object_at_peak(weights, found.layout, masks) == own
        for weights, own in pairs
        if own is not None
    ]
    return f"{sum(right)} of {len(right)}"

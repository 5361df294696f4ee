"""mini-aoanet on scenes that its training never saw: true words, which look at what they say."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from PIL import Image

import regard
from regard.captions.attention import CaptionAttention
from regard.datasets.shapes import Scene, photo
from regard.evaluation.captions import object_at_peak, word_accuracy
from regard.models.aoanet import Decoding

SCENES = 60


@dataclass(frozen=True)
class Captioned:
    scene: Scene
    found: CaptionAttention

    @property
    def words(self) -> tuple[str, ...]:
        return tuple(word for word in self.found.words if word != "<end>")

    def hits(self, order: torch.Tensor | None = None) -> list[bool]:
        """For each word that speaks of an object: is it said, and does it look at the object?"""
        masks = np.stack([one.mask for one in self.scene.objects])
        layout, weights = self.found.layout, self.found.weights()
        weights = weights if order is None else weights[:, order]
        right = []
        for step, (word, own) in enumerate(
            zip(self.scene.words, self.scene.word_objects, strict=True)
        ):
            if own is not None:
                said = step < len(self.words) and self.words[step] == word
                right.append(said and object_at_peak(weights[step], layout, masks) == own)
        return right


@pytest.fixture(scope="module")
def captioned() -> list[Captioned]:
    model = regard.load_captioner("mini-aoanet")
    scenes = [photo(seed, objects=(1, 2)) for seed in range(SCENES)]
    decoding = Decoding(beam=1)
    return [
        Captioned(
            scene, regard.caption(Image.fromarray(scene.image), model=model, decoding=decoding)[0]
        )
        for scene in scenes
    ]


def test_its_words_are_true(captioned: list[Captioned]) -> None:
    right = [word_accuracy(one.words, one.scene.words) for one in captioned]
    assert np.mean(right) >= 0.95
    others = captioned[1:] + captioned[:1]
    shuffled = [
        word_accuracy(one.words, other.scene.words)
        for one, other in zip(captioned, others, strict=True)
    ]
    assert np.mean(shuffled) < 0.6


def test_its_words_look_at_their_own_object(captioned: list[Captioned]) -> None:
    assert np.mean([hit for one in captioned for hit in one.hits()]) >= 0.9
    order = torch.randperm(captioned[0].found.layout.count)
    assert np.mean([hit for one in captioned for hit in one.hits(order)]) < 0.4


def test_two_objects_are_told_apart(captioned: list[Captioned]) -> None:
    """The control for scenes of one object, where looking at anything at all would do."""
    two = [one for one in captioned if len(one.scene.objects) == 2]
    assert len(two) >= 12
    assert np.mean([hit for one in two for hit in one.hits()]) >= 0.9
    other = [
        object_at_peak(weights, one.found.layout, masks) == 1 - own
        for one in two
        for masks in [np.stack([each.mask for each in one.scene.objects])]
        for weights, own in zip(one.found.weights(), one.scene.word_objects, strict=False)
        if own is not None
    ]
    assert np.mean(other) < 0.1

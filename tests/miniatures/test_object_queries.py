"""mini-detr and mini-mask2former, on scenes that they were not trained on.

Each bar has a control that must fail it: the same model against shuffled truth.
"""

from pathlib import Path

import pytest

import regard
from training.quality import Looked, look, own_share, quality

SCENES = 24


@pytest.fixture(scope="module")
def mask2former() -> Looked:
    return look(regard.load_model("mini-mask2former"), SCENES)


def pq(looked: Looked, folder: Path, *, shift: int = 0) -> float:
    return quality(looked, folder, shift=shift).mean()[0]


def test_the_panoptic_quality_of_mini_detr(tmp_path: Path) -> None:
    looked = look(regard.load_model("mini-detr"), SCENES)
    assert pq(looked, tmp_path / "own") >= 0.75
    assert pq(looked, tmp_path / "shuffled", shift=1) < 0.30


def test_the_panoptic_quality_of_mini_mask2former(mask2former: Looked, tmp_path: Path) -> None:
    assert pq(mask2former, tmp_path / "own") >= 0.70
    assert pq(mask2former, tmp_path / "shuffled", shift=1) < 0.30


def test_masked_attention_stays_on_the_object(mask2former: Looked) -> None:
    """Of the last three layers, which read one level each."""
    share = own_share(mask2former, (3, 4, 5))
    assert share.masked >= 0.75
    assert share.unmasked < 0.5 * share.masked
    assert share.elsewhere < 0.2


def test_the_miniatures_are_small_ones_of_their_family() -> None:
    for name, layers in (("mini-detr", 3), ("mini-mask2former", 6)):
        loaded = regard.load_model(name)
        assert loaded.origin == "shipped with regard"
        assert loaded.family.name == name.removeprefix("mini-")
        assert len(loaded.layers) == layers

"""Training scenes: what a batch says is what the generator says."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from regard.datasets.shapes import photo
from training import scenes
from training.scenes import NAMES, Scenes, boxes_around


@pytest.fixture
def few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scenes:
    monkeypatch.setattr(scenes, "_CHUNK", 3)
    return Scenes(tmp_path, 6)


def test_a_batch_is_what_was_drawn(few: Scenes) -> None:
    assert len(few) == 6
    batch = few.batch(8, 64, np.random.default_rng(0))
    assert batch.pixels.shape == (8, 3, 64, 64)
    known = [sorted(s["category_id"] - 1 for s in photo(i).panoptic()[1]) for i in range(6)]
    for labels, masks, boxes in zip(batch.labels, batch.masks, batch.boxes, strict=True):
        assert sorted(labels.tolist()) in known
        assert masks.shape == (len(labels), 16, 16)
        # every pixel belongs to one segment
        torch.testing.assert_close(masks.sum(0), torch.ones(16, 16), rtol=0, atol=1e-5)
        assert boxes.shape == (len(labels), 4)
        assert labels.max() < len(NAMES)


def test_what_is_in_the_folder_is_not_drawn_again(tmp_path: Path, few: Scenes) -> None:
    (labels,) = tmp_path.glob("000003.json")
    labels.write_text(json.dumps([[0]] * 3))
    assert Scenes(tmp_path, 6)._labels[3:] == [[0]] * 3


def test_boxes() -> None:
    masks = torch.zeros(1, 8, 16)
    masks[0, 2:6, 4:8] = 1
    assert boxes_around(masks)[0].tolist() == [6 / 16, 4 / 8, 4 / 16, 4 / 8]

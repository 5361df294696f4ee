"""The training of mini-aoanet: what it learns from, and that a stopped run goes on."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import regard
from regard.datasets.shapes import COLOURS, KINDS, photo
from training import mini_aoanet
from training.aoanet_scenes import (
    FIRST_SEED,
    GRID,
    SIZE_PX,
    SIZES,
    WORDS,
    cells,
    make_pool,
    mirrored,
    tokens,
)


def test_cells_say_what_their_middle_shows() -> None:
    scene = photo(5, (SIZE_PX, SIZE_PX), (3, 3))
    found = cells(scene)
    for number, one in enumerate(scene.objects):
        whole = one.mask.reshape(GRID, 8, GRID, 8).mean((1, 3)) > 0.5
        assert whole.any(), number
        assert set(found[0][whole]) == {KINDS.index(one.kind)}
        assert set(found[1][whole]) == {COLOURS.index(one.colour)}
        assert set(found[2][whole]) == {SIZES.index(one.size)}
        x0, y0, x1, y1 = one.box_xyxy
        assert found[3][whole] / 127 * SIZE_PX == pytest.approx((x0 + x1) / 2, abs=0.7)
        assert found[4][whole] / 127 * SIZE_PX == pytest.approx((y0 + y1) / 2, abs=0.7)
    empty = ~np.any([one.mask for one in scene.objects], axis=0).reshape(GRID, 8, GRID, 8)
    empty = empty.all((1, 3))
    assert set(found[0][empty]) <= {len(KINDS) + i for i in np.unique(scene.stuff)}
    assert (found[1:, empty] == -1).all()


def test_mirror_images() -> None:
    found = np.stack([cells(photo(seed, (SIZE_PX, SIZE_PX), (1, 3))) for seed in range(3)])
    there = mirrored(found)
    assert np.array_equal(there[:, :3], found[:, :3, :, ::-1])
    assert np.array_equal(mirrored(there), found)


def test_tokens_spell_the_caption() -> None:
    scene = photo(2, (SIZE_PX, SIZE_PX), (2, 2))
    assert " ".join(WORDS[token - 1] for token in tokens(scene) if token) == scene.caption


def test_a_run_that_was_stopped_goes_on_and_leaves_a_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(to: Path, steps: int) -> None:
        counts = f"--scenes 40 --captioned 40 --cnn-steps {steps} --captioner-steps {steps}"
        monkeypatch.setattr("sys.argv", ["", "--out", str(to), *counts.split()])
        mini_aoanet.main()

    train(tmp_path / "whole", 1)
    stopped = tmp_path / "stopped"
    with monkeypatch.context() as patch:
        patch.setattr(mini_aoanet, "features_of", _stop)
        with pytest.raises(KeyboardInterrupt):
            train(stopped, 1)
    train(stopped, 1)
    whole, other = (
        load_file(folder / "model" / "model.safetensors")
        for folder in (tmp_path / "whole", stopped)
    )
    assert all(torch.equal(whole[name], other[name]) for name in whole if name.startswith("cnn."))
    pool = make_pool(40, stopped / "told", first=FIRST_SEED + 40, objects=(1, 2))
    scene = photo(FIRST_SEED + 43, (SIZE_PX, SIZE_PX), (1, 2))
    assert np.array_equal(pool.images[3], scene.image)
    assert regard.load_captioner(stopped / "model").infos.vocabulary[1] == "a"


def _stop(*_: object) -> None:
    raise KeyboardInterrupt

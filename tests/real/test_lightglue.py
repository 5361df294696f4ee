"""A trained matcher on a photo and its warp: where each point looks is known exactly."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import regard
from real import lightglue
from regard import Recording


@pytest.fixture(scope="module")
def pair(shared: Path) -> dict[str, Tensor]:
    with np.load(shared / "data/pair/pair.npz") as arrays:
        return {name: torch.from_numpy(arrays[name]).float() for name in arrays.files}


@pytest.fixture(scope="module")
def recording(shared: Path, pair: dict[str, Tensor]) -> Recording:
    model = lightglue.load(shared / "data/weights/lightglue_disk")
    inputs = (
        (pair["kpts_a"][None], pair["kpts_b"][None]),
        (pair["desc_a"][None], pair["desc_b"][None]),
        pair["size_wh"],
    )
    with torch.inference_mode():
        plain = model(*inputs)
        with regard.record(model, keep="qk") as recording:
            output = model(*inputs)
    assert all(torch.equal(a, b) for a, b in zip(output, plain, strict=True))
    return recording


def test_every_call_is_recorded(recording: Recording) -> None:
    assert len(recording) == 36
    assert {call.shape for call in recording} == {(1, 4, 512, 512)}
    assert {call.kind for call in recording} == {"dot_product"}
    assert len(recording["*.self_attn"]) == len(recording["*.cross_attn"]) == 18
    assert recording.unrecorded == []


def test_weights_give_the_output(recording: Recording) -> None:
    checks = recording.verify()
    assert all(check.error is not None for check in checks)
    # messages of trained layers reach some tens; float32 sums of 512 terms
    assert max(check.error or 0 for check in checks) <= 5e-5


@pytest.mark.parametrize("layer", [0, 4, 8])
def test_matched_points_look_at_their_true_place(
    recording: Recording, pair: dict[str, Tensor], layer: int
) -> None:
    there, back = recording[f"transformers.{layer}.cross_attn"]
    from_a, from_b = pair["matches"].long().T
    true = warp(pair["H_a_to_b"], pair["kpts_a"][from_a])
    looked_at = pair["kpts_b"][there.mean(from_a)[0].argmax(-1)]
    assert share_within(looked_at, true, 5) == 1.0
    shuffled = true[torch.randperm(len(true), generator=torch.Generator().manual_seed(0))]
    assert share_within(looked_at, shuffled, 5) < 0.05

    back_at = warp(pair["H_a_to_b"], pair["kpts_a"][back.mean(from_b)[0].argmax(-1)])
    assert share_within(back_at, pair["kpts_b"][from_b], 5) > 0.95


def warp(homography: Tensor, xy: Tensor) -> Tensor:
    x, y, w = (torch.cat([xy, torch.ones(len(xy), 1)], 1) @ homography.T).T
    return torch.stack([x / w, y / w], 1)


def share_within(a: Tensor, b: Tensor, pixels: float) -> float:
    return float(((a - b).norm(dim=1) < pixels).float().mean())

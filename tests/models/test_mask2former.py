"""Mask2Former: levels in their real order, masks and their resets, every checkpoint form."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import regard
from regard.errors import CheckpointError, UnsafeCheckpoint
from regard.models.family import Prepared
from segmenters import official_mask2former, save, tiny_mask2former


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 255, (90, 150, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


@pytest.fixture(scope="module")
def model() -> Any:
    return tiny_mask2former()


@pytest.fixture(scope="module")
def folder(model: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(model, tmp_path_factory.mktemp("mask2former"))


def look(loaded: Any, photo: Image.Image) -> Any:
    return loaded.family.look(loaded, loaded.prepare(photo, short_side_px=100))


def outputs(module: Any, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    with torch.inference_mode():
        out = module(pixels)
    return out.class_queries_logits, out.masks_queries_logits


def same(a: Any, b: Any) -> None:
    pixels = torch.randn(1, 3, 64, 96)
    for first, second in zip(outputs(a, pixels), outputs(b, pixels), strict=True):
        assert torch.equal(first, second)


def test_our_class_is_transformers_own_without_its_losses(folder: Path) -> None:
    pytest.importorskip("scipy", reason="transformers' class wants SciPy for its losses")
    from transformers import Mask2FormerForUniversalSegmentation

    theirs = Mask2FormerForUniversalSegmentation.from_pretrained(folder).eval()
    same(theirs, regard.load_model(folder).module)


@pytest.mark.parametrize("swin", [True, False])
@pytest.mark.parametrize("kind", ["pth", "pkl", "pkl of Python 2"])
def test_an_official_checkpoint_is_the_same_network(kind: str, swin: bool, tmp_path: Path) -> None:
    model = tiny_mask2former(swin=swin)
    weights = official_mask2former(model.state_dict())
    path = tmp_path / f"model_final.{kind[:3]}"
    if kind == "pth":
        torch.save({"model": weights, "iteration": 7}, path)
    else:
        arrays = {name: tensor.numpy() for name, tensor in weights.items()}
        content = {"model": arrays, "__author__": "a third party", "matching_heuristics": True}
        path.write_bytes(pickle.dumps(content, protocol=2 if "2" in kind else 4))
    loaded = regard.load_model(path)
    same(model, loaded.module)
    assert len(loaded.layers) == 6


class MakesFolder:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.mkdir, (self.path,)


def test_a_pickle_that_names_code_is_refused_and_does_not_run(tmp_path: Path) -> None:
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps({"model": {"a": MakesFolder(tmp_path / "canary")}}))
    with pytest.raises(UnsafeCheckpoint, match="was not read"):
        regard.load_model(path)
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\x80\x04.", "damaged"),
        (pickle.dumps([1, 2]), "expected named arrays"),
        (pickle.dumps({"model": {"a": 3}}), "holds no arrays"),
        (pickle.dumps({"a": np.array([None])}), "expected numbers"),
        (
            pickle.dumps({"a": np.arange(6.0)}, protocol=2).replace(b"K\x06\x85", b"K\x46\x85"),
            "bytes",
        ),
    ],
)
def test_damaged_pickles_are_told(content: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "model.pkl"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=words):
        regard.load_model(path)


def test_levels_come_lowest_resolution_first_and_again(folder: Path, photo: Image.Image) -> None:
    run = look(regard.load_model(folder), photo)
    assert run.predictions.view.input_hw == (128, 192), "padded to multiples of 32"
    assert run.predictions.view.content_box_xyxy == (0, 0, 166, 100), "not stretched"
    keys = [run.recording.find(layer)[0].keys for layer in run.cross_layers]
    assert [key.stride_px[0] for key in keys] == [32, 16, 8, 32, 16, 8]
    assert [key.grid_hw for key in keys[:3]] == [(4, 6), (8, 12), (16, 24)]
    assert run.predictions.mask_logits.shape == (7, 32, 48)


def test_masked_weights_are_the_unmasked_ones_restricted_and_renormalised(
    folder: Path, photo: Image.Image
) -> None:
    run = look(regard.load_model(folder), photo)
    some_blocked = False
    for layer in run.cross_layers:
        (call,) = run.recording.find(layer)
        masked, unmasked = call.weights(), call.weights(masked=False)
        allowed = ~call.blocked()
        some_blocked |= bool((~allowed).any())
        assert torch.equal(masked != 0, allowed)
        left = unmasked.double() * allowed
        expected = (left / left.sum(-1, keepdim=True)).float()
        torch.testing.assert_close(masked, expected, rtol=0, atol=1e-6)  # the model's float32
    assert some_blocked


def test_in_float64_masked_weights_are_exactly_that(folder: Path, photo: Image.Image) -> None:
    """A weight near 1 has steps of 6e-8 in float32, and the model's own rounding is larger."""
    loaded: Any = regard.load_model(folder)
    loaded.module.double()
    prepared = loaded.prepare(photo, short_side_px=100)
    wide = Prepared({k: v.double() for k, v in prepared.inputs.items()}, prepared.view, photo)
    run = loaded.family.look(loaded, wide)
    for layer in run.cross_layers:
        (call,) = run.recording.find(layer)
        masked, unmasked = call.weights(), call.weights(masked=False)
        assert masked.dtype == unmasked.dtype == torch.float64
        left = unmasked.masked_fill(call.blocked(), 0)
        expected = left / left.sum(-1, keepdim=True)
        torch.testing.assert_close(masked, expected, rtol=0, atol=1e-7)


def test_a_row_whose_mask_is_empty_attends_everywhere_and_is_flagged(
    folder: Path, photo: Image.Image
) -> None:
    loaded: Any = regard.load_model(folder)
    before = look(loaded, photo)
    assert not all(rows.all() for rows in before.resets.values())
    hook = loaded.module.get_submodule(
        "model.transformer_module.decoder.mask_predictor.mask_embedder"
    ).register_forward_hook(lambda _m, _i, out: out * 0 - 0.0)
    # no mask features fit a zero embedding: logits 0 are probability 0.5, which is not blocked
    open_run = look(loaded, photo)
    hook.remove()
    assert not any(rows.any() for rows in open_run.resets.values())
    pixels = loaded.module.model.pixel_level_module.decoder.mask_projection
    with torch.no_grad():
        pixels.weight.zero_()
        pixels.bias.fill_(1.0)
        last = loaded.module.model.transformer_module.decoder.mask_predictor.mask_embedder
        last.get_submodule("2.0").weight.zero_()
        last.get_submodule("2.0").bias.fill_(-1.0)
    run = look(loaded, photo)
    assert set(run.resets) == set(run.cross_layers)
    assert all(rows.all() for rows in run.resets.values())
    (call,) = run.recording.find(run.cross_layers[0])
    assert not call.blocked().any()
    assert (call.weights() > 0).all()
    # float32 sums
    torch.testing.assert_close(call.weights().sum(-1), torch.ones(1, 4, 7), rtol=0, atol=1e-6)

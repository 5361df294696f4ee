"""DETR: every checkpoint form gives the same network, and tokens lie where they should."""

import copy
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from PIL import Image

import regard
from regard.errors import CheckpointError
from regard.models.objects import measured_grid
from regard.models.resnet import dilate
from segmenters import official_detr, resnet, save, tiny_detr


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 255, (90, 150, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


@pytest.fixture(scope="module")
def model() -> Any:
    return tiny_detr()


@pytest.fixture(scope="module")
def folder(model: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(model, tmp_path_factory.mktemp("detr"))


def same(a: Any, b: Any, pixels: torch.Tensor) -> None:
    with torch.inference_mode():
        first, second = a(pixel_values=pixels), b(pixel_values=pixels)
    for name in ("logits", "pred_boxes", "pred_masks"):
        if name in first:
            assert torch.equal(first[name], second[name]), name


@pytest.mark.parametrize("masks", [True, False])
def test_an_official_checkpoint_is_the_same_network(masks: bool, tmp_path: Path) -> None:
    model = tiny_detr(masks=masks)
    path = tmp_path / "detr.pth"
    torch.save({"model": official_detr(model.state_dict())}, path)
    loaded = regard.load_model(path)
    same(model, loaded.module, torch.randn(1, 3, 64, 96))
    assert loaded.name == "detr"
    assert len(loaded.layers) == 3


def test_a_timm_backbone_becomes_transformers_own(model: Any, tmp_path: Path, folder: Path) -> None:
    import json

    from safetensors.torch import load_file, save_file

    from regard.models.checkpoint import read_json
    from segmenters import torchvision_name

    start = "detr.model.backbone.conv_encoder.model."
    weights = {}
    for name, tensor in load_file(folder / "model.safetensors").items():
        if name.startswith(start):
            name = start + torchvision_name(name.removeprefix(start))
        weights[name] = tensor
    assert f"{start}layer2.1.bn3.running_var" in weights
    save_file(weights, tmp_path / "model.safetensors")
    config = read_json(folder / "config.json") | {"use_timm_backbone": True, "backbone": "resnet50"}
    config["backbone_config"] = None
    (tmp_path / "config.json").write_text(json.dumps(config))
    same(model, regard.load_model(tmp_path).module, torch.randn(1, 3, 64, 96))


def test_foreign_and_incomplete_weights_are_told(model: Any, tmp_path: Path) -> None:
    weights = official_detr(model.state_dict())
    weights["detr.transformer.encoder.norm.weight"] = torch.zeros(64)
    torch.save({"model": weights}, tmp_path / "prenorm.pth")
    with pytest.raises(CheckpointError, match=r"encoder\.norm\.weight.*no weight of DETR"):
        regard.load_model(tmp_path / "prenorm.pth")
    torch.save({"a": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match="no official checkpoint"):
        regard.load_model(tmp_path / "other.pth")


def test_strides_are_measured_and_rounded_up() -> None:
    view = regard.ViewTransform.identity((100, 150))
    for stride, grid in ((32, (4, 5)), (16, (7, 10)), (8, (13, 19)), (4, (25, 38))):
        found = measured_grid(view, grid[0] * grid[1], "a layer")
        assert (found.grid_hw, found.stride_px) == (grid, (stride, stride))
    with pytest.raises(regard.errors.GeometryError, match="a layer has 21 keys"):
        measured_grid(view, 21, "a layer")


def test_every_call_has_its_layout(folder: Path, photo: Image.Image) -> None:
    loaded = regard.load_model(folder)
    prepared = loaded.prepare(photo, short_side_px=100)
    assert prepared.view.input_hw == (100, 166)
    run = loaded.family.look(loaded, prepared)  # type: ignore[attr-defined]
    assert run.cross_layers == tuple(
        f"detr.model.decoder.layers.{i}.encoder_attn" for i in range(3)
    )
    for layer in run.cross_layers:
        (call,) = run.recording.find(layer)
        assert call.shape == (1, 8, 7, 4 * 6)
        assert call.keys.grid_hw == (4, 6)
    encoder = run.recording.find("detr.model.encoder.*")
    assert all(call.queries == call.keys for call in encoder)
    assert {call.layer for call in run.recording} >= {*run.cross_layers}
    assert max(check.error or 0 for check in run.recording.verify()) < 1e-5  # float32 sums


def test_recorded_weights_are_those_of_the_eager_model(folder: Path, photo: Image.Image) -> None:
    loaded = regard.load_model(folder)
    prepared = loaded.prepare(photo, short_side_px=100)
    run = loaded.family.look(loaded, prepared)  # type: ignore[attr-defined]
    model = tiny_detr()
    model.set_attn_implementation("eager")
    with torch.inference_mode():
        eager = model(**prepared.inputs, output_attentions=True).cross_attentions
    for layer, expected in zip(run.cross_layers, eager, strict=True):
        own = run.recording.find(layer)[0].weights()
        torch.testing.assert_close(own, expected, rtol=0, atol=1e-6)  # another order of sums


def test_the_mask_heads_map_is_one_softmax_over_heads_and_places(
    model: Any, folder: Path, photo: Image.Image
) -> None:
    loaded = regard.load_model(folder)
    prepared = loaded.prepare(photo, short_side_px=100)
    run = loaded.family.look(loaded, prepared)  # type: ignore[attr-defined]
    assert run.joint is not None
    assert run.joint.weights.shape == (7, 8, 24)
    # float32 sums of 192 weights
    torch.testing.assert_close(run.joint.weights.sum((1, 2)), torch.ones(7), rtol=0, atol=1e-6)
    shares = run.joint.head_shares(3)
    assert float(shares.max()) > 1.05 / 8, "heads hold different shares"
    hidden: dict[str, torch.Tensor] = {}
    module: Any = loaded.module
    detr = module.detr
    hooks = [
        detr.model.decoder.register_forward_hook(lambda m, i, o: hidden.update(hs=o[0])),
        detr.model.encoder.register_forward_hook(lambda m, i, o: hidden.update(memory=o[0])),
    ]
    with torch.no_grad():
        loaded.module(**prepared.inputs)
    for hook in hooks:
        hook.remove()
    head = module.bbox_attention
    q = torch.nn.functional.linear(hidden["hs"][0], head.q_proj.weight, head.q_proj.bias)
    k = torch.nn.functional.linear(hidden["memory"][0], head.k_proj.weight, head.k_proj.bias)
    scores = torch.einsum("qnc,lnc->qnl", q.view(7, 8, 8), k.view(24, 8, 8)) * 8**-0.5
    expected = scores.flatten(1).softmax(-1).view(7, 8, 24)
    # another order of sums; norms of random size make scores of order 100
    torch.testing.assert_close(run.joint.weights, expected.detach(), rtol=1e-4, atol=1e-6)


def test_a_dilated_model_runs_at_half_the_stride(
    folder: Path, tmp_path: Path, photo: Image.Image
) -> None:
    import json
    import shutil

    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    config = json.loads((tmp_path / "config.json").read_text()) | {"dilation": True}
    (tmp_path / "config.json").write_text(json.dumps(config))
    loaded = regard.load_model(tmp_path)
    prepared = loaded.prepare(photo, short_side_px=64)
    run = loaded.family.look(loaded, prepared)  # type: ignore[attr-defined]
    height, width = prepared.view.input_hw
    keys = run.recording.find(loaded.layers[0])[0].keys
    assert loaded.patch_hw == (16, 16)
    assert keys.count == math.ceil(height / 16) * math.ceil(width / 16)


def test_dilation_is_the_same_network_on_a_finer_map() -> None:
    """Each value of the plain last stage is one of the dilated one, away from the border."""
    config = resnet()
    config.depths = [1, 1, 1, 3]
    torch.manual_seed(0)
    plain = transformers.ResNetBackbone(config).eval()
    dilated = copy.deepcopy(plain)
    dilate(dilated)
    pixels = torch.randn(1, 3, 320, 320)
    with torch.no_grad():
        coarse, fine = (each(pixels).feature_maps[-1] for each in (plain, dilated))
    assert (coarse.shape[2:], fine.shape[2:]) == ((10, 10), (20, 20))
    middle = (..., slice(3, -3), slice(3, -3))
    torch.testing.assert_close(fine[..., ::2, ::2][middle], coarse[middle])


@pytest.mark.parametrize(("name", "stride_px"), [("detr-r50-dc5-0", 16), ("detr-r50-0", 32)])
def test_the_name_of_an_official_file_tells_dilation(
    name: str, stride_px: int, model: Any, tmp_path: Path
) -> None:
    path = tmp_path / f"{name}.pth"
    torch.save({"model": official_detr(model.state_dict())}, path)
    assert regard.load_model(path).patch_hw == (stride_px, stride_px)

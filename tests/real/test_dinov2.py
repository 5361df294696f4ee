"""A trained DINOv2 on real photos: exact under its fused path, and its eyes on the objects."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as hf
from PIL import Image, ImageDraw
from torch import Tensor

import regard

SHORT_SIDE, PATCH = 224, 14
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@pytest.fixture(scope="module")
def folder(shared: Path) -> Path:
    return shared / "data/weights/dinov2_small"


@pytest.fixture(scope="module")
def model(folder: Path) -> Any:
    return hf.Dinov2Model.from_pretrained(folder, dtype=torch.float32, local_files_only=True).eval()


@pytest.fixture(scope="module")
def photos(shared: Path) -> list[tuple[Tensor, Tensor]]:
    """Pixels of each photo, and the share of each patch that annotated objects cover."""
    images = shared / "data/images/coco_instances"
    story = json.loads((images / "instances.json").read_text())
    return [prepare(images, image, story["annotations"]) for image in story["images"]]


def prepare(folder: Path, image: dict[str, Any], objects: Any) -> tuple[Tensor, Tensor]:
    with Image.open(folder / image["file_name"]) as opened:
        photo = opened.convert("RGB")
    scale = SHORT_SIDE / min(photo.size)
    width, height = (round(n * scale / PATCH) * PATCH for n in photo.size)
    mask = Image.new("L", photo.size)
    for item in objects:
        if item["image_id"] == image["id"]:
            for polygon in item["segmentation"]:
                ImageDraw.Draw(mask).polygon(polygon, fill=255)
    small = np.asarray(photo.resize((width, height), Image.Resampling.BICUBIC), np.float32) / 255
    normal = ((small - MEAN) / STD).astype(np.float32)
    cover = mask.resize((width // PATCH, height // PATCH), Image.Resampling.BOX)
    pixels = torch.from_numpy(normal).permute(2, 0, 1)[None].contiguous()
    return pixels, torch.from_numpy(np.asarray(cover, np.float32) / 255)


def test_fused_records_equal_eager_attentions(
    model: Any, folder: Path, photos: list[tuple[Tensor, Tensor]]
) -> None:
    eager = hf.Dinov2Model.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager", local_files_only=True
    ).eval()
    pixels, _ = photos[0]
    with torch.no_grad():
        plain = model(pixels).last_hidden_state
        with regard.record(model, keep="qk") as recording:
            fused = model(pixels, output_attentions=False).last_hidden_state
        with regard.record(eager, keep="qk") as written_out:
            expected = eager(pixels, output_attentions=True).attentions
    assert torch.equal(fused, plain)
    assert len(recording) == len(expected) == 12
    for call, own, weights in zip(recording, written_out, expected, strict=True):
        torch.testing.assert_close(own.weights(), weights, rtol=0, atol=1e-6)
        # the layers before rounded otherwise in the eager model; most weights are below 0.01
        torch.testing.assert_close(call.weights(), weights, rtol=0, atol=5e-5)
    torch.testing.assert_close(recording[0].weights(), expected[0], rtol=0, atol=1e-6)
    assert recording.verify()[0].error is not None
    assert max(check.error or 0 for check in recording.verify()) < 5e-6


def test_the_class_token_looks_at_the_objects(
    model: Any, photos: list[tuple[Tensor, Tensor]]
) -> None:
    """Attention inside the true masks over their share of the area, layer 8, mean of heads."""
    lifts = []
    for pixels, cover in photos:
        with torch.no_grad(), regard.record(model, "encoder.layer*.8.*", keep="qk") as recording:
            model(pixels)
        (call,) = recording
        rows, columns = cover.shape
        assert call.keys.count == 1 + rows * columns
        looked = call.mean(0)[0, 0, 1:].reshape(rows, columns)
        lifts.append(float((looked * cover).sum() / looked.sum() / cover.mean()))
    assert len(lifts) == 9
    assert min(lifts) > 1
    assert sum(lifts) / len(lifts) > 3

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from aoanet import folder, tensors, write_cnn
from regard.errors import CheckpointError
from regard.models.aoanet.cnn import ResNet, load_cnn


def test_the_frozen_feature_map(shared: Path) -> None:
    place = folder(shared)
    cnn = load_cnn(place / "cnn.safetensors")
    found = cnn(Image.open(place / "image.png").convert("RGB"))
    frozen = tensors(place / "model_io.safetensors")["grid/feature_map"]
    cells = torch.nn.functional.adaptive_avg_pool2d(frozen, (14, 14)).flatten(1).T
    # another order of additions in the convolutions
    torch.testing.assert_close(found.regions, cells, atol=1e-5, rtol=0)
    assert found.layout.box_xyxy(0) == pytest.approx((0, 0, 128 / 14, 96 / 14))


def test_cells_span_a_photo_of_any_shape(tmp_path: Path) -> None:
    cnn = load_cnn(write_cnn(tmp_path / "cnn.safetensors", 10))
    pixels = np.zeros((120, 300, 3), np.uint8)
    pixels[:60, 150:] = 255
    found = cnn(Image.fromarray(pixels))
    energy = found.regions.square().sum(1)
    bright = energy.view(14, 14)[1:6, 8:13].mean()
    assert (energy.view(14, 14)[8:, :].mean() - bright).abs() > 0.1
    assert found.layout.at(299, 119) == 195


def test_a_resnet_in_the_caffe_form(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = ResNet((1, 1, 1, 1)).eval()
    path = tmp_path / "resnet.safetensors"
    save_file({**network.state_dict(), "fc.weight": torch.ones(2, 2)}, path)
    cnn = load_cnn(path)
    x = torch.rand(1, 3, 97, 65)
    with torch.inference_mode():
        torch.testing.assert_close(cnn.network(x), network(x), atol=0, rtol=0)
        # stride 2 in conv1, pooling that rounds up, then three halvings
        assert cnn.network(x).shape == (1, 2048, 3, 2)
        assert cnn(Image.new("RGB", (65, 97))).regions.shape == (196, 2048)


def test_stride_and_pooling_are_caffes() -> None:
    network = ResNet((1, 1, 1, 1))
    assert network.layer2[0].conv1.stride == (2, 2)  # type: ignore[index, union-attr]
    assert network.layer2[0].conv2.stride == (1, 1)  # type: ignore[index, union-attr]


def test_other_networks_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"blocks.0.weight": torch.ones(2, 2)}, path)
    with pytest.raises(CheckpointError, match="pass a function from photo to features"):
        load_cnn(path)

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from transformers.models.bit.image_processing_pil_bit import BitImageProcessorPil
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.deit.image_processing_pil_deit import DeiTImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

from regard.errors import CheckpointError, GeometryError, MediaError
from regard.models.preprocessing import (
    LONG_SIDE_LIMIT,
    Preprocessing,
    require_rgb,
    whole_photo,
)


def noise(height: int, width: int) -> Image.Image:
    values = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(values)


# processor, and what a bare number as size means in its files
PROCESSORS = [
    (ViTImageProcessorPil(), True),
    (ViTImageProcessorPil(size={"height": 40, "width": 64}, resample=3), True),
    (DeiTImageProcessorPil(), True),
    (BitImageProcessorPil(size={"shortest_edge": 256}), False),
    (CLIPImageProcessorPil(), False),
    (
        CLIPImageProcessorPil(size={"shortest_edge": 65}, crop_size={"height": 64, "width": 63}),
        False,
    ),
    (SiglipImageProcessorPil(), False),
    (SiglipImageProcessorPil(do_rescale=False, do_normalize=False), False),
    (CLIPImageProcessorPil(do_resize=False, crop_size={"height": 30, "width": 31}), False),
]


@pytest.mark.parametrize(("height", "width"), [(37, 90), (90, 37), (301, 200), (224, 224)])
@pytest.mark.parametrize(("processor", "square"), PROCESSORS)
def test_the_same_tensor_as_transformers(
    processor: Any, square: bool, height: int, width: int, tmp_path: Path
) -> None:
    photo = noise(height, width)
    processor.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "preprocessor_config.json").read_text())
    settings = Preprocessing().updated(config, square=square)

    ours = settings.tensor(photo)
    theirs = processor(images=photo, return_tensors="pt")["pixel_values"].float()

    # they rescale and normalize in two float32 steps, on values up to 255 where not rescaled
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-6)
    assert settings.view((height, width)).input_hw == tuple(ours.shape[2:])


def test_the_view_says_where_pixels_went() -> None:
    settings = Preprocessing(short_edge_px=40, crop_hw=(40, 40))
    view = settings.view((80, 200))  # resized to 40 x 100, then 30 columns cut off on both sides
    assert view.to_input(100, 40) == (20, 20)
    assert view.to_input(60, 0) == (0, 0)
    assert view.input_hw == (40, 40)


@pytest.mark.parametrize(
    ("config", "square", "expected"),
    [
        ({"size": 50}, True, Preprocessing(resize_hw=(50, 50))),
        ({"size": 50}, False, Preprocessing(short_edge_px=50)),
        ({"crop_size": 50, "do_center_crop": True}, True, Preprocessing(crop_hw=(50, 50))),
        ({"crop_size": 50}, True, Preprocessing()),
        ({}, True, Preprocessing()),
    ],
)
def test_files_of_older_versions(
    config: dict[str, Any], square: bool, expected: Preprocessing
) -> None:
    assert Preprocessing().updated(config, square=square) == expected


@pytest.mark.parametrize(
    "config",
    [
        {"size": {"longest_edge": 50}},
        {"size": {"shortest_edge": 50, "longest_edge": 90}},
        {"size": "50"},
        {"size": 0},
        {"size": 10**9},
        {"crop_size": {"height": 5}, "do_center_crop": True},
        {"resample": 77},
        {"image_mean": [0.5, 0.5]},
        {"image_std": [1.0, 1.0, 0.0]},
        {"rescale_factor": None},
        {"do_pad": True},
    ],
    ids=str,
)
def test_settings_that_are_not_understood(config: dict[str, Any]) -> None:
    with pytest.raises(CheckpointError, match=r"preprocessor_config\.json is not understood"):
        Preprocessing().updated(config, square=False)


def test_a_crop_larger_than_the_picture_is_an_error() -> None:
    with pytest.raises(GeometryError, match="crops 60 x 60 px out of 50 x 50 px"):
        Preprocessing(resize_hw=(50, 50), crop_hw=(60, 60)).view((10, 10))


@given(
    photo_hw=st.tuples(st.integers(1, 6000), st.integers(1, 6000)),
    short_side_px=st.integers(1, 700),
    patch_hw=st.sampled_from([(14, 14), (16, 16), (8, 16)]),
)
def test_a_whole_photo_loses_nothing(
    photo_hw: tuple[int, int], short_side_px: int, patch_hw: tuple[int, int]
) -> None:
    settings = whole_photo(
        Preprocessing(short_edge_px=256, crop_hw=(224, 224)),
        photo_hw,
        short_side_px=short_side_px,
        patch_hw=patch_hw,
    )
    view = settings.view(photo_hw)
    height, width = view.input_hw

    assert height % patch_hw[0] == width % patch_hw[1] == 0
    # one rounding each: the view multiplies a side by a quotient
    assert view.content_box_xyxy == pytest.approx((0, 0, width, height), abs=1e-9)
    assert view.to_input(0, 0) == (0, 0)
    assert view.to_input(photo_hw[1], photo_hw[0]) == pytest.approx((width, height))
    for side, photo, patch in zip((height, width), photo_hw, patch_hw, strict=True):
        exact = photo * min(
            short_side_px / min(photo_hw), LONG_SIDE_LIMIT * short_side_px / max(photo_hw)
        )
        assert side == patch or abs(side - exact) <= patch / 2 + 1e-6


def test_the_usual_sizes() -> None:
    def size_hw(photo_hw: tuple[int, int]) -> tuple[int, int]:
        settings = whole_photo(Preprocessing(), photo_hw, short_side_px=336, patch_hw=(14, 14))
        return settings.view(photo_hw).input_hw

    assert size_hw((480, 640)) == (336, 448)
    assert size_hw((640, 427)) == (504, 336)
    assert size_hw((100, 1000)) == (140, 1344)  # longer than 4 : 1: made smaller, not cut


@pytest.mark.parametrize("mode", ["L", "RGBA", "CMYK", "P"])
def test_other_pictures_than_rgb_are_refused(mode: str) -> None:
    with pytest.raises(MediaError, match=f"the photo is {mode} of 4 x 3 pixels; expected RGB"):
        require_rgb(Image.new(mode, (4, 3)))

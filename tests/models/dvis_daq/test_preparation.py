"""From a frame to the model's input: sizes, padding, and the way back."""

import numpy as np
import pytest
import torch
from PIL import Image

from regard.models.dvis_daq.preparation import prepare_frame, resized_hw
from regard.models.dvis_daq.settings import Settings


# Sizes by detectron2's ResizeShortestEdge, worked out by hand.
@pytest.mark.parametrize(
    ("size_hw", "expected_hw"),
    [
        ((720, 1280), (480, 853)),
        ((1280, 720), (853, 480)),
        ((480, 640), (480, 640)),
        ((100, 1000), (133, 1333)),
        ((61, 83), (480, 653)),
    ],
)
def test_short_side_decides_until_the_long_one_is_too_long(
    size_hw: tuple[int, int], expected_hw: tuple[int, int]
) -> None:
    assert resized_hw(size_hw, Settings()) == expected_hw


def test_padding_is_zero_and_at_the_bottom_and_right() -> None:
    frame = Image.fromarray(np.full((90, 150, 3), 255, dtype=np.uint8))
    pixels, view = prepare_frame(frame, Settings(short_side_px=60))
    assert pixels.shape == (3, 64, 128)
    assert view.input_hw == (64, 128)
    assert view.content_box_xyxy == (0.0, 0.0, 100.0, 60.0)
    white = (255 - torch.tensor(Settings().pixel_mean)) / torch.tensor(Settings().pixel_std)
    assert torch.equal(pixels[:, :60, :100], white[:, None, None].expand(-1, 60, 100))
    assert not pixels[:, 60:].any()
    assert not pixels[:, :, 100:].any()
    assert view.to_original(100.0, 60.0) == (150.0, 90.0)


def test_a_frame_of_the_right_size_is_not_resampled() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 96, 3), dtype=np.uint8)
    settings = Settings(short_side_px=64, pixel_mean=(0, 0, 0), pixel_std=(1, 1, 1))
    pixels, _ = prepare_frame(Image.fromarray(noise), settings)
    assert np.array_equal(pixels.permute(1, 2, 0).numpy(), noise)

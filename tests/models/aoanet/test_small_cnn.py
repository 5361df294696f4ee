"""The small CNN of the miniature: it sees locally, and says where each cell lies."""

import numpy as np
import torch
from PIL import Image

from regard.models.aoanet import GridCnn
from regard.models.aoanet.small_cnn import POSITION_CHANNELS, STRIDE, SmallCnn


def network() -> SmallCnn:
    torch.manual_seed(3)
    return SmallCnn((4, 6, 8)).eval()


def test_one_cell_every_eight_pixels() -> None:
    cnn = network()
    found = cnn(torch.randn(2, 3, 40, 56))
    assert found.shape == (2, cnn.channels, 40 // STRIDE, 56 // STRIDE)
    assert cnn.channels == 8 + POSITION_CHANNELS


def test_places_tell_every_cell_from_every_other() -> None:
    places = network()(torch.zeros(1, 3, 80, 64))[0, 8:].flatten(1).T
    apart = torch.cdist(places, places) + torch.eye(len(places)) * 9
    assert len(places) == 80
    assert apart.min() > 0.3
    first, second = network()(torch.rand(2, 3, 80, 64))[:, 8:]
    assert torch.equal(first, second)


def test_what_lies_in_a_cell_changes_its_features_most() -> None:
    photo = torch.zeros(2, 3, 80, 80)
    photo[1, :, 24:32, 48:56] = 4
    plain, marked = network().look(photo)
    change = (marked - plain).abs().sum(0)
    assert divmod(int(change.argmax()), 10) == (3, 6)


def test_photos_are_brought_to_the_size_that_the_network_knows() -> None:
    pixels = np.zeros((120, 300, 3), np.uint8)
    pixels[:, 150:] = 255
    grid = GridCnn(network(), (5, 5), (40, 40))
    found = grid(Image.fromarray(pixels))
    assert found.regions.shape == (25, 8 + POSITION_CHANNELS)
    assert found.layout.box_xyxy(0) == (0, 0, 60, 24)
    small = grid(Image.fromarray(pixels).resize((40, 40), Image.Resampling.BILINEAR))
    assert torch.equal(small.regions, found.regions)

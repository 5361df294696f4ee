from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from regard.render import Picture, draw_layers
from regard.render.layers import differing

Heat = npt.NDArray[np.float32]
Golden = Callable[[Picture, str], None]


@pytest.fixture
def heats(heat: Heat) -> Heat:
    small = heat[::10, ::10] * 100
    return np.stack([np.stack([small, small[::-1]]), np.stack([small[:, ::-1], small / 3])])


def test_layers(heats: Heat, golden: Golden) -> None:
    heats = heats.copy()
    heats[:, :, :, :1] = np.nan
    golden(draw_layers(heats, title="DINOv2 small", lines=["query CLS"]), "layers")


def test_layers_each_on_its_own_scale(heats: Heat) -> None:
    picture = draw_layers(heats, scale="each")
    assert len({scale.high for scale in picture.scales}) == 2
    assert {"16.4", "5.45", "number below each panel"} < set(picture.lines)


@pytest.mark.parametrize("shape", [(1, 1), (48, 24), (3, 100)])
def test_from_one_head_to_many(shape: tuple[int, int]) -> None:
    picture = draw_layers(np.ones((*shape, 2, 3), np.float32))
    assert len(picture.scales) == shape[0] * shape[1]
    assert f"layer {shape[0] - 1}" in picture.lines


def test_a_mask_for_each_layer(heats: Heat) -> None:
    masked = np.zeros((2, 1, 6, 8), bool)
    masked[1] = True
    assert "masked" in draw_layers(heats, masked=masked).lines


def test_a_head_without_values_spoils_no_picture(heats: Heat) -> None:
    heats = heats.copy()
    heats[0, 1] = np.nan
    assert "no values" in draw_layers(heats, scale="each").lines


def test_long_paths_show_where_they_differ() -> None:
    paths = [f"model.vision.encoder.layers.{i}.self_attn.attention" for i in (0, 11)]
    assert differing(paths) == ["layers.0", "layers.11"]
    assert differing(["a.0.x", "b.1.y"]) == ["a.0.x", "b.1.y"]
    assert differing(["same", "same"]) == ["same", "same"]
    assert differing(["stage.0", "stage.0.block"]) == ["stage.0", "stage.0.block"]

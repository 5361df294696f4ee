import doctest
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from regard.render import Picture, colour, draw_summary, heatmap, layers, overlay, summary
from regard.render.summary import mass_words

Heat = npt.NDArray[np.float32]
Golden = Callable[[Picture, str], None]


@pytest.fixture
def panels(heat: Heat) -> Heat:
    return np.stack([heat, heat[:, ::-1], heat[::-1] / 4, heat / 2])


def test_summary(heat: Heat, panels: Heat, golden: Golden) -> None:
    picture = draw_summary(
        Image.new("RGB", (80, 60), (70, 130, 180)),
        heat,
        panels=panels,
        panel_names=[f"layer {index}" for index in range(4)],
        panels_title="Every layer",
        chosen=0,
        model="DINOv2 small",
        layer="layer 0 of 4",
        head="mean of 6 heads",
        query="CLS",
        prefix={"CLS": 0.12},
    )
    golden(picture, "summary")
    assert "layer 0 of 4 · mean of 6 heads · query CLS" in picture.lines
    assert "88 % of the attention falls on the photo, CLS keeps 12 % for itself" in picture.lines


@pytest.mark.parametrize("size_wh", [(20, 400), (40, 60), (64, 64), (400, 20), (1, 1)])
@pytest.mark.parametrize("count", [0, 1, 6, 48])
def test_photos_of_any_shape_with_any_number_of_panels(
    size_wh: tuple[int, int], count: int
) -> None:
    width, height = size_wh
    heat = np.ones((height, width), np.float32) / (height * width)
    picture = draw_summary(
        Image.new("RGB", size_wh, "teal"),
        heat,
        panels=np.stack([heat] * count) if count else None,
        model="模型 " + "very/long/" * 40,
        query_xy=(0.5, 0.5),
    )
    assert picture.size_wh[0] <= 1800
    assert len(picture.scales) == 1 + count
    for text in picture.texts:
        assert 0 < text.x < picture.size_wh[0]
        assert 0 < text.y < picture.size_wh[1] - 20


def test_a_shared_scale_holds_for_overlay_and_panels(
    photo: Image.Image, heat: Heat, panels: Heat
) -> None:
    shared = draw_summary(photo, heat, panels=panels, scale="shared")
    assert len(set(shared.scales)) == 1
    assert "on the same scale" in shared.lines
    own = draw_summary(photo, heat, panels=panels)
    assert len(set(own.scales)) == 3


def test_the_query_is_ringed_in_every_panel(photo: Image.Image, heat: Heat, panels: Heat) -> None:
    assert len(draw_summary(photo, heat, panels=panels, query_xy=(9, 9)).rings) == 6


@pytest.mark.parametrize(
    ("prefix", "words"),
    [
        ({}, ""),
        ({"CLS": 0.12}, "88 % of the attention falls on the photo, CLS keeps 12 % for itself"),
        (
            {"CLS": 0.004, "4 registers": 0.0001},
            "88 % of the attention falls on the photo, CLS keeps 0.4 % for itself, "
            "< 0.1 % on 4 registers",
        ),
    ],
)
def test_mass_in_words(prefix: dict[str, float], words: str) -> None:
    assert mass_words(0.88, "CLS", prefix) == words


@pytest.mark.parametrize("module", [colour, heatmap, layers, overlay, summary])
def test_examples_in_docstrings(module: object) -> None:
    failed, tried = doctest.testmod(module)  # type: ignore[arg-type]
    assert tried > 0
    assert failed == 0

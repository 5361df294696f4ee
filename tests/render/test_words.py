from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from regard.errors import GeometryError
from regard.render import Picture, draw_boxes, draw_word_frames, draw_words

Heat = npt.NDArray[np.float32]
Golden = Callable[[Picture, str], None]
WORDS = ["a", "dog", "in", "grass", "<end>"]


@pytest.fixture
def heats(heat: Heat) -> Heat:
    return np.stack([heat, heat[:, ::-1], heat[::-1] / 4, heat / 2, heat[::-1, ::-1]])


def test_words(photo: Image.Image, heats: Heat, golden: Golden) -> None:
    golden(draw_words(photo, heats, WORDS, title="a dog in grass", lines=["8 heads"]), "words")


def test_a_figure_of_so_many_columns(photo: Image.Image, heats: Heat) -> None:
    picture = draw_words(photo, heats, WORDS, columns=3)
    places = {text.words: (text.x, text.y) for text in picture.texts}
    assert places["photo"][1] == places["dog"][1] < places["in"][1]
    assert places["photo"][0] == places["in"][0]


def test_the_photo_stands_first_and_untouched(photo: Image.Image, heats: Heat) -> None:
    picture = draw_words(photo, heats, WORDS)
    first = next(text for text in picture.texts if text.words == "photo")
    middle = picture.raster[round(first.y) + 100, round(first.x) + 8]
    np.testing.assert_array_equal(middle, np.asarray(photo)[20, 1])


def test_a_frame_of_a_film(photo: Image.Image, heats: Heat, golden: Golden) -> None:
    golden(draw_word_frames(photo, heats, WORDS)[3], "word_frame")


def test_long_captions_break(photo: Image.Image, heat: Heat) -> None:
    words = [f"word{i}" for i in range(20)]
    frames = draw_word_frames(photo, np.stack([heat] * 20), words)
    assert len({text.y for text in frames[0].texts}) > 1
    assert all(text.x < frames[0].size_wh[0] for text in frames[0].texts)


def test_counts_must_agree(photo: Image.Image, heats: Heat) -> None:
    with pytest.raises(GeometryError, match="4 names for 5 words"):
        draw_words(photo, heats, WORDS[:4])
    with pytest.raises(GeometryError, match="4 words for 5 maps"):
        draw_word_frames(photo, heats, WORDS[:4])


BOXES = [(5.0, 5.0, 40.0, 30.0), (20.0, 10.0, 79.0, 58.0), (60.0, 40.0, 62.0, 42.0)]


def test_boxes(photo: Image.Image, golden: Golden) -> None:
    names = ["region 3", "region 0", "region 35"]
    golden(draw_boxes(photo, BOXES, [0.5, 0.2, 0.05], names=names, title="dog"), "boxes")


def test_the_weightiest_box_lies_on_top(photo: Image.Image) -> None:
    same = [(10.0, 10.0, 50.0, 50.0)] * 2
    one, other = draw_boxes(photo, same, [0.1, 0.9]), draw_boxes(photo, same, [0.9, 0.1])
    np.testing.assert_array_equal(one.raster[200:, 300:], other.raster[200:, 300:])


def test_boxes_without_a_weight_are_refused(photo: Image.Image) -> None:
    with pytest.raises(GeometryError, match="1 weights for 3 boxes"):
        draw_boxes(photo, BOXES, [0.5])
    with pytest.raises(GeometryError, match="0 weights for 0 boxes"):
        draw_boxes(photo, [], [])

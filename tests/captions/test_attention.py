import math
from pathlib import Path

import pytest
import torch
from PIL import Image

from aoanet import caption_of_regions, captioner, photo, region_features
from regard import caption
from regard.captions.attention import CaptionAttention
from regard.errors import GeometryError, MediaError, SelectionError
from regard.models.aoanet import Decoding, Features, GridCnn, StoredFeatures, whole_photo_grid
from regard.models.aoanet.cnn import PlainCnn


@pytest.fixture
def found() -> CaptionAttention:
    return caption_of_regions()


def test_steps_have_words_probabilities_and_whole_weights(found: CaptionAttention) -> None:
    steps = len(found.words)
    assert found.words[-1] == "<end>"
    assert found.text == " ".join(found.words[:-1])
    assert len(found.log_probabilities) == steps
    assert found.score == pytest.approx(sum(found.log_probabilities), abs=1e-5)
    assert found.all_weights().shape == (steps, 4, 7)
    # float32 sums of a softmax, then of pixels
    torch.testing.assert_close(found.weights().sum(1), torch.ones(steps), atol=1e-5, rtol=0)
    torch.testing.assert_close(found.heats().nansum((1, 2)), torch.ones(steps), atol=1e-5, rtol=0)
    assert found.heats().shape == (steps, 60, 80)


def test_a_head_is_that_head(found: CaptionAttention) -> None:
    one = found.of(head=2)
    assert torch.equal(one.weights(), found.all_weights()[:, 2])
    assert one.view_words == "head 2"
    with pytest.raises(SelectionError, match="head 4 does not exist"):
        found.of(head=4)


def test_from_input_composes_the_decoder_with_the_refiner(found: CaptionAttention) -> None:
    """By matrices, as Abnar and Zuidema write it."""
    whole = torch.eye(7)
    for call in found.recording["refiner"]:
        whole = (0.5 * call.weights().mean(1)[0] + 0.5 * torch.eye(7)) @ whole
    expected = found.replayed.weights @ whole
    torch.testing.assert_close(found.of(from_input=True).all_weights(), expected)
    with pytest.raises(SelectionError, match="has no refiner"):
        caption_of_regions(refine=0).of(from_input=True)


def test_top_regions_and_entropy(found: CaptionAttention) -> None:
    weights = found.weights()[1]
    top = found.top(1, 3)
    assert [region for region, _ in top] == weights.argsort(descending=True)[:3].tolist()
    by_hand = [-sum(w * math.log(w) for w in row) for row in found.all_weights()[1].tolist()]
    assert found.entropy()[1].tolist() == pytest.approx(by_hand, abs=1e-5)  # float32 logarithms


def test_words_by_name_and_number(found: CaptionAttention) -> None:
    assert found.index(-1) == len(found.words) - 1
    assert found.index(found.words[1]) == 1
    with pytest.raises(SelectionError, match="no word 'zebra' in: "):
        found.index("zebra")
    with pytest.raises(SelectionError, match="does not exist"):
        found.outlines(99)


def test_pictures_say_what_they_show(found: CaptionAttention) -> None:
    panels = found.panels()
    assert panels.lines[0] == found.text
    assert "photo" in panels.lines
    for word, chance in zip(found.words, found.log_probabilities, strict=True):
        assert f"{word} · {math.exp(chance):.0%}" in panels.lines
    assert len(set(panels.scales)) == 1
    assert len(set(found.panels(scale="each").scales)) > 1
    heads = found.heads(0)
    assert sum(line.startswith("head ") for line in heads.lines) == 4
    refiner = found.refiner((25, 15))
    assert refiner.lines[0] == "region 1 looks at"
    assert [line for line in refiner.lines if line.startswith("layer ")] == [
        f"layer {i}" for i in range(6)
    ]
    assert len(refiner.rings) == 7
    assert "Refiner, layer 2: where regions look" in found.refined_regions(2).lines
    with pytest.raises(SelectionError, match="refiner layer 6 does not exist"):
        found.refined_regions(6)
    with pytest.raises(SelectionError, match="has no refiner"):
        caption_of_regions(refine=0).refiner(0)


def test_frames_are_of_one_even_size(found: CaptionAttention) -> None:
    frames = found.frames()
    assert len(frames) == len(found.words)
    (size,) = {frame.size_wh for frame in frames}
    assert not any(side % 2 for side in size)
    bold = [[text.words for text in frame.texts if text.weight == "bold"] for frame in frames]
    assert bold == [[word] for word in found.words]


def test_a_caption_without_words(found: CaptionAttention) -> None:
    empty = next(
        one for one in (caption_of_regions(best=i) for i in range(3)) if one.words == ("<end>",)
    )
    assert empty.text == ""
    assert "(no words)" in empty.panels().lines
    assert "An empty caption" in empty.page()


def test_any_function_gives_features() -> None:
    def extract(picture: Image.Image) -> Features:
        layout = whole_photo_grid((2, 3), (picture.height, picture.width))
        return Features(torch.linspace(-1, 1, 60).view(6, 10), layout)

    (one,) = caption(photo(), model=captioner(), features=extract, decoding=Decoding(beam=2))
    assert one.layout.count == 6
    assert one.page().startswith("<!doctype html>")


def test_a_cnn_gives_cells(tmp_path: Path) -> None:
    network = PlainCnn({"conv1.weight": torch.zeros(10, 3, 3, 3)})
    (one,) = caption(photo(), model=captioner(), features=GridCnn(network, (3, 4)))
    assert one.layout.count == 12
    assert one.heats().isfinite().all()


def test_captions_are_the_best_first() -> None:
    scores = [caption_of_regions(best=i).score for i in range(3)]
    assert scores == sorted(scores, reverse=True)


def test_stored_features_need_a_name(tmp_path: Path) -> None:
    with pytest.raises(GeometryError, match="go by a photo's name"):
        caption(photo(), model=captioner(), features=StoredFeatures(tmp_path))


def test_a_wrong_width_is_refused_with_the_fix() -> None:
    with pytest.raises(GeometryError, match="width 11, the model takes 10"):
        caption(photo(), model=captioner(), features=region_features(11))


def test_no_time_is_refused(found: CaptionAttention, tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="more than 0"):
        found.animate(tmp_path / "x.gif", seconds=0)

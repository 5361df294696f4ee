import json
from pathlib import Path

import pytest
import torch

from aoanet import captioner, folder, tensors
from regard.models.aoanet.decoding import Decoding
from regard.models.aoanet.features import Features, whole_photo_grid
from regard.models.aoanet.loading import load_captioner
from regard.models.aoanet.replay import END_WORD, captions_of
from regard.recording import Recording
from regard.tokens.regions import RegionTokens


def frozen(shared: Path) -> tuple[dict[str, torch.Tensor], Features]:
    io = tensors(folder(shared) / "model_io.safetensors")
    width, height = io["regions/image_wh"].tolist()
    layout = RegionTokens.of(io["regions/boxes"], (height, width))
    return io, Features(io["regions/att_feats"][0], layout)


def test_every_word_shows_its_own_hypothesis(shared: Path) -> None:
    place = folder(shared)
    one = load_captioner(place / "model_legacy.pth", place / "infos_aoanet.pkl")
    io, features = frozen(shared)
    ((best, other, third),) = captions_of(one, [features], Decoding(beam=3), best=3)
    story = json.loads((place / "model.json").read_text())["meta"]["regions"]["beam3"][0]
    assert best.text == story["caption"]
    assert best.words == (*story["caption"].split(), END_WORD)
    # float32 in another order
    torch.testing.assert_close(best.weights, io["regions/beam3.attn"][0, :9], atol=1e-5, rtol=0)
    assert (best.weights - io["regions/beam3.attn_slot0"][0, :9]).abs().max() > 0.5
    assert END_WORD not in other.words  # cut at the greatest length
    assert len(third.words) == len(third.weights) == 12


def test_the_gate_of_each_word(shared: Path) -> None:
    place = folder(shared)
    one = load_captioner(place / "model_legacy.pth", place / "infos_aoanet.pkl")
    io, features = frozen(shared)
    ((found,),) = captions_of(one, [features], Decoding(beam=1))
    gate = io["regions/greedy.step.att2ctx.pre_glu"][0].chunk(2, -1)[1].sigmoid().mean(-1)
    torch.testing.assert_close(found.gate, gate, atol=1e-5, rtol=0)


def test_the_recording_says_what_is_what(shared: Path) -> None:
    place = folder(shared)
    one = load_captioner(place / "model_legacy.pth", place / "infos_aoanet.pkl")
    _, features = frozen(shared)
    ((found,),) = captions_of(one, [features], Decoding(beam=1))
    assert [call.axes["word"] for call in found.recording["core.attention"]] == list(range(6))
    refiner = found.recording["refiner"]
    assert len(refiner) == 6
    assert refiner[0].queries == refiner[0].keys == features.layout
    assert found.recording.unrecorded == []
    assert all(item.error is not None and item.error < 1e-5 for item in found.recording.verify())


def test_the_recording_is_saved_with_its_regions(shared: Path, tmp_path: Path) -> None:
    place = folder(shared)
    one = load_captioner(place / "model_legacy.pth", place / "infos_aoanet.pkl")
    _, features = frozen(shared)
    ((found,),) = captions_of(one, [features], Decoding(beam=2))
    again = Recording.load(found.recording.save(tmp_path / "recording.safetensors"))
    assert again[-1].keys == features.layout
    for ours, theirs in zip(again, found.recording, strict=True):
        assert ours.axes == theirs.axes
        assert torch.equal(ours.weights(), theirs.weights())


@pytest.mark.parametrize(
    "changes",
    [
        {"use_multi_head": 0},
        {"decoder_type": "LSTM"},
        {"decoder_type": "base", "out_res": 1},
        {"refine": 0, "mean_feats": 0},
        {"refine_aoa": 0, "use_ff": 1, "multi_head_scale": 2},
        {"use_bn": 2, "logit_layers": 2},
    ],
)
def test_every_kind_of_model_is_replayed(changes: dict[str, object]) -> None:
    """What replay says of a caption is what decoding said of it."""
    one = captioner(**changes)
    torch.manual_seed(0)
    features = Features(torch.randn(6, 10), whole_photo_grid((2, 3), (20, 30)))
    (found,) = captions_of(one, [features], Decoding(beam=3), best=3)
    for each in found:
        heads = 1 if changes.get("use_multi_head") == 0 else 4
        assert each.weights.shape == (len(each.words), heads, 6)
        ones = torch.ones(len(each.words), heads)
        torch.testing.assert_close(each.weights.sum(-1), ones, atol=1e-6, rtol=0)
        told = torch.tensor([[0, *each.hypothesis.tokens][: len(each.words)]])
        scores = one.network(features.regions[None], told, None, features.regions.mean(0)[None])
        said = (*each.hypothesis.tokens, 0)[: len(each.words)]
        found_again = scores[0, range(len(said)), said].tolist()
        # the beam runs rows together, the replay alone: float32 in another order
        assert found_again == pytest.approx(each.hypothesis.log_probabilities, abs=1e-5)
        assert (each.gate is None) == (changes.get("decoder_type", "AoA") != "AoA")
    assert not one.network.core.att2ctx._forward_hooks

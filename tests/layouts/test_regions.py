"""Tokens that went in as regions, colours or names: the one that is changed is the one named."""

from typing import Any

import pytest
import torch
from torch import nn

import regard
from layouts.models import hush
from layouts.perturbation import change, run
from regard import Recording, RegionTokens, ViewTransform
from regard.zoo import named

VIEW = ViewTransform.identity((48, 80))
BOXES = torch.tensor([[0, 0, 0.5, 0.5], [0.5, 0, 1, 0.25], [0.25, 0.5, 1, 1], [0, 0.75, 0.1, 1]])


def of_zoo(name: str, **inputs: Any) -> tuple[nn.Module, dict[str, Any]]:
    network, given = named(name).build()
    assert isinstance(given, dict)
    return network, {**given, **inputs}


def changed(before: Recording, after: Recording) -> dict[tuple[str, int], torch.Tensor]:
    """How much the keys of each call changed, by layer and step."""
    pairs = zip(before, after, strict=True)
    return {(b.layer, b.axes["step"]): change(b, a, "keys") for b, a in pairs}


def test_regions_lie_where_their_boxes_do() -> None:
    boxes = torch.stack([BOXES, BOXES.flip(0)])
    features = torch.randn(2, 4, 16)
    words = torch.arange(3, 9).repeat(2, 1)
    network, inputs = of_zoo("lxmert", visual_feats=features, visual_pos=boxes, input_ids=words)
    before = run(network, inputs)
    assert regard.lay_out(before, network, inputs, [VIEW, VIEW]) == []
    bright = features.clone()
    bright[1, 2] += 30
    after = run(network, {**inputs, "visual_feats": bright})
    placed = [call for call in before if call.keys.has_places]
    assert len(placed) == 2 + 2 + 2  # self-attention of regions, what words ask, of regions again
    moved = changed(before, after)
    for call in placed:
        assert call.keys.locate(70, 5, picture=1) == (1, 2)
        assert call.keys.part(1).box_xyxy(2) == (40, 0, 80, 12)
        assert int(moved[call.layer, call.axes["step"]][1].argmax()) == 2


def test_words_ask_regions_and_then_regions_ask_words() -> None:
    network, inputs = of_zoo("lxmert", visual_feats=torch.randn(1, 4, 16), visual_pos=BOXES[None])
    recording = run(network, inputs)
    assert regard.lay_out(recording, network, inputs, VIEW) == []
    first, second = recording["encoder.x_layers.0.visual_attention.att"]
    assert isinstance(first.keys, RegionTokens)
    assert not first.queries.has_places
    assert isinstance(second.queries, RegionTokens)
    assert not second.keys.has_places
    assert first.keys.to_pixels(first.received().mean(1)).shape == (1, 48, 80)


def test_regions_of_a_picture_of_unknown_size_are_refused() -> None:
    network, inputs = of_zoo("lxmert", visual_feats=torch.randn(1, 4, 16), visual_pos=BOXES[None])
    recording = run(network, inputs)
    unplaced = regard.lay_out(recording, network, inputs)
    assert {item.layer.split(".")[1] for item in unplaced} == {"r_layers", "x_layers"}
    assert "pass view=ViewTransform.identity((height, width))" in unplaced[0].reason


def test_regions_without_boxes_have_names_only() -> None:
    network, inputs = of_zoo("visual_bert")
    before = run(network, inputs)
    assert regard.lay_out(before, network, inputs) == []
    features = inputs["visual_embeds"].clone()
    features[0, 3] += 30
    after = run(network, {**inputs, "visual_embeds": features})
    keys = before[0].keys
    assert not keys.has_places
    assert keys.name(int(change(before[0], after[0], "keys").argmax())) == "region 4"
    assert keys.name(0) == "text: token 0"


def test_colours_of_pixels_are_words() -> None:
    colours = torch.arange(16)[None] % 7
    network, inputs = of_zoo("imagegpt", input_ids=colours)
    hush(network, "c_proj")
    before = run(network, inputs)
    assert regard.lay_out(before, network, inputs) == []
    for place in (0, 6, 15):
        other = colours.clone()
        other[0, place] = 20
        after = run(network, {"input_ids": other})
        for call, again in zip(before, after, strict=True):
            for axis in ("queries", "keys"):
                tokens = getattr(call, axis)
                found = int(change(call, again, axis).argmax())
                assert found == place == tokens.at(place % 4 + 0.5, place // 4 + 0.5)


CHANGES: dict[str, dict[str, Any]] = {
    "prior": {
        "encoder_hidden_states": (0, 2),
        "proj_embedding": (0,),
        "hidden_states": (0,),
    },
    "stable audio": {"hidden_states": (0, slice(None), 5), "global_hidden_states": (0, 0)},
}
NAMES = {
    "prior": ["text: token 2", "condition", "noisy embedding"],
    "stable audio": ["audio latent 6", "global state"],
}


@pytest.mark.filterwarnings("ignore:.*Transformer2DModelOutput")  # of diffusers
@pytest.mark.parametrize("name", CHANGES)
def test_what_has_no_place_is_known_by_name(name: str) -> None:
    network, inputs = of_zoo(name)
    before = run(network, inputs)
    assert regard.lay_out(before, network, inputs) == []
    call = before[0]
    assert not call.keys.has_places
    for (given, where), expected in zip(CHANGES[name].items(), NAMES[name], strict=True):
        other = inputs[given].clone()
        other[where] += 30
        after = run(network, {**inputs, given: other})
        assert call.keys.name(int(change(call, after[0], "keys").argmax())) == expected


def test_captions_and_what_fills_them_up_are_told_apart() -> None:
    network, inputs = of_zoo("z image")
    recording = run(network, inputs)
    assert regard.lay_out(recording, network, inputs) == []
    keys = recording["layers.0.attention"][0].keys
    assert keys.count == 32 + 32
    assert [keys.name(i) for i in (15, 16, 32, 36, 37)] == [
        *("image 0: row 3, column 3", "padding 16", "text: token 0", "text: token 4", "padding 37")
    ]


def test_several_latents_an_item_are_refused() -> None:
    network, inputs = of_zoo("z image")
    recording = run(network, inputs)
    unplaced = regard.lay_out(recording, network, {**inputs, "x": [inputs["x"]]})
    assert "(the omni mode) have no recipe yet" in unplaced[0].reason

"""`lay_out`: what it says, what it keeps, what it refuses."""

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from torch import nn

import regard
from layouts.models import model, prompt, speaker
from layouts.perturbation import run
from layouts.settings import CLIP_TOWER, SQUARE, SWIN, WIDE
from regard import GridTokens, PointTokens, Recording, ViewTransform, WordTokens
from regard.layouts.table import TABLE


def test_an_unknown_architecture_keeps_indices_and_says_so() -> None:
    network = nn.MultiheadAttention(8, 2, batch_first=True).eval()
    tokens = torch.randn(1, 5, 8)
    with torch.no_grad(), regard.record(network) as recording:
        network(tokens, tokens, tokens)
    (unplaced,) = regard.lay_out(recording, network, {"query": tokens})
    assert unplaced.layer == ""
    assert "no recipe for torch:MultiheadAttention" in unplaced.reason
    assert not recording[0].keys.has_places


def test_a_view_leads_back_to_the_photo() -> None:
    network, pixels, inputs = model("ViT", WIDE)()
    recording = run(network, inputs(pixels))
    view = ViewTransform.identity((96, 160)).resize((48, 80))
    assert regard.lay_out(recording, network, inputs(pixels), view) == []
    keys = recording[0].keys
    assert isinstance(keys, GridTokens)
    assert keys.view == view
    assert keys.at(159, 95) == 60


def test_a_view_of_another_input_is_refused() -> None:
    network, pixels, inputs = model("ViT", WIDE)()
    recording = run(network, inputs(pixels))
    unplaced = regard.lay_out(recording, network, inputs(pixels), ViewTransform.identity((48, 48)))
    assert len(unplaced) == 2
    assert "leads to an input of 48 x 48 px, but the model was given 80 x 48 px" in str(unplaced[0])


def test_each_picture_of_a_batch_has_its_own_view() -> None:
    network, pixels, inputs = model("ViT", WIDE, 2)()
    recording = run(network, inputs(pixels))
    views = [ViewTransform.identity(hw).resize((48, 80)) for hw in ((96, 160), (24, 40))]
    assert regard.lay_out(recording, network, inputs(pixels), views) == []
    keys = recording[0].keys
    assert keys.pictures == (0, 1)
    assert keys.locate(159, 95, picture=0) == (0, 60)
    assert keys.part(1).box_xyxy(60) == (36, 20, 40, 24)


def test_words_name_the_text() -> None:
    ids = prompt(36)
    network, pixels, inputs = speaker("Llava", CLIP_TOWER, ids)()
    recording = run(network, inputs(pixels))
    words = [f"<{i}>" for i in ids[0].tolist()]
    assert regard.lay_out(recording, network, inputs(pixels), words=words) == []
    keys = recording["language_model"][0].keys
    assert keys.name(0) == "text: 0 '<3>'"
    assert keys.name(3) == "image 0: row 0, column 0"
    assert isinstance(WordTokens.of(words), WordTokens)


def test_steps_of_generation_ask_with_the_newest_token() -> None:
    ids = prompt(36)
    network, pixels, inputs = speaker("Llava", CLIP_TOWER, ids, ending="ForConditionalGeneration")()
    given = inputs(pixels)
    generate: Any = network.generate
    with torch.no_grad(), regard.record(network, layers="*language_model*") as recording:
        generate(**given, max_new_tokens=3, min_new_tokens=3, do_sample=False)
    assert regard.lay_out(recording, network, given) == []
    last = recording[-1]
    assert last.shape[2:] == (1, ids.shape[1] + 2)
    assert last.queries.name(0) == last.keys.name(last.keys.count - 1) == "generated 2"
    assert last.keys.name(3) == "image 0: row 0, column 0"


def test_placeholders_that_do_not_fit_are_refused() -> None:
    network, pixels, inputs = speaker("Llava", CLIP_TOWER, prompt(36))()
    recording = run(network, inputs(pixels))
    for ids, reason in (
        (prompt(35), "leaves 35 tokens of a picture"),
        (prompt(36).repeat(2, 1), "a batch of 1, the input has 2 prompts"),
    ):
        unplaced = regard.lay_out(recording, network, inputs(pixels) | {"input_ids": ids})
        assert {item.layer.split(".")[0] for item in unplaced} == {"language_model"}
        assert reason in unplaced[0].reason


def test_layouts_are_saved_with_the_recording(tmp_path: Path) -> None:
    network, pixels, inputs = model("Swin", SWIN)()
    recording = run(network, inputs(pixels))
    regard.lay_out(recording, network, inputs(pixels))
    again = Recording.load(recording.save(tmp_path / "run.safetensors"))
    assert [call.keys for call in again] == [call.keys for call in recording]


def test_kept_patches_are_those_that_the_model_drew() -> None:
    network, pixels, inputs = model("ViTMAE", {**WIDE, "mask_ratio": 0.5}, 2)()
    torch.manual_seed(5)
    with torch.no_grad(), regard.record(network) as recording:
        out = network(**inputs(pixels))
    assert "forward" not in network.embeddings.__dict__
    assert regard.lay_out(recording, network, inputs(pixels)) == []
    keys = recording[0].keys
    for image, mask in enumerate(out.mask):
        seen = {place - 1 for place in keys.part(image).order[1:]}  # type: ignore[attr-defined]
        assert seen == set((mask == 0).nonzero()[:, 0].tolist())


def keypoint_matcher(name: str, **config: Any) -> nn.Module:
    detector = hf.SuperPointConfig(
        encoder_hidden_sizes=[8, 8, 8, 8],
        decoder_hidden_size=8,
        keypoint_decoder_dim=65,
        descriptor_decoder_dim=32,
        keypoint_threshold=0.0,
        max_keypoints=7,
        border_removal_distance=1,
    )
    settings = getattr(hf, f"{name}Config")(keypoint_detector_config=detector, **config)
    network: nn.Module = getattr(hf, f"{name}ForKeypointMatching")(settings)
    return network.eval()


@pytest.mark.parametrize(
    ("name", "config"),
    [
        (
            "LightGlue",
            {
                **{"descriptor_dim": 32, "num_hidden_layers": 2, "num_attention_heads": 4},
                **{"depth_confidence": -1.0, "width_confidence": -1.0},
            },
        ),
        (
            "SuperGlue",
            {
                **{"hidden_size": 32, "keypoint_encoder_sizes": [16, 32]},
                **{"gnn_layers_types": ["self", "cross"], "num_attention_heads": 4},
            },
        ),
    ],
)
def test_keypoints_are_those_that_the_detector_found(name: str, config: dict[str, Any]) -> None:
    network = keypoint_matcher(name, **config)
    pixels = torch.rand(1, 2, 3, 48, 80)
    with torch.no_grad(), regard.record(network) as recording:
        out = network(pixel_values=pixels)
    assert regard.lay_out(recording, network, pixels) == []
    for call in recording:
        cross = call.keys != call.queries
        for image in range(2):
            for tokens, other in ((call.queries, False), (call.keys, cross)):
                part = tokens.part(image)
                found = out.keypoints[0, 1 - image if other else image]
                for i, (x, y) in enumerate(found.tolist()):
                    # a point at the edge stands for the part of its pixel inside the picture;
                    # otherwise equal up to the rounding of float32
                    x, y = max(0.25, x * 80), max(0.25, y * 48)
                    assert part.center_xy(i) == pytest.approx((x, y), abs=0.26)
    assert {call.keys != call.queries for call in recording} == {False, True}
    assert isinstance(PointTokens.of([(1, 1)], ViewTransform.identity((2, 2))), PointTokens)


def test_the_table_names_architectures_of_transformers() -> None:
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

    ours = {name for name in TABLE if ":" not in name}
    assert ours <= set(CONFIG_MAPPING_NAMES) | OUTSIDE


OUTSIDE: set[str] = set()
"""Types of configs that transformers does not list."""


def test_a_model_with_hooks_of_its_own_keeps_them() -> None:
    network, pixels, inputs = model("ViTMAE", {**SQUARE, "mask_ratio": 0.5}, size_hw=(48, 48))()
    embeddings = network.get_submodule("embeddings")
    own = embeddings.__dict__["forward"] = embeddings.forward
    run(network, inputs(pixels))
    assert embeddings.__dict__["forward"] is own

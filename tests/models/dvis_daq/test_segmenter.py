"""Backbone, pixel decoder and predictor against the official code."""

import pytest
import torch

import regard
from dvis_reference import Reference, assert_near
from regard.models.dvis_daq.model import DvisDaq, SegmentedFrames
from regard.models.dvis_daq.predictor import blocked_cells
from regard.recording import Recording

CROSS = "sem_seg_head.predictor.transformer_cross_attention_layers.{}.multihead_attn"
SELF = "sem_seg_head.predictor.transformer_self_attention_layers.{}.self_attn"
# float32 softmax of float32 logits that differ by 1e-5 or so
WEIGHT_TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def recording(reference: Reference) -> Recording:
    model = reference.model()
    with torch.no_grad(), regard.record(model, "sem_seg_head.predictor.*", keep="qk") as recording:
        model(torch.stack(reference.frames))
    return recording


def test_backbone_matches(reference: Reference) -> None:
    model, expected = reference.model(), reference.file("segmenter")
    with torch.no_grad():
        features = model.backbone(torch.stack(reference.frames))
    dense = reference.config["dense_frames"]
    for index, found in enumerate(features):
        name = f"backbone.res{index + 2}"
        assert_near(found[dense], expected[name], name)


def test_pixel_decoder_matches(reference: Reference, segmented: SegmentedFrames) -> None:
    model, expected = reference.model(), reference.file("segmenter")
    dense = reference.config["dense_frames"]
    frames = torch.stack(reference.frames)[dense]
    with torch.no_grad():
        mask_features, levels = model.sem_seg_head.pixel_decoder(model.backbone(frames))
    assert_near(mask_features, expected["pixel_decoder.mask_features"], "mask features")
    for level, found in enumerate(levels):
        name = f"pixel_decoder.multi_scale_features.{level}"
        assert_near(found, expected[name], name)


@pytest.mark.parametrize("layer", [0, 5])
def test_sampling_points_match(reference: Reference, layer: int) -> None:
    model, expected = reference.model(), reference.file("segmenter")
    caught = _catch_sampling(model, layer, torch.stack(reference.frames[:1]))
    prefix = f"pixel_decoder.deform.{layer}"
    for name, found in caught.items():
        assert_near(found[0], expected[f"{prefix}.{name}"], name)


def _catch_sampling(model: DvisDaq, layer: int, frames: torch.Tensor) -> dict[str, torch.Tensor]:
    from regard.models.dvis_daq import deformable

    calls = []
    original = deformable.multi_scale_deformable_attention

    def spy(
        value: object, shapes: object, locations: torch.Tensor, weights: torch.Tensor
    ) -> object:
        calls.append({"sampling_locations": locations, "attention_weights": weights})
        return original(value, shapes, locations, weights)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch, torch.no_grad():
        patch.setattr(deformable, "multi_scale_deformable_attention", spy)
        model(frames)
    return calls[layer]


def test_predictions_match(reference: Reference, segmented: SegmentedFrames) -> None:
    expected, queries = reference.file("segmenter"), segmented.queries
    assert_near(queries.logits[None], expected["predictor.pred_logits"], "logits")
    assert_near(queries.masks.transpose(0, 1)[None], expected["predictor.pred_masks"], "masks")
    assert_near(queries.embeds.permute(2, 0, 1)[None], expected["predictor.pred_embds"], "embeds")


def test_every_layer_predicts_the_same_classes(reference: Reference) -> None:
    head, expected = reference.model().sem_seg_head, reference.file("segmenter")
    with torch.no_grad():
        features = reference.model().backbone(torch.stack(reference.frames))
        mask_features, levels = head.pixel_decoder(features)
        predictions = list(head.predictor.layer_by_layer(levels, mask_features))
    assert len(predictions) == 10  # before the first layer and after each
    for index, found in enumerate(predictions):
        name = f"predictor.layer_logits.{index}"
        assert_near(found.logits, expected[name], name)


@pytest.mark.parametrize("layer", range(9))
def test_decoder_attention_matches(reference: Reference, recording: Recording, layer: int) -> None:
    expected = reference.file("segmenter")
    [call] = recording[CROSS.format(layer)]
    dense = reference.config["dense_frames"]
    weights = call.weights()
    name = f"predictor.cross.{layer}"
    assert_near(weights[dense], expected[f"{name}.attn"], name, WEIGHT_TOLERANCE)
    assert_near(weights.mean(1), expected[f"{name}.attn_headmean"], name, WEIGHT_TOLERANCE)
    assert torch.equal(call.blocked()[:, 0], expected[f"{name}.mask_used"].bool())
    [own] = recording[SELF.format(layer)]
    name = f"predictor.self.{layer}.attn_headmean"
    assert_near(own.weights().mean(1), expected[name], name, WEIGHT_TOLERANCE)


@pytest.mark.parametrize("layer", range(9))
def test_queries_and_keys_match(reference: Reference, recording: Recording, layer: int) -> None:
    [call] = recording[CROSS.format(layer)]
    assert isinstance(call, regard.DotProductAttention)
    dense = reference.config["dense_frames"][:1]
    for kind, kept in (("q", call.scores.q), ("k", call.scores.k)):
        name = f"predictor.cross.{layer}.{kind}"
        assert_near(kept.get()[dense], reference.file("segmenter")[name], name)


@pytest.mark.parametrize("layer", [6, 7, 8])
def test_unmasked_decoder_attention_matches(
    reference: Reference, recording: Recording, layer: int
) -> None:
    [call] = recording[CROSS.format(layer)]
    name = f"predictor.cross.{layer}.attn_unmasked"
    found = call.weights(masked=False)[reference.config["dense_frames"][:1]]
    assert_near(found, reference.file("segmenter")[name], name, WEIGHT_TOLERANCE)


def test_levels_go_from_coarse_to_fine(segmented: SegmentedFrames) -> None:
    assert segmented.level_sizes_hw == ((4, 5), (8, 10), (16, 20))


def test_a_query_that_sees_nothing_may_look_everywhere() -> None:
    masks = torch.full((1, 2, 8, 8), -3.0)
    masks[0, 1, :4, :4] = 3.0
    blocked = blocked_cells(masks, (2, 2))
    assert blocked.tolist() == [[[False] * 4, [False, True, True, True]]]

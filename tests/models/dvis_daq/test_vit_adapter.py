"""ViT-Adapter on DINOv2 against the official code: outputs, attention, sampling points."""

import pytest
import torch

import regard
from dvis_reference import Reference, assert_near
from regard.models.dvis_daq import deformable
from regard.models.dvis_daq.architecture import build_backbone
from regard.models.dvis_daq.vit_adapter import VitAdapter


@pytest.fixture(scope="module")
def adapter(reference: Reference) -> VitAdapter:
    state = {name: x.float() for name, x in reference.file("weights_vit_adapter").items()}
    adapter: VitAdapter = build_backbone(state).eval()
    unused = adapter.load_state_dict(state, strict=False).unexpected_keys
    assert all(name.startswith(("vit_module.norm", "vit_module.mask_token")) for name in unused)
    return adapter


def test_outputs_match(reference: Reference, adapter: VitAdapter) -> None:
    expected = reference.file("vit_adapter")
    with torch.no_grad():
        outputs = adapter(expected["input"])
    for index, found in enumerate(outputs, start=2):
        assert_near(found, expected[f"res{index}"], f"res{index}")


@pytest.mark.parametrize("block", [0, 3, 7])
def test_attention_matches(reference: Reference, adapter: VitAdapter, block: int) -> None:
    expected = reference.file("vit_adapter")
    layer = f"vit_module.blocks.{block}.attn"
    with torch.no_grad(), regard.record(adapter, layer) as recording:
        adapter(expected["input"])
    name = f"vit.blocks.{block}"
    [call] = recording
    assert_near(call.weights(), expected[f"{name}.attn"], name, 1e-5)  # float32 softmax
    assert isinstance(call, regard.DotProductAttention)
    assert_near(call.scores.q.get(), expected[f"{name}.q"], f"{name}.q")
    assert_near(call.scores.k.get(), expected[f"{name}.k"], f"{name}.k")


def test_sampling_points_match(
    reference: Reference, adapter: VitAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, calls = reference.file("vit_adapter"), []
    original = deformable.multi_scale_deformable_attention

    def spy(
        value: object, shapes: object, locations: torch.Tensor, weights: torch.Tensor
    ) -> object:
        calls.append((locations[:1], weights[:1]))
        return original(value, shapes, locations, weights)  # type: ignore[arg-type]

    monkeypatch.setattr(deformable, "multi_scale_deformable_attention", spy)
    with torch.no_grad():
        adapter(expected["input"])
    readers = [f"{stage}.extractor" for stage in range(4)]
    readers += [f"3.extra_extractors.{index}" for index in range(2)]
    for reader, (locations, weights) in zip(readers, calls, strict=True):
        prefix = f"interactions.{reader}.attn"
        assert_near(locations, expected[f"{prefix}.sampling_locations"], reader)
        assert_near(weights, expected[f"{prefix}.attention_weights"], reader, 1e-5)

"""The guide's calls, on a model of its own kind: PartCrafter's transformer, tiny."""

import copy
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

from regard.errors import SelectionError
from regard.models.partcrafter.attention import InterleavedAttention
from regard.models.partcrafter.transformer import PartTransformer, TransformerConfig
from regard.tools.attention_visualizer import (
    AttentionVisualizer,
    process_batch,
    stability_over_steps,
    statistics,
    weights_by_part,
)

PARTS = 3


@pytest.fixture
def model() -> PartTransformer:
    config = TransformerConfig(
        num_attention_heads=4,
        width=32,
        in_channels=8,
        num_layers=3,
        cross_attention_dim=16,
        max_num_parts=8,
        global_attn_block_ids=(0, 2),
    )
    return PartTransformer(config).eval()


@pytest.fixture
def inputs() -> dict[str, object]:
    return {
        "latents": torch.randn(PARTS, 5, 8),
        "timestep": torch.full((PARTS,), 500.0),
        "image": torch.randn(PARTS, 10, 16),
        "parts": [PARTS],
    }


def run(model: PartTransformer, inputs: dict[str, object]) -> Tensor:
    with torch.no_grad():
        out: Tensor = model(**inputs)
    return out


def test_the_guides_first_example(
    model: PartTransformer, inputs: dict[str, object], tmp_path: Path
) -> None:
    before, plain = copy.deepcopy(model.state_dict()), run(model, inputs)
    visualizer = AttentionVisualizer()
    visualizer.register_hooks(model)
    assert torch.equal(run(model, inputs), plain)
    visualizer.clear_hooks()
    maps = visualizer.attention_maps
    assert list(maps) == [f"blocks.{i}.attn2" for i in range(3)]
    for name, weights in maps.items():
        visualizer.visualize_attention_heatmap(
            weights, tmp_path / f"heatmap_{name}.png", title=name
        )
        visualizer.visualize_multi_head_attention(weights, tmp_path / f"multihead_{name}.png")
        visualizer.visualize_part_attention(weights, PARTS, tmp_path / f"parts_{name}.png")
    pictures = list(tmp_path.iterdir())
    assert len(pictures) == 9
    for path in pictures:
        with Image.open(path) as picture:
            assert picture.width > 200
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_weights_are_those_of_every_head(model: PartTransformer, inputs: dict[str, object]) -> None:
    seen: dict[str, Tensor] = {}

    def keep(module: torch.nn.Module, given: tuple[Tensor, ...], out: Tensor) -> None:
        seen["in"], seen["image"], seen["out"] = given[0], given[1], out

    attention = model.get_submodule("blocks.1.attn2")
    assert isinstance(attention, InterleavedAttention)
    handle = attention.register_forward_hook(keep)
    weights = AttentionVisualizer().extract_attention_weights(
        model,
        inputs["latents"],
        layer_idx=1,
        timestep=inputs["timestep"],
        image=inputs["image"],
        parts=inputs["parts"],
    )
    handle.remove()
    assert list(weights) == ["blocks.1.attn2"]
    joined = torch.cat([attention.to_k(seen["image"]), attention.to_v(seen["image"])], -1)
    values = joined.reshape(PARTS, 10, 4, 16)[..., 8:].transpose(1, 2)
    mixed = (weights["blocks.1.attn2"] @ values).transpose(1, 2).flatten(2)
    torch.testing.assert_close(attention.to_out[0](mixed), seen["out"])


def test_local_and_global_weights_divide_into_parts(
    model: PartTransformer, inputs: dict[str, object]
) -> None:
    with AttentionVisualizer() as visualizer:
        visualizer.register_hooks(model)
        run(model, inputs)
    maps = visualizer.attention_maps
    assert maps["blocks.0.attn2"].shape == (1, 4, 18, 10)
    assert maps["blocks.1.attn2"].shape == (3, 4, 6, 10)
    for weights in maps.values():
        by_part = weights_by_part(weights, PARTS)
        assert by_part.shape == (PARTS, 10)
        torch.testing.assert_close(by_part.sum(-1), torch.ones(PARTS))
    guided = AttentionVisualizer(guided=True)
    guided.recording = visualizer.recording
    assert guided.attention_maps["blocks.1.attn2"].shape == (2, 4, 6, 10), "the last of the rows"
    torch.testing.assert_close(guided.over_steps("blocks.1.attn2"), [maps["blocks.1.attn2"][1:]])
    with pytest.raises(SelectionError, match="do not divide into 7 parts"):
        weights_by_part(maps["blocks.0.attn2"], 7)


def test_an_animation_has_a_frame_a_step(
    model: PartTransformer, inputs: dict[str, object], tmp_path: Path
) -> None:
    with AttentionVisualizer() as visualizer:
        visualizer.register_hooks(model)
        for _ in range(3):
            run(model, inputs)
            inputs["latents"] = torch.randn(PARTS, 5, 8)
        sequence = [call.weights() for call in visualizer.recording.find("blocks.2.attn2")]
    visualizer.create_attention_animation(sequence, tmp_path / "attention.gif", fps=4)
    with Image.open(tmp_path / "attention.gif") as gif:
        assert gif.n_frames == 3  # type: ignore[attr-defined]
    assert len(stability_over_steps(sequence)) == 2


def test_statistics_know_uniform_and_collapsed() -> None:
    uniform = statistics(torch.full((1, 2, 3, 257), 1 / 257))
    assert uniform["relative_entropy"] == pytest.approx(1, abs=1e-6)
    assert uniform["uniformity"] == pytest.approx(1, abs=1e-5)
    assert uniform["sparsity"] == 0, "the guide's fixed threshold would say 1"
    assert uniform["collapse"] == 0
    one = torch.zeros(1, 1, 3, 257)
    one[..., 5] = 1
    collapsed = statistics(one)
    assert collapsed["collapse"] == 1
    assert collapsed["entropy"] == pytest.approx(0, abs=1e-6)
    assert collapsed["times_uniform"] == pytest.approx(257)


def test_hooks_may_be_cleared_without_a_run(model: PartTransformer) -> None:
    visualizer = AttentionVisualizer()
    visualizer.register_hooks(model)
    visualizer.clear_hooks()
    visualizer.clear_hooks()
    assert visualizer.attention_maps == {}


def test_batches_are_recorded_one_by_one(model: PartTransformer, inputs: dict[str, object]) -> None:
    recordings = list(process_batch(model, [inputs, inputs], "*.attn2"))
    assert [len(recording) for recording in recordings] == [3, 3]


def test_an_unknown_block_is_told(model: PartTransformer, inputs: dict[str, object]) -> None:
    with pytest.raises(SelectionError, match="no block 9"):
        AttentionVisualizer().extract_attention_weights(
            model,
            inputs["latents"],
            layer_idx=9,
            timestep=inputs["timestep"],
            image=inputs["image"],
            parts=inputs["parts"],
        )

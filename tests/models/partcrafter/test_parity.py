"""Every number of the official pipeline, from pixels to meshes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import regard
from regard.models.partcrafter.checkpoint import PartCrafter
from regard.models.partcrafter.denoise import denoise, image_tokens
from regard.models.partcrafter.flow import RectifiedFlow
from regard.models.partcrafter.photo import ObjectPhoto
from regard.models.partcrafter.surface import skin

EXACT = 5e-5
"""The reference ran on another build of torch; it differs from itself by this over four steps."""


def close(found: Tensor, expected: Tensor, atol: float = EXACT) -> None:
    torch.testing.assert_close(found, expected, rtol=0, atol=atol)


@pytest.fixture(scope="session")
def photo(parity: Path) -> ObjectPhoto:
    return ObjectPhoto.whole(Image.open(parity / "image.png").convert("RGB"))


def run(model: PartCrafter, official: dict[str, Tensor], **options: Any) -> list[Tensor]:
    latents = [official["latents"][0]]
    flow = RectifiedFlow.from_json(4, model.schedule)
    denoise(
        model,
        official["image_embeds"],
        latents[0],
        flow,
        on_step=lambda _, x: latents.append(x),
        **options,
    )
    return latents


def test_pixels_and_image_tokens(
    model: PartCrafter, photo: ObjectPhoto, official: dict[str, Tensor]
) -> None:
    close(model.preprocessing.tensor(photo.picture), official["pixel_values"], 1e-6)
    with regard.record(model.encoder) as recording:
        close(image_tokens(model, photo), official["image_embeds"], 1e-5)
    for index, call in enumerate(recording):
        name = f"image_encoder_dinov2.encoder.layer.{index}.attention.attention.attn"
        close(call.weights(), official[name], 1e-5)


def test_the_model_sees_the_box_that_the_reference_names(
    model: PartCrafter, photo: ObjectPhoto, config: dict[str, Any]
) -> None:
    seen = model.preprocessing.view((280, 336)).seen_box_xyxy
    assert seen == pytest.approx(config["meta"]["crop_box_xyxy_in_image"])
    assert photo.view.original_hw == (280, 336)


def test_the_schedule(official: dict[str, Tensor]) -> None:
    flow = RectifiedFlow(4)
    assert torch.equal(flow.sigmas, official["sigmas"])
    assert torch.equal(flow.timesteps, official["timesteps"])


def test_latents_of_every_step(model: PartCrafter, official: dict[str, Tensor]) -> None:
    close(torch.stack(run(model, official)), official["latents"])


def test_without_guidance(model: PartCrafter, official: dict[str, Tensor]) -> None:
    close(run(model, official, guidance=1.0)[-1], official["noguidance.latents_final"])


def test_queries_keys_and_attention_of_every_call(
    model: PartCrafter, official: dict[str, Tensor]
) -> None:
    with regard.record(model.transformer, keep="qk") as recording:
        run(model, official)
    assert len(recording) == 4 * 5 * 2
    for call in recording:
        assert isinstance(call, regard.DotProductAttention)
        name = f"step{call.axes['forward']}/{call.layer}"
        close(call.scores.q.get(), official[f"{name}.q"])
        if call.layer.endswith("attn1"):
            close(call.scores.k.get(), official[f"{name}.k"])
        else:
            close(call.scores.k.get(), official[f"{call.layer}.k"])
        if f"{name}.attn" in official:
            close(call.weights(), official[f"{name}.attn"])
    assert all(error.error is not None and error.error < 1e-5 for error in recording.verify())


def test_block_outputs(model: PartCrafter, official: dict[str, Tensor]) -> None:
    outputs: list[Tensor] = []
    handles = [
        block.register_forward_hook(lambda _module, _inputs, out: outputs.append(out))
        for block in model.transformer.blocks
    ]
    run(model, official)
    for handle in handles:
        handle.remove()
    for index, out in enumerate(outputs[:5]):  # of the first step
        close(out, official[f"blocks.{index}.out"])


def test_objects_with_different_numbers_of_parts(
    model: PartCrafter, official: dict[str, Tensor]
) -> None:
    counts = official["tensor_parts.num_parts"]
    with torch.no_grad():
        out = model.transformer(
            official["tensor_parts.hidden"],
            official["tensor_parts.timestep"],
            official["tensor_parts.encoder_unique"].repeat_interleave(counts, 0),
            counts.tolist(),
            torch.cat([torch.arange(int(count)) for count in counts]),
        )
    close(out, official["tensor_parts.out"])


def test_field_and_its_attention(model: PartCrafter, official: dict[str, Tensor]) -> None:
    with torch.no_grad(), regard.record(model.decoder, keep="weights") as recording:
        values = model.decoder(official["latents"][-1], official["vae.points"])
    close(values, official["vae.logits"], 1e-5)
    close(recording[-1].weights(), official["vae.decoder.last.attn2.attn"], 1e-5)
    for index, call in enumerate(recording[:-1]):
        expected = official[f"vae.decoder.blocks.{index}.attn1.part0.attn"]
        close(call.weights()[:1], expected, 1e-5)


@pytest.mark.parametrize("part", [1, 2])  # part 0 went through upstream's top-k shortcut
def test_meshes(model: PartCrafter, official: dict[str, Tensor], part: int) -> None:
    """The same surface, but for upstream's scaling, which is short by a cell at the far side."""
    axis = torch.linspace(-1.005, 1.005, 32)
    points = torch.cartesian_prod(axis, axis, axis)
    with torch.no_grad():
        values = model.decoder(official["latents"][-1][part : part + 1], points[None])
    mesh = skin(values.reshape(32, 32, 32))
    assert mesh is not None
    # upstream's run clockwise, so that viewers light them from inside
    assert np.array_equal(mesh.faces[:, ::-1], official[f"mesh.{part}.faces"].numpy())
    cells = (mesh.vertices + 1.005) / 2.01 * 31
    upstream = cells / 32 * 2.01 - 1.005
    # a value that is off by 1e-6 moves a vertex by that over the field's slope
    np.testing.assert_allclose(upstream, official[f"mesh.{part}.vertices"], rtol=0, atol=5e-5)

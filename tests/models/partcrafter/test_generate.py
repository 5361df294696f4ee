"""Attention of parts on the photo, over the frozen run of the official pipeline."""

import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from torch import Tensor

import regard.parts.generation
from regard.errors import CheckpointError, InputError, ModelNotFound, SelectionError
from regard.models.partcrafter.checkpoint import GenerationDefaults, PartCrafter, load
from regard.models.partcrafter.photo import ObjectPhoto
from regard.parts.generation import Generation, generate

TINY: dict[str, Any] = {"steps": 4, "tokens": 16, "depth": 5, "coarse_depth": None}


@pytest.fixture(scope="module")
def generation(model: PartCrafter, official: dict[str, Tensor], parity: Path) -> Generation:
    """The run of the reference: its noise, its photo."""
    patch = pytest.MonkeyPatch()
    patch.setattr(regard.parts.generation, "noise", lambda *_: official["latents"][0])
    made = generate(
        parity / "image.png", 3, model=model, **TINY, between_parts=True, keep_steps=(0, -1)
    )
    patch.undo()
    return made


def test_maps_of_every_step_layer_and_part(
    generation: Generation, official: dict[str, Tensor]
) -> None:
    found = generation.attention
    patches = found.means[..., 1:].mean(3).reshape(4, 5, 3, 16, 16)
    torch.testing.assert_close(patches, official["ref.part_heatmap"], rtol=0, atol=1e-6)
    torch.testing.assert_close(found.class_mass, official["ref.cls_mass"], rtol=0, atol=1e-6)
    assert found.between is not None
    torch.testing.assert_close(found.between, official["ref.part_to_part"], rtol=0, atol=5e-6)
    assert found.layouts == ("global", "local", "global", "local", "global")


def test_entropies_are_those_of_the_tokens_rows(
    generation: Generation, official: dict[str, Tensor]
) -> None:
    rows = official["step0/blocks.1.attn2.attn"][3:, :, 1:]  # a local block, rows with the image
    expected = -torch.xlogy(rows, rows).sum(-1).mean(-1)
    found = generation.attention.entropies[0, 1]
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    assert bool((found < math.log(257)).all())


def test_what_was_kept_gives_every_token_of_every_part(
    generation: Generation, official: dict[str, Tensor]
) -> None:
    kept = generation.attention.recording
    assert len(kept) == 2 * 5 * 3
    for step in (0, 3):
        for part in range(3):
            call = kept.find("blocks.2.attn2", step=step, part=part)[0]
            assert call.axes["timestep"] == 1000 - 250 * step
            assert call.axes["sigma"] == 1 - 0.25 * step
            rows = official[f"step{step}/blocks.2.attn2.attn"][1:, :, 17 * part : 17 * part + 17]
            torch.testing.assert_close(call.weights(), rows, rtol=0, atol=5e-5)
            call = kept.find("blocks.1.attn2", step=step, part=part)[0]
            rows = official[f"step{step}/blocks.1.attn2.attn"][3 + part]
            torch.testing.assert_close(call.weights()[0], rows, rtol=0, atol=5e-5)


def test_keys_of_a_layer_are_stored_once(generation: Generation) -> None:
    queries, keys = 3 * 4 * 17 * 16 * 4, 4 * 257 * 16 * 4
    assert generation.attention.recording.nbytes == 2 * 5 * queries + 5 * keys


def test_the_map_lies_on_what_the_model_saw(generation: Generation) -> None:
    heat = generation.attention.heat(between="cells")
    assert heat.shape == (3, 280, 336)
    left, top, right, bottom = 44.87, 17.5, 290.03, 262.5
    seen = heat[0].isfinite()
    rows, columns = seen.any(1).nonzero(), seen.any(0).nonzero()
    assert (int(columns.min()), int(columns.max())) == (int(left), int(right))
    assert (int(rows.min()), int(rows.max())) == (int(top), int(bottom))
    on_photo = 1 - generation.attention.weights()[:, 0]
    torch.testing.assert_close(heat.nansum((1, 2)), on_photo, rtol=1e-5, atol=0)


def test_choices_average_to_the_whole(generation: Generation) -> None:
    found = generation.attention
    by_step = torch.stack([found.weights(steps=step) for step in range(4)]).mean(0)
    torch.testing.assert_close(by_step, found.weights())
    by_head = torch.stack([found.weights(heads=head) for head in range(4)]).mean(0)
    torch.testing.assert_close(by_head, found.weights())
    centred = found.heat(size_hw=(28, 34), centred=True).nansum(0)
    torch.testing.assert_close(centred, torch.zeros_like(centred), rtol=0, atol=1e-6)
    with pytest.raises(SelectionError, match="step 4 does not exist"):
        found.weights(steps=4)


def test_a_point_divides_among_parts(generation: Generation) -> None:
    shares = generation.attention.part_at(168, 140)
    assert shares.shape == (3,)
    assert float(shares.sum()) == pytest.approx(1)


def test_guidance_off_watches_the_rows_there_are(
    model: PartCrafter, parity: Path, generation: Generation
) -> None:
    plain = generate(parity / "image.png", 3, model=model, **TINY, guidance=1.0)
    weights = plain.attention.weights()
    torch.testing.assert_close(weights.sum(-1), torch.ones(3))
    assert float(weights.std()) > 0, "rows without the image would be uniform"
    assert not torch.allclose(weights, generation.attention.weights(), atol=1e-5)


def test_layers_that_read_no_image_are_named_and_not_drawn(
    folder: Path, parity: Path, tmp_path: Path
) -> None:
    shutil.copytree(folder, tmp_path / "model")
    path = tmp_path / "model" / "transformer" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "enable_local_cross_attn": False}))
    made = generate(parity / "image.png", 2, model=tmp_path / "model", **TINY)
    assert made.attention.blocks == (0, 2, 4)
    assert made.attention.blind_blocks == (1, 3)


def test_a_model_that_reads_no_image_is_told_before_it_runs(
    folder: Path, parity: Path, tmp_path: Path
) -> None:
    shutil.copytree(folder, tmp_path / "model")
    path = tmp_path / "model" / "transformer" / "config.json"
    off = {"enable_local_cross_attn": False, "enable_global_cross_attn": False}
    path.write_text(json.dumps({**json.loads(path.read_text()), **off}))
    steps: list[int] = []
    with pytest.raises(InputError, match="no layer of this model reads the image"):
        generate(
            parity / "image.png",
            2,
            model=tmp_path / "model",
            **TINY,
            on_step=lambda done, _: steps.append(done),
        )
    assert steps == []


def test_progress_seed_and_errors(model: PartCrafter, parity: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    first = generate(
        parity / "image.png", 2, model=model, **TINY, on_step=lambda *step: told.append(step)
    )
    again = generate(parity / "image.png", 2, model=model, **TINY)
    other = generate(parity / "image.png", 2, model=model, **TINY, seed=1)
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert torch.equal(first.latents, again.latents)
    assert not torch.equal(first.latents, other.latents)
    with pytest.raises(InputError, match="expected 1 to 4 with guidance"):
        generate(parity / "image.png", 5, model=model, **TINY)
    with pytest.raises(InputError, match="expected 1 to 8"):
        generate(parity / "image.png", 9, model=model, **TINY, guidance=1.0)
    with pytest.raises(InputError, match="guidance is nan"):
        generate(parity / "image.png", 2, model=model, **TINY, guidance=math.nan)
    with pytest.raises(SelectionError, match=r"matches 'nope'; there are: blocks\.0\.attn2, "):
        generate(parity / "image.png", 2, model=model, **TINY, keep_layers="nope")
    with pytest.raises(SelectionError, match="step 9"):
        generate(parity / "image.png", 2, model=model, **TINY, keep_steps=(9,))
    with pytest.raises(ModelNotFound, match=r"transformer/config\.json"):
        generate(parity / "image.png", 2, model=tmp_path, **TINY)


def test_a_checkpoint_says_how_it_is_run(folder: Path, parity: Path, tmp_path: Path) -> None:
    assert load(folder).defaults == GenerationDefaults(steps=50, guidance=7, tokens=1024, depth=8)
    shutil.copytree(folder, tmp_path / "model")
    told = tmp_path / "model" / "generation_config.json"
    told.write_text(json.dumps({"steps": 2, "guidance": 1.0, "tokens": 5, "depth": 3}))
    made = generate(parity / "image.png", 2, model=tmp_path / "model")
    assert made.guidance == 1
    assert made.attention.means.shape[0] == 2
    assert made.latents.shape == (2, 5, 8)
    other = generate(parity / "image.png", 2, model=tmp_path / "model", steps=3, tokens=4)
    assert other.attention.means.shape[0] == 3
    assert other.latents.shape == (2, 4, 8)
    told.write_text(json.dumps({"strides": 2}))
    with pytest.raises(CheckpointError, match=r"generation_config\.json is not understood"):
        load(tmp_path / "model")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(folder: Path, parity: Path, dtype: torch.dtype) -> None:
    made = generate(parity / "image.png", 3, model=load(folder, dtype=dtype), **TINY)
    assert made.latents.dtype == dtype
    weights = made.attention.weights()
    # rounding to 11 and 8 bits
    torch.testing.assert_close(weights.sum(-1), torch.ones(3), rtol=0, atol=2e-3)
    plain = generate(parity / "image.png", 3, model=load(folder), **TINY)
    torch.testing.assert_close(weights, plain.attention.weights(), rtol=0.2, atol=2e-4)


def test_a_mask_cuts_the_object_out_and_maps_go_back_to_the_photo() -> None:
    pixels = np.full((100, 160, 3), 90, np.uint8)
    pixels[20:60, 30:130] = 200
    mask = np.zeros((100, 160), np.uint8)
    mask[20:60, 30:130] = 255
    cut = ObjectPhoto.cut_out(Image.fromarray(pixels), Image.fromarray(mask))
    assert cut.picture.size == (120, 120), "10 % of the longer side around"
    inside = np.asarray(cut.picture)
    assert (inside[60, 60] == 200).all()
    assert (inside[5, 5] == 255).all()
    assert cut.view.to_original(10.0, 40.0) == (30.0, 20.0), "the object's corner"
    with pytest.raises(InputError, match="marks no object"):
        ObjectPhoto.cut_out(Image.fromarray(pixels), Image.new("L", (160, 100)))


def _ellipse(photo: Image.Image, mode: str) -> Image.Image:
    drawn = Image.new("L", photo.size)
    ImageDraw.Draw(drawn).ellipse((60, 80, 300, 240), fill=255)
    if mode == "RGBA":
        cut = photo.convert("RGBA")
        cut.putalpha(drawn)
        return cut
    return drawn.convert(mode)


@pytest.mark.parametrize("mode", ["L", "RGBA", "1"])
def test_a_function_removes_the_background(model: PartCrafter, parity: Path, mode: str) -> None:
    shown = Image.open(parity / "image.png").convert("RGB")
    by_mask = generate(shown, 1, model=model, **TINY, mask=_ellipse(shown, "L"))
    made = generate(
        parity / "image.png",
        1,
        model=model,
        **TINY,
        remove_background=lambda photo: _ellipse(photo, mode),
    )
    assert made.photo.picture.tobytes() == by_mask.photo.picture.tobytes()
    assert torch.equal(made.latents, by_mask.latents)
    assert made.attention.keys.seen_box_xyxy == by_mask.attention.keys.seen_box_xyxy


def test_what_is_no_mask_is_told(model: PartCrafter, parity: Path) -> None:
    photo = parity / "image.png"
    with pytest.raises(InputError, match="gave RGB; expected a PIL picture"):
        generate(photo, 1, model=model, **TINY, remove_background=lambda picture: picture)
    with pytest.raises(InputError, match="gave ndarray"):
        generate(photo, 1, model=model, **TINY, remove_background=np.asarray)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="expected one of them"):
        generate(
            photo,
            1,
            model=model,
            **TINY,
            mask=Image.new("L", (336, 280), 255),
            remove_background=lambda picture: picture,
        )

"""What a generation leaves in a folder, from Python and from the command line."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import regard
from command_line import on_terminal
from regard.analysis.parts import relative_entropy
from regard.cli import main
from regard.errors import MediaError, SelectionError
from regard.models.partcrafter.checkpoint import PartCrafter
from regard.parts.files import save
from regard.parts.generation import Generation, generate
from regard.parts.pictures import (
    draw_between_parts,
    draw_class_mass,
    draw_entropy,
    draw_guidance,
    draw_over_layers,
    draw_over_steps,
    draw_part_owners,
    draw_parts,
    draw_point,
    draw_token,
    step_frames,
)
from regard.parts.surface import pixels_of_points
from regard.render import Look


@pytest.fixture(scope="module")
def made(model: PartCrafter, parity: Path) -> Generation:
    return generate(
        parity / "image.png", 3, model=model, steps=3, tokens=16, depth=4, between_parts=True
    )


def test_save_writes_pictures_numbers_and_the_recording(made: Generation, tmp_path: Path) -> None:
    written = save(made, tmp_path / "new" / "folder")
    names = {path.name for path in written}
    assert {"parts.png", "owners.png", "between_parts.png", "attention.npz"} <= names
    assert all(path.stat().st_size > 0 for path in written)
    with np.load(tmp_path / "new" / "folder" / "attention.npz") as arrays:
        assert arrays["means"].shape == (3, 5, 3, 4, 257)
        np.testing.assert_allclose(arrays["means"].sum(-1), 1, rtol=1e-5)
        assert arrays["layouts"].tolist() == ["global", "local", "global", "local", "global"]
    loaded = regard.Recording.load(tmp_path / "new" / "folder" / "recording.safetensors")
    call = loaded.find("blocks.1.attn2", step=2, part=1, layout="local")[0]
    again = made.attention.recording.find("blocks.1.attn2", step=2, part=1)[0]
    assert call.weights().equal(again.weights())
    told = json.loads((tmp_path / "new" / "folder" / "generation.json").read_text())
    assert told["parts"] == 3
    for part in told["attention"]:
        assert 0 < part["relative_entropy"] <= 1
        assert part["times_uniform"] > 1
        assert part["overlap_with_parts"][part["part"]] == 1


def test_save_says_where_it_cannot_write(made: Generation, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MediaError, match="cannot write into"):
        save(made, tmp_path / "file")


def test_pictures_name_what_they_show(made: Generation) -> None:
    lines = draw_parts(made, layers=[0, 1]).lines
    assert "What each part looks at" in lines
    assert "mean over their latent tokens; layers 0 and 1, all steps and heads" in lines
    assert "reads" in draw_between_parts(made).lines
    assert "Part 1, time" in draw_token(made, 1, 0, layer="blocks.4.attn2", step=2).lines


def test_strips_name_their_steps_layers_and_parts(made: Generation) -> None:
    steps = draw_over_steps(made, heads=1).lines
    assert {"step 0", "1", "2", "part 0", "part 2"} <= set(steps)
    assert "the square that the model saw; 3 denoising steps, head 1, all layers" in steps
    layers = draw_over_layers(made, steps=-1).lines
    assert {"block 0 global", "block 1 local", "part 1"} <= set(layers)
    assert any("step -1, all heads" in line for line in layers)
    owners = draw_part_owners(made, layers=[3]).lines
    assert any("layer 3, all steps and heads" in line for line in owners)


def test_films_over_steps_have_one_scale(made: Generation) -> None:
    high = max(draw_parts(made, steps=step).scales[0].high for step in range(3))
    frames = step_frames(made)
    assert len(frames) == 3
    for step, frame in enumerate(frames):
        alone = draw_parts(made, steps=step, look=Look(high=high))
        assert frame.tobytes() == alone.image.tobytes()


def test_strips_show_the_square_that_the_model_saw(made: Generation) -> None:
    """Small objects in wide photos would be a few pixels otherwise."""
    unseen = "outside the model's view"
    assert unseen in draw_parts(made).lines
    for picture in (draw_over_steps(made), draw_over_layers(made)):
        assert unseen not in picture.lines


def test_matrices_have_a_cell_for_each_layer_and_step(made: Generation) -> None:
    mass = made.attention.means[..., 0].mean((2, 3))
    for draw, highest in (
        (draw_entropy, relative_entropy(made.attention.means.mean((2, 3))).max()),
        (draw_class_mass, mass.max()),
    ):
        picture = draw(made)
        assert {"layer", "step", "0", "2", "block 4 global"} <= set(picture.lines)
        assert picture.scales[0].high == pytest.approx(float(highest))


def test_a_point_of_the_surface_says_that_it_is_an_attribution(
    made: Generation, model: PartCrafter
) -> None:
    picture = draw_point(model, made, 1, (0.25, 0.0, -0.5), layers="blocks.4.*")
    assert "Part 1, the point 0.25, 0.00, -0.50" in picture.lines
    assert any(line.startswith("an attribution, not a proof") for line in picture.lines)
    weights = pixels_of_points(model, made, 1, torch.tensor([[0.25, 0.0, -0.5]]), layers="*4.*")
    assert f"{weights[0, 0]:.0%} on class token" in picture.lines


def test_guidance_on_and_off_compare(made: Generation, model: PartCrafter, parity: Path) -> None:
    plain = generate(
        parity / "image.png", 3, model=model, steps=3, tokens=16, depth=3, guidance=1.0
    )
    lines = draw_guidance(made, plain).lines
    assert {"guidance 7", "guidance 1", "part 2"} <= set(lines)
    other = generate(parity / "image.png", 3, model=model, steps=3, tokens=16, depth=3, seed=1)
    with pytest.raises(SelectionError, match="seeds 0 and 1"):
        draw_guidance(made, other)


def test_the_command(
    folder: Path, parity: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cut = Image.open(parity / "image.png").convert("RGBA")
    alpha = np.zeros((280, 336), np.uint8)
    alpha[80:240, 60:300] = 255
    cut.putalpha(Image.fromarray(alpha))
    cut.save(tmp_path / "cut out.png")
    arguments = ["--parts", "1", "--model", str(folder), "--steps", "2", "--tokens", "16"]
    arguments += ["--depth", "4", "--out", str(tmp_path / "out"), "--keep-layers", "blocks.4.*"]
    with pytest.raises(SystemExit) as ended:
        main(["generate", str(tmp_path / "cut out.png"), *arguments])
    said = capsys.readouterr()
    told = json.loads((tmp_path / "out" / "cut out" / "generation.json").read_text())
    assert ended.value.code == (1 if told["parts_without_surface"] else 0), said.err
    assert "(1 part, " in said.out
    left, top, right, bottom = told["seen_box_xyxy"]
    assert left == pytest.approx(180 - 126, abs=1), "the object with 5 % around it"
    assert right == pytest.approx(180 + 126, abs=1)
    kept = regard.Recording.load(tmp_path / "out" / "cut out" / "recording.safetensors")
    assert kept.layers == ["blocks.4.attn2"]
    assert bottom > top


def test_films_that_cannot_be_written_are_told_before_the_model_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    arguments = ["--parts", "1", "--model", "gone", "--out", str(tmp_path / "out")]
    with pytest.raises(SystemExit) as ended:
        main(["generate", "photo.png", *arguments])
    assert ended.value.code == 1
    assert "moving pictures need PyAV" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ((), "no transformer/config.json"),
        (("--parts", "0"), "parts"),
        (("--depth", "11"), "depth"),
    ],
)
def test_bad_arguments_are_told(tmp_path: Path, changes: tuple[str, ...], message: str) -> None:
    (tmp_path / "empty").mkdir()
    base = ["--parts", "2"] if "--parts" not in changes else []
    done = on_terminal(
        "generate",
        "photo.png",
        *base,
        *changes,
        "--model",
        str(tmp_path / "empty"),
        "--out",
        str(tmp_path / "out"),
    )
    assert done.code in (1, 2)
    assert message in " ".join(done.out.split())
    assert not (tmp_path / "out").exists()

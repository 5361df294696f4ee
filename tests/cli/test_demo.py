"""`regard demo`: every kind of picture."""

import re
from pathlib import Path
from typing import Any

import pytest

import regard.models.registry
from command_line import Run

DEMO = (
    "attn_map_layer_1_encoder.layer.1.attention.png",
    "heads_layer_1_encoder.layer.1.attention.png",
    "heatmap_layer_1_encoder.layer.1.attention.png",
    "layers_by_heads.png",
    "matrix.png",
    "summary.png",
)


def take_instead(monkeypatch: pytest.MonkeyPatch, folder: str) -> None:
    """Loads the model in a folder, whatever is asked for."""
    load = regard.models.registry.load

    def instead(*_: Any, **options: Any) -> Any:
        return load(folder, **options)

    monkeypatch.setattr(regard.models.registry, "load", instead)


def test_demo(run: Run, here: Path, tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    take_instead(monkeypatch, tiny)
    done = run("demo", "--out", "pictures")
    assert (done.code, done.err) == (0, "")
    assert tuple(sorted(path.name for path in (here / "pictures").iterdir())) == DEMO
    first, second, third = done.out.splitlines()
    assert "3 layers recorded, layer 1 of 0..2, mean of 2 heads, query CLS" in first
    assert second.startswith("3 layers checked: ")
    # float32 sums over 577 keys of values below 4
    assert float(second.rpartition(" ")[2]) < 1e-5
    assert third == f"6 pictures in {here / 'pictures'}"


def test_demo_into_a_file(run: Run, here: Path, tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    take_instead(monkeypatch, tiny)
    (here / "file").touch()
    done = run("demo", "--out", "file")
    assert (done.code, done.out) == (1, "")
    assert "'file' is no folder" in done.err


def test_demo_with_the_real_model(
    run: Run, here: Path, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = shared / "data" / "weights" / "dinov2_small"
    if not weights.is_dir():
        pytest.skip(f"real weights not found: {weights}")
    take_instead(monkeypatch, str(weights))
    done = run("demo")
    assert (done.code, done.err) == (0, "")
    assert "12 layers recorded, layer 10 of 0..11, mean of 6 heads, query CLS" in done.out
    assert len(list((here / "regard-out" / "demo" / "photo").iterdir())) == 6


def test_demo_of_partcrafter(run: Run, here: Path) -> None:
    done = run("demo", "partcrafter", "--out", "pictures")
    assert (done.code, done.err) == (0, "")
    names = {path.name for path in (here / "pictures").iterdir()}
    assert {"photo.png", "object.glb", "object.png", "object.html", "parts.png"} <= names
    assert {"owners.png", "over_steps.gif", "between_parts.png"} <= names
    first, *parts, last = done.out.splitlines()
    assert first.startswith("a ")
    assert len(parts) >= 2
    for line in parts:
        fills, attention, pixels = map(int, re.findall(r"(\d+)%", line))
        assert fills > 50
        assert attention > pixels
    assert last.startswith(f"{len(names)} files in ")


def test_demo_dvis(run: Run, here: Path) -> None:
    done = run("demo", "dvis", "--out", "dvis")
    assert (done.code, done.err) == (0, "")
    first, *found, last = done.out.splitlines()
    assert first.startswith("mini-dvis-daq: 24 frames, ")
    assert found, "something was found"
    assert all("counts most for its class" in line for line in found)
    assert last.endswith(f"and the frames in {here / 'dvis'}")
    assert len(list(Path("dvis/frames").glob("*.png"))) == 24
    assert Path("dvis/contact_sheet.png").is_file()
    assert Path("dvis/importance.png").is_file()
    assert Path("dvis/run/videos/frames_instance_0.mp4").is_file()
    assert Path("dvis/run/inference/frames_instance_0_frames.csv").is_file()


def test_demo_of_captions(run: Run, here: Path) -> None:
    done = run("demo", "aoanet")
    assert (done.code, done.err) == (0, "")
    caption, words, looks, files = done.out.splitlines()
    assert re.fullmatch(r"mini-aoanet: a (\w+ ){3}.* a \w+ \w+ \w+", caption)
    assert words == "100% of the words are true"
    assert looks == "6 of 6 words for objects look at their own object most"
    folder = here / "regard-out" / "demo" / "aoanet"
    assert files == f"{len(list(folder.iterdir()))} files in {folder}"
    names = {path.name for path in folder.iterdir()}
    assert {"words.png", "caption.html", "caption.json", "caption.gif"} <= names


@pytest.mark.parametrize("system", ["detr", "mask2former"])
def test_demos_of_object_queries(run: Run, here: Path, system: str) -> None:
    done = run("demo", system)
    assert (done.code, done.err) == (0, "")
    found, looked, count = done.out.splitlines()
    assert re.fullmatch(rf"mini-{system}: [1-9] of 9 segments found, mean IoU 0\.\d\d; .+", found)
    assert "of their weight on their own segment" in looked
    folder = here / "regard-out" / "demo" / system
    written = {str(path.relative_to(folder)) for path in folder.rglob("*.png")}
    assert count == f"{len(written)} pictures in {folder}"
    assert {"segments.png", "queries.png", "masks.png", "query_layers.png"} <= written
    if system == "detr":
        steps = {name.partition("_")[0] for name in written if name.startswith("steps/")}
        assert steps == {f"steps/{number}" for number in range(1, 10)}
        assert "query_mask_head.png" in written
    else:
        assert {"query_masked_unmasked.png", "encoder.png"} <= written

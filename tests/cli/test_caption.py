import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aoanet import photo, write_cnn, write_files
from command_line import Run
from regard.datasets.shapes import photo as scene_photo


@pytest.fixture
def model(here: Path) -> list[str]:
    """Options that name a tiny checkpoint; a photo lies beside it."""
    checkpoint, infos = write_files(here)
    photo().save(here / "dog_12.png")
    return ["--model", str(checkpoint), "--infos", str(infos)]


@pytest.fixture
def cnn(here: Path) -> list[str]:
    return ["--cnn", str(write_cnn(here / "cnn.safetensors", 10))]


@pytest.fixture
def stored(here: Path) -> list[str]:
    boxes = np.array([[0, 0, 80, 60], [20, 10, 50, 40], [5, 42, 30, 58]], np.float32)
    for name in ("att", "box"):
        (here / name).mkdir()
    np.savez(here / "att" / "12.npz", feat=np.random.default_rng(0).random((3, 10), np.float32))
    np.save(here / "box" / "12.npy", boxes)
    return ["--features", "att", "--boxes", "box"]


def test_a_photo_and_a_cnn(run: Run, here: Path, model: list[str], cnn: list[str]) -> None:
    done = run(
        "caption", "dog_12.png", *model, *cnn, "--grid", "3x4", "--save-raw", "--head", "all"
    )
    assert (done.code, done.err) == (0, "")
    place = here / "regard-out" / "dog_12"
    told = json.loads((place / "caption.json").read_text())
    assert done.out.startswith("dog_12.png -> ")
    assert done.out.rstrip().endswith(f": {told['caption']})")
    assert len(told["regions"]) == 12
    names = {path.name.split("_")[0] for path in place.iterdir()}
    files = {"caption.html", "caption.json", "caption.npz", "words.png"}
    assert names == {"boxes", "heads", "word", *files}


def test_stored_features(run: Run, here: Path, model: list[str], stored: list[str]) -> None:
    options = ["--layer", "refiner.5", "--video", "gif", "--best", "2", "--beam", "3"]
    done = run("caption", "dog_12.png", *model, *stored, *options, "--out", "o")
    assert (done.code, done.err) == (0, "")
    assert done.out.count("\n") == 2
    for number in (1, 2):
        names = {path.name for path in (here / "o" / "dog_12" / f"best_{number}").iterdir()}
        assert {"refiner_5.png", "caption.gif", "words.png"} <= names


def test_one_bad_photo_of_several(
    run: Run, here: Path, model: list[str], stored: list[str]
) -> None:
    Image.new("RGB", (9, 9)).save(here / "other.png")
    done = run("caption", "other.png", "dog_12.png", "gone.png", *model, *stored)
    assert done.code == 1
    assert "no features of other.png in att: expected other as .npz or .npy" in done.err
    assert "'gone.png': no such file" in done.err
    assert "2 of 3 photos failed" in done.err
    assert (here / "regard-out" / "dog_12" / "caption.json").is_file()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ([], "takes features, not pixels"),
        (["--cnn", "x", "--features", "y"], "takes features, not pixels"),
        (["--cnn", "x.pth"], "there is no file x.pth"),
        (["--features", "nowhere"], "nowhere is no folder, .lmdb or .tsv"),
        (["--features", "att"], "nothing says where they lie"),
        (["--features", "att", "--boxes", "box", "--grid", "2x2"], "--boxes and --grid both say"),
        (["--features", "x.tsv", "--boxes", "box"], "x.tsv holds its own boxes"),
        (["--features", "att", "--boxes", "box", "--head", "9"], "head 9 does not exist"),
        (["--features", "att", "--boxes", "box", "--beam", "99"], "wider than the vocabulary"),
        (["--features", "att", "--boxes", "box", "--best", "3"], "search with 2 beams"),
        (
            ["--features", "att", "--boxes", "box", "--layer", "refiner.6"],
            "refiner layer 6 does not exist",
        ),
        (["--features", "att", "--boxes", "box", "--infos", "x.pkl"], "there is no file x.pkl"),
    ],
)
@pytest.mark.usefixtures("stored")
def test_failures_are_one_line(run: Run, model: list[str], options: list[str], says: str) -> None:
    given = model[:2] if "--infos" in options else model
    done = run("caption", "dog_12.png", *given, *options)
    assert done.code == 1
    assert says in done.err
    assert done.err.count("\n") == 1
    assert done.out == ""


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--grid", "14"], "ROWSxCOLUMNS"),
        (["--grid", "0x3"], "ROWSxCOLUMNS"),
        (["--layer", "encoder"], "decoder or refiner.N"),
        (["--head", "some"], "--head"),
        (["--beam", "0"], "--beam"),
        (["--video", "avi"], "--video"),
    ],
)
def test_bad_arguments(run: Run, model: list[str], options: list[str], says: str) -> None:
    done = run("caption", "dog_12.png", *model, "--cnn", "x", *options)
    assert done.code == 2
    assert says in done.err


def test_a_hostile_infos_file(run: Run, here: Path, model: list[str], cnn: list[str]) -> None:
    Path(model[3]).write_bytes(b"\x80\x02cos\nsystem\n(X\x0c\x00\x00\x00touch canarytR.")
    done = run("caption", "dog_12.png", *model, *cnn)
    assert done.code == 1
    assert "os.system, which could run code" in done.err
    assert not (here / "canary").exists()


def test_the_miniature_needs_nothing_but_a_photo(run: Run, here: Path) -> None:
    Image.fromarray(scene_photo(3, (160, 160), (2, 2)).image).save("scene.png")
    done = run("caption", "scene.png", "--model", "mini-aoanet")
    assert (done.code, done.err) == (0, "")
    assert (here / "regard-out" / "scene" / "words.png").is_file()
    refused = run("caption", "scene.png", "--model", "mini-aoanet", "--grid", "3x3")
    assert "--grid belongs to --features or --cnn" in refused.err

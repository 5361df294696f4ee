"""`regard video`: clips good and bad, choices, what is said."""

import json
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from command_line import Run
from videos import write_video


@pytest.fixture(scope="module")
def model(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    weights = shared / "parity" / "dvis_daq" / "weights.safetensors"
    if not weights.is_file():
        pytest.skip(f"no weights of a small DVIS-DAQ: {weights} is not there")
    path = tmp_path_factory.mktemp("model") / "daq.safetensors"
    save_file(load_file(weights), path)
    return str(path)


@pytest.fixture
def clip(here: Path) -> str:
    return write_video(here / "clip.mp4", frames=3, size_hw=(48, 64)).name


def test_a_clip_becomes_a_folder(run: Run, model: str, clip: str) -> None:
    done = run("video", clip, "--model", model, "--short-side-px", "64", "--instances", "1")
    assert done.code == 0, done.err
    assert "clip: keeping about" in done.err
    assert "clip.mp4 -> regard-out/clip  (3 frames, " in done.out
    results = json.loads(Path("regard-out/clip/results.json").read_text())
    assert done.out.count("\n") == 1 + min(10, len(results))
    assert (Path("regard-out") / "clip" / "attention.safetensors").is_file()


def test_maps_keep_no_recording(run: Run, model: str, clip: str) -> None:
    options = ("--keep", "maps", "--short-side-px", "64", "--instances", "0")
    done = run("video", clip, "--model", model, *options)
    assert done.code == 0, done.err
    assert "on disk" in done.err
    assert not (Path("regard-out") / "clip" / "attention.safetensors").exists()


def test_one_bad_clip_does_not_stop_the_others(run: Run, model: str, clip: str) -> None:
    Path("bad.mp4").write_bytes(b"no video")
    options = ("--model", model, "--short-side-px", "64", "--instances", "0")
    done = run("video", "bad.mp4", clip, *options)
    assert done.code == 1
    assert "'bad.mp4' is not a video" in done.err
    assert "1 of 2 clips failed" in done.err
    assert "clip.mp4 -> " in done.out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--frames", "5"), "are no range"),
        (("--frames", "7:"), "none of them is in 7:"),
        (("--layers", "9"), "layers [9] of the predictor do not exist"),
        (("--config", "none.yaml"), "none.yaml cannot be read"),
        (("--classes", "none.json"), "'none.json' is no YTVIS file"),
    ],
)
def test_bad_choices_end_in_one_line(
    run: Run, model: str, clip: str, options: tuple[str, str], message: str
) -> None:
    done = run("video", clip, "--model", model, *options)
    assert done.code == 1
    assert message in done.err
    assert not Path("regard-out").exists()


def test_a_missing_model_is_said(run: Run, clip: str) -> None:
    done = run("video", clip, "--model", "none.pth")
    assert (done.code, done.out) == (1, "")
    assert "there is no file none.pth" in done.err

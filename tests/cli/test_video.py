"""`regard video`: clips good and bad, choices, what is said."""

from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from command_line import Run
from regard.runs import open_run
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


def files(folder: Path) -> dict[str, bytes]:
    """Every file of a run."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def test_a_clip_becomes_a_run(run: Run, model: str, clip: str) -> None:
    command = ("video", clip, "--model", model, "--short-side-px", "64", "--instances", "1")
    done = run(*command)
    assert done.code == 0, done.err
    assert "1 video, 3 frames: about " in done.err
    assert "clip.mp4 -> regard-out/clip  (3 frames, " in done.out
    found = open_run("regard-out/clip")
    assert done.out.count("\n") == 1 + min(10, len(found.video("clip").instances))
    assert Path("regard-out/clip/videos/clip_instance_0.mp4").is_file()
    before = files(Path("regard-out/clip"))
    again = run(*command)
    assert (again.code, again.out) == (0, done.out)
    assert files(Path("regard-out/clip")) == before


def test_clips_can_be_added_to_a_run(run: Run, model: str, clip: str) -> None:
    write_video(Path("more.mp4"), frames=3, size_hw=(48, 64))
    options = ("--model", model, "--short-side-px", "64", "--instances", "0", "--out", "both")
    assert run("video", clip, *options).code == 0
    assert run("video", "more.mp4", *options).code == 0
    assert open_run("both").videos == ("clip", "more")
    assert run("video", clip, "more.mp4", *options[:-1], "at-once").code == 0
    assert files(Path("both")) == files(Path("at-once"))


def test_another_run_in_the_folder_is_refused(run: Run, model: str, clip: str) -> None:
    options = ("--model", model, "--instances", "0", "--out", "run")
    assert run("video", clip, *options, "--short-side-px", "64").code == 0
    done = run("video", clip, *options, "--short-side-px", "96")
    assert done.code == 1
    assert "holds another run (settings.short_side_px: 64 there, 96 now)" in done.err


def test_maps_keep_no_calls(run: Run, model: str, clip: str) -> None:
    options = ("--keep", "maps", "--short-side-px", "64", "--instances", "0")
    done = run("video", clip, "--model", model, *options)
    assert done.code == 0, done.err
    names = {path.name for path in Path("regard-out/clip/attention_maps").iterdir()}
    expected = {"journal.txt", "video_clip.safetensors", "video_clip_maps_0-3.safetensors"}
    assert names == expected


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
        (("--layers", "9"), "layers [9] of the predictor do not exist"),
        (("--config", "none.yaml"), "none.yaml cannot be read"),
        (("--classes", "none.json"), "'none.json' is no YTVIS file"),
        (("--device", "nowhere"), "cannot use device 'nowhere' here"),
    ],
)
def test_bad_choices_end_in_one_line(
    run: Run, model: str, clip: str, options: tuple[str, str], message: str
) -> None:
    done = run("video", clip, "--model", model, *options)
    assert done.code == 1
    assert message in done.err
    assert not Path("regard-out").exists()


def test_frames_that_are_not_there_leave_room_for_those_that_are(
    run: Run, model: str, clip: str
) -> None:
    options = ("--model", model, "--short-side-px", "64", "--instances", "0")
    done = run("video", clip, *options, "--frames", "7:")
    assert done.code == 1
    assert "none of them is in 7:" in done.err
    assert run("video", clip, *options, "--frames", "1:").code == 0


def test_nothing_is_made_where_no_clip_is(run: Run, model: str, here: Path) -> None:
    done = run("video", "none.mp4", "other.mp4", "--model", model)
    assert (done.code, done.out) == (1, "")
    assert done.err == "regard: 'none.mp4', 'other.mp4': no such file\n"
    assert not (here / "regard-out").exists()


def test_a_clip_that_cannot_be_opened_has_no_size(run: Run, model: str, here: Path) -> None:
    (here / "bad.mp4").write_bytes(b"no video")
    done = run("video", "bad.mp4", "--model", model)
    assert done.code == 1
    assert done.err.startswith("regard: video bad: 'bad.mp4' is not a video")


def test_a_missing_model_is_said(run: Run, clip: str) -> None:
    done = run("video", clip, "--model", "none.pth")
    assert (done.code, done.out) == (1, "")
    assert "there is no file none.pth" in done.err

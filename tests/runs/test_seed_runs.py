"""Every command of the analysis on a folder as the DVIS attention pipeline makes it."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from regard.cli import main
from regard.runs import Run, open_run
from regard.runs.npz_export import export_npz
from runs.test_npz import other_names

Command = Callable[..., int]
SIZE = ("--short-side-px", "64")


@pytest.fixture(scope="module")
def windows(everything: Run, dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One predictor file a window, and the dataset beside them, as that pipeline copies it."""
    out = tmp_path_factory.mktemp("seed") / "run"
    list(export_npz(everything, out))
    shutil.copy(dataset, out / "val.json")
    return out


@pytest.fixture(scope="module")
def frames(windows: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One predictor file a frame."""
    return other_names(windows, tmp_path_factory.mktemp("seed") / "run")


@pytest.fixture(params=["windows", "frames"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A folder of either kind; commands write into it."""
    found: Path = request.getfixturevalue(request.param)
    return Path(shutil.copytree(found, tmp_path / "run"))


@pytest.fixture
def track(windows: Path) -> str:
    """Place of an instance that is a track in both videos."""
    videos = [open_run(windows, short_side_px=64).video(name) for name in (1, 2)]
    tracked = [{i for i, of in enumerate(v.instances) if of.life} for v in videos]
    return str(min(set.intersection(*tracked)))


@pytest.fixture
def images(dataset: Path) -> tuple[str, str]:
    return ("--images", str(dataset.parent / "JPEGImages"))


def exit_code(*command: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in command])
    return int(ended.value.code or 0)


@pytest.mark.parametrize("kind", ["decoder", "temporal", "tracker", "importance", "page"])
def test_every_plot_is_made(
    folder: Path, track: str, images: tuple[str, str], kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ("--video", "1", "--instance", track, *images, *SIZE)
    assert exit_code("plot", folder, kind, *where) == 0, capsys.readouterr().err
    assert list((folder / "plots" / "1").glob(f"{kind}_instance_{track}*.png"))


@pytest.mark.parametrize("more", [(), ("--importance", "--reorder", "--panels", "layers")])
def test_films_are_made(
    folder: Path, track: str, images: tuple[str, str], more: tuple[str, ...]
) -> None:
    what = ("--video", "1", "--instance", track, "--width-px", "64", "--format", "gif", *more)
    assert exit_code("render", folder, *what, *images, *SIZE) == 0
    assert len(list((folder / "videos" / "1").glob("*.gif"))) == 1


def test_it_is_summed_up_and_compared(folder: Path, made: Run) -> None:
    against = ("--against", made.path, "--permutations", 20, "--no-plots")
    assert exit_code("summarize", folder, "--best", 2, "--query", 3, *against, *SIZE) == 0
    assert (folder / "inference" / "summary.json").is_file()
    assert (folder / "inference" / "top_frames_75.csv").is_file()


@pytest.mark.parametrize("compared", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_the_whole_workflow(
    frames: Path,
    made: Run,
    track: str,
    images: tuple[str, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    compared: bool,
) -> None:
    folder = Path(shutil.copytree(frames, tmp_path / "run"))
    what: tuple[object, ...] = ("--video", "1", "--instance", track, "--format", "gif")
    what += ("--against", made.path) if compared else ()
    assert exit_code("analyse", folder, *what, *images, *SIZE) == 0, capsys.readouterr().err
    out = capsys.readouterr().out
    for name in ("summary.json", f"page_instance_{track}.png", "_reordered.gif"):
        assert name in out
    assert ("_beside.gif" in out) == compared


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (("plot", "decoder", "--unmasked"), "unmasked weights cannot be told"),
        (("plot", "decoder", "--mixing", "rollout"), "has no record of tracker"),
        (("plot", "tracker", "--head", "0"), "single heads were not kept"),
        (("plot", "temporal", "--by-head"), "kept the mean of heads of the refiner alone"),
        (("plot", "temporal", "--fusion", "max"), "kept the mean of heads of the refiner alone"),
    ],
)
def test_what_the_files_lack_is_one_error_a_video(
    folder: Path,
    track: str,
    images: tuple[str, str],
    command: tuple[str, ...],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    name, kind, *options = command
    assert exit_code(name, folder, kind, *options, "--instance", track, *images, *SIZE) == 1
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 2
    assert all(
        message in line and f"video '{n}'" in line for n, line in zip((1, 2), errors, strict=True)
    )


def test_what_was_linked_by_similarity_has_no_maps_but_weights(
    windows: Path, images: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Their files do not say which object queries such a row is made of."""
    video = open_run(windows, short_side_px=64).video(1)
    linked = next(i for i, of in enumerate(video.instances) if not of.life)
    where = ("--video", "1", "--instance", linked, *images, *SIZE, "--out", tmp_path)
    for command in (("plot", windows, "decoder"), ("plot", windows, "page"), ("render", windows)):
        assert exit_code(*command, *where) == 1
        assert "it was linked by similarity" in capsys.readouterr().err
    for kind in ("importance", "temporal"):
        assert exit_code("plot", windows, kind, *where) == 0


def test_a_folder_without_predictor_files(
    windows: Path, images: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Path(shutil.copytree(windows, tmp_path / "run"))
    for path in (run / "attention_maps").glob("*_predictor_*"):
        path.unlink()
    for command in (("plot", run, "decoder", "--query", 0), ("render", run, "--query", 0)):
        assert exit_code(*command, *images, *SIZE) == 1
        assert "kept no layer of the predictor" in capsys.readouterr().err
    assert exit_code("summarize", run, "--query", 0, "--no-plots", *SIZE) == 0
    assert exit_code("analyse", run, "--video", "1", "--format", "gif", *images, *SIZE) == 0
    assert "no maps and films of video 1" in capsys.readouterr().err


def test_frames_that_nobody_can_find_are_said(
    windows: Path, track: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code("render", windows, "--instance", track, "--video", "1", *SIZE) == 1
    assert "say where they are (images=..., --images)" in capsys.readouterr().err

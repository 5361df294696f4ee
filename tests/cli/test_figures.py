"""`regard plot`, `regard render` and `regard analyse`: what is written, told and left alone."""

from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from regard.cli import main
from regard.runs.check import check_run
from videos import write_video

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def recorded(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run over a clip of three frames."""
    weights = shared / "parity" / "dvis_daq" / "weights.safetensors"
    if not weights.is_file():
        pytest.skip(f"no weights of a small DVIS-DAQ: {weights} is not there")
    folder = tmp_path_factory.mktemp("recorded")
    save_file(load_file(weights), folder / "daq.safetensors")
    clip = write_video(folder / "clip.mp4", frames=3, size_hw=(48, 64))
    command = ["video", str(clip), "--model", str(folder / "daq.safetensors")]
    command += ["--short-side-px", "64", "--instances", "0", "--out", str(folder / "run")]
    assert exit_code(command) == 0
    return folder / "run"


def exit_code(command: list[str]) -> int:
    with pytest.raises(SystemExit) as ended:
        main(command)
    return int(ended.value.code or 0)


def test_a_plot_is_in_the_run_and_made_once(recorded: Path, capsys: Capture) -> None:
    command = ["plot", str(recorded), "decoder", "--layers", "8", "--frames", "0:2"]
    assert exit_code(command) == 0
    path = Path(capsys.readouterr().out.strip())
    assert path == recorded / "plots/clip/decoder_instance_0_heatmap_across_frames_layers_8.png"
    before = path.stat().st_mtime_ns
    assert exit_code(command) == 0
    assert path.stat().st_mtime_ns == before
    assert exit_code([*command, "--colormap", "viridis"]) == 0
    assert path.stat().st_mtime_ns != before, "another choice makes it anew"
    assert not [of.name for of in check_run(recorded) if of.problem]


def test_a_film_is_in_the_run(recorded: Path, capsys: Capture) -> None:
    assert exit_code(["render", str(recorded), "--width-px", "64", "--fps", "5"]) == 0
    assert capsys.readouterr().out.strip() == str(recorded / "videos/clip/instance_0.mp4")
    assert not [of.name for of in check_run(recorded) if of.problem]


def test_the_whole_workflow_in_one_command(recorded: Path, capsys: Capture) -> None:
    assert exit_code(["analyse", str(recorded), "--format", "gif"]) == 0
    out = capsys.readouterr().out
    for name in ("inference/summary.json", "page_instance_0.png", "_importance_reordered.gif"):
        assert name in out
    assert not [of.name for of in check_run(recorded) if of.problem]


def test_what_is_not_there_is_told(recorded: Path, capsys: Capture) -> None:
    assert exit_code(["plot", str(recorded), "tracker", "--track", "9999"]) == 1
    assert "nothing in video 'clip' is track 9999" in capsys.readouterr().err
    assert exit_code(["render", str(recorded.parent), "--fps", "5"]) == 1
    assert "is no run" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command",
    [
        ["plot", "run", "colours"],
        ["render", "run", "--fps", "0"],
        ["render", "run", "--panels", "x"],
    ],
)
def test_bad_arguments_are_refused(command: list[str], capsys: Capture) -> None:
    assert exit_code(command) == 2
    assert capsys.readouterr().err.startswith("regard: ")

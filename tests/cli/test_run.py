"""`regard run` and `regard check`: what is said, and the exit codes."""

from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from command_line import Run
from regard.runs import open_run
from runs.conftest import write_dataset


@pytest.fixture(scope="module")
def model(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    weights = shared / "parity" / "dvis_daq" / "weights.safetensors"
    if not weights.is_file():
        pytest.skip(f"no weights of a small DVIS-DAQ: {weights} is not there")
    path = tmp_path_factory.mktemp("model") / "daq.safetensors"
    save_file(load_file(weights), path)
    return str(path)


def test_a_run_is_made_gone_on_with_and_checked(run: Run, model: str, here: Path) -> None:
    dataset = write_dataset(here, frames=2)
    bad = here / "JPEGImages" / "v2" / "00001.png"
    whole = bad.read_bytes()
    bad.write_bytes(b"no image")
    command = ("run", dataset.name, "--model", model, "--out", "run", "--short-side-px", "64")
    done = run(*command)
    assert done.code == 1
    assert "2 videos, 4 frames: about " in done.err
    assert "video 2: " in done.err
    assert "1 of 2 videos failed" in done.err
    assert "val.json -> run  (1 video done)" in done.out
    bad.write_bytes(whole)
    done = run(*command)
    assert (done.code, done.out) == (0, "val.json -> run  (2 videos done, 1 of them before)\n")
    assert open_run("run").videos == ("1", "2")
    checked = run("check", "run")
    assert checked.code == 0
    assert checked.out.endswith("all is whole\n")
    shard = Path("run/attention_maps/video_1.safetensors")
    shard.write_bytes(shard.read_bytes()[:-1])
    checked = run("check", "run")
    assert checked.code == 1
    assert checked.out.startswith("attention_maps/video_1.safetensors is cut short: ")
    assert "1 of 12 files are not as they must be" in checked.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run", "none.json", "--out", "run"), "'none.json' is no YTVIS file"),
        (("check", "none"), "'none' is no folder"),
    ],
)
def test_what_is_not_there_is_said(
    run: Run, model: str, here: Path, arguments: tuple[str, ...], message: str
) -> None:
    more = ("--model", model) if arguments[0] == "run" else ()
    done = run(*arguments, *more)
    assert (done.code, done.out) == (1, "")
    assert message in done.err
    assert not list(here.iterdir())

"""What every command has in common: help, refusals, exit codes, the terminal."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

import regard
from command_line import PROGRAM, Run, environment, noisy_photo, on_terminal

QUICK = """
import sys
from regard.cli import main
try:
    main(sys.argv[1:])
except SystemExit as ended:
    heavy = {"torch", "numpy", "PIL", "matplotlib", "transformers"} & set(sys.modules)
    print(ended.code, *sorted(heavy), file=sys.stderr)
"""

HELP = [[], ["--help"], *([name, "--help"] for name in ("image", "layers", "models", "demo"))]
REFUSED = [
    (["nope"], 'Unknown command "nope"'),
    (["--nope"], 'Unknown command "--nope"'),
    (["image"], "PHOTO requires an argument"),
    (["image", "a.png", "--nope"], "Unknown option: --nope"),
    (["image", "a.png", "--between", "pixels"], 'Choose from: "cells", "linear"'),
    (["image", "a.png", "--short-side-px", "0"], "Must be >= 1"),
    (["image", "a.png", "--short-side-px", "many"], '"many"'),
    (["image", "a.png", "--head", "first"], 'Expected an index, "mean" or "all"'),
    (["image", "a.png", "--head", "1.7"], 'Expected an index, "mean" or "all"'),
    (["image", "a.png", "--head", "--3"], "--head requires an argument"),
    (["image", "a.png", "--query", "3,x"], "a point X,Y"),
    (["image", "a.png", "--query", "1,2,3"], "a point X,Y"),
    (["image", "a.png", "--out"], "--out requires an argument"),
    (["layers", "photo.png"], "photo.png"),
    (["models", "--device", "cpu"], "--device"),
]


def heavy_imports(*arguments: str) -> tuple[str, str]:
    """Exit code and the heavy modules that a command imported; what it said before that."""
    done = subprocess.run(
        [sys.executable, "-c", QUICK, *arguments],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=60,
        check=False,
    )
    *said, last = done.stderr.splitlines()
    return last, "\n".join([done.stdout, *said])


def test_help_answers_without_torch() -> None:
    for arguments in ([], ["image", "--help"]):
        last, said = heavy_imports(*arguments)
        assert last == "0"
        assert said.startswith("Usage: regard")


def test_a_bad_argument_is_refused_without_torch() -> None:
    last, said = heavy_imports("image", "a.png", "--head", "first")
    assert last == "2"
    assert "--head" in said


def test_models_are_listed_without_torch() -> None:
    last, said = heavy_imports("models")
    assert last.split()[0] == "0"
    assert "torch" not in last.split()
    assert "dinov2-small" in said


@pytest.mark.parametrize("arguments", HELP)
def test_help(run: Run, arguments: list[str]) -> None:
    done = run(*arguments)
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("Usage: regard")


def test_every_option_of_image_is_explained(run: Run) -> None:
    said = " ".join(run("image", "--help").out.replace("│", " ").split())
    assert "Usage: regard image [OPTIONS] PHOTO..." in said
    options = ("model", "layer", "head", "query", "out", "colormap", "between", "save-raw")
    for option in (*options, "short-side-px", "device"):
        assert f"--{option} " in said


def test_the_version(run: Run) -> None:
    assert run("--version").out.strip() == regard.__version__


@pytest.mark.parametrize(("arguments", "words"), REFUSED)
def test_bad_arguments_exit_with_2_and_one_line(
    run: Run, here: Path, arguments: list[str], words: str
) -> None:
    done = run(*arguments)
    assert (done.code, done.out) == (2, "")
    (line,) = done.err.splitlines()
    assert line.startswith("regard: ")
    assert words in line
    assert not list(here.iterdir())


@pytest.mark.parametrize(
    "arguments",
    [
        ["image", "a.png", "--x\x1b[31m"],
        ["image", "a.png", "--head", "\x1b]0;title\x07"],
        ["image", "a.png", "--model", "\x1b[31m[bold]no[/bold]\nsuch"],
        ["layers", "--model", "\x1b[31m[bold]no[/bold]\nsuch"],
        ["image", "\x1b[31m[bold]red[/bold].png"],
    ],
)
def test_what_people_typed_is_shown_and_never_obeyed(
    run: Run, here: Path, tiny: str, arguments: list[str]
) -> None:
    if "--model" not in arguments and arguments[-1].endswith(".png"):
        arguments = [*arguments, "--model", tiny]
    done = run(*arguments)
    assert done.code in (1, 2)
    assert done.err.replace("\n", "").isprintable()
    assert "\\x1b" in done.err
    assert ("[bold]" in done.err) == any("[bold]" in each for each in arguments)


@pytest.mark.parametrize("device", ["nonsense", "meta"])
@pytest.mark.parametrize(("command", "photos"), [("image", ["a.png"]), ("layers", [])])
def test_a_device_that_cannot_be_used(
    run: Run, here: Path, tiny: str, command: str, photos: list[str], device: str
) -> None:
    done = run(command, *photos, "--model", tiny, "--device", device)
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith(f"regard: cannot use device '{device}' here")
    assert "try cpu" in done.err


def test_a_model_that_is_nowhere(run: Run, here: Path) -> None:
    done = run("image", "a.png", "--model", "dinov2-smal")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("regard: there is no model, folder or hub id 'dinov2-smal'")
    assert "did you mean 'dinov2-small'" in done.err


def at_work(program: list[str], here: Path, tiny: str) -> subprocess.Popen[bytes]:
    """The program over 500 photos, as a shell starts it: it hears an interrupt."""
    photos = [str(noisy_photo(here / "a.png"))] * 500
    options = ["--model", tiny, "--short-side-px", "28", "--out", "regard-out"]
    return subprocess.Popen(
        [*program, "image", *photos, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def test_ctrl_c_ends_with_130(here: Path, tiny: str) -> None:
    # where an interrupt falls between a file's opening and its "with", a user sees nothing of it
    quiet = [*PROGRAM[:3], "-W", "ignore::ResourceWarning", *PROGRAM[3:]]
    with at_work(quiet, here, tiny) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert b"a.png" in process.stdout.readline()  # at work
        process.send_signal(signal.SIGINT)
        assert process.stderr.read() == b""
    assert process.returncode == 130


def test_a_reader_that_leaves_ends_the_run_in_silence(here: Path, tiny: str) -> None:
    with at_work(PROGRAM, here, tiny) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1
    assert len(list((here / "regard-out").iterdir())) < 500


def test_the_bar_is_on_terminals_only_and_lines_go_where_they_belong(here: Path, tiny: str) -> None:
    photos = [str(noisy_photo(here / f"{name}.png")) for name in "abc"]
    arguments = ["image", *photos, "--model", tiny, "--short-side-px", "28"]
    both = on_terminal(*arguments)
    assert both.code == 0
    assert "photos" in both.out
    assert "100%" in both.out
    shown = "".join(both.out.split())  # the terminal breaks long lines
    assert all(f"{name}.png->" in shown for name in "abc")
    with (here / "list.txt").open("wb") as file:
        split = on_terminal(*arguments, stdout=file.fileno())
    assert "100%" in split.out
    assert ".png" not in split.out
    lines = (here / "list.txt").read_text().splitlines()
    assert [line.partition(" -> ")[0] for line in lines] == photos

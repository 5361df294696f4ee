"""SIGKILL at every call that writes a run, and at random instants while a model runs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from command_line import environment
from regard.runs import Run
from runs.conftest import write_dataset

TESTS = Path(__file__).parents[1]
PATHS = f"{environment()['PYTHONPATH']}{os.pathsep}{TESTS}"


def kill_runs(*arguments: object) -> str:
    """What the script says at its end."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "faults.kill_runs", *map(str, arguments)],
        capture_output=True,
        text=True,
        env=environment(PYTHONPATH=PATHS),
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


@pytest.mark.parametrize("every", [14, pytest.param(1, marks=pytest.mark.slow)])
def test_a_kill_at_a_call_that_writes(made: Run, tmp_path: Path, every: int) -> None:
    said = kill_runs("--run", made.path, "--out", tmp_path / "run", "--every", every)
    assert said.endswith(": nothing lost, the same bytes")


def test_kills_at_random_instants_of_a_model(shared: Path, tmp_path: Path) -> None:
    weights = shared / "parity" / "dvis_daq" / "weights.safetensors"
    if not weights.is_file():
        pytest.skip(f"no weights of a small DVIS-DAQ: {weights} is not there")
    model = tmp_path / "daq.safetensors"
    save_file(load_file(weights), model)
    dataset = write_dataset(tmp_path, frames=1)
    out = tmp_path / "out"
    what = ("--dataset", dataset, "--model", model, "--short-side-px", 64)
    said = kill_runs(*what, "--out", out, "--kills", 2, "--steps")
    assert said.startswith("2 kills over ")
    assert said.endswith(": nothing lost, the same bytes")

"""Kills a program that makes a run, at every call that writes or at random instants.

`PYTHONPATH=tests python -m faults.kill_runs --run MADE --out FOLDER` makes a finished run again
without the model, killed at each call in turn. `--kills N` runs a model over clips, then every
later step that there is (summarize, render), killed N times.

After each kill nothing acknowledged may be lost; after the last one the folder must hold the same
bytes as that of a run that nobody disturbed. The first line that does not hold ends the program.
"""

import argparse
import importlib
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

from faults.copied import copy_run
from faults.invariants import assert_nothing_is_lost, contents
from faults.test_failing_calls import CALLS, Counter
from regard.datasets.shapes import write_ytvis
from regard.runs import open_run

LOADED_BEFORE = (
    "regard.cli.run_progress",
    "regard.runs.dataset",
    "regard.runs.run_videos",
    "scipy.optimize",
)

Commands = Callable[[Path], list[list[str]]]

EVERY_SO_MANY = 20
"""After so many kills it is said how far they are."""

STEPS = ("summarize", "render")
"""Commands that go on with a run, where they exist."""


def main() -> None:
    """Kill, check, go on."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--run", type=Path)
    parser.add_argument("--dataset", type=Path, help="by default four generated clips")
    parser.add_argument("--short-side-px", type=int)
    parser.add_argument("--model", default="mini-dvis-daq")
    parser.add_argument("--every", type=int, default=1, help="each so-and-so-many-th call")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--steps", nargs="*", default=STEPS, help="commands after the run")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    if chosen.run is not None:
        every_call(chosen.run, chosen.out, chosen.every)
    else:
        at_random(chosen.out, commands(chosen), chosen.kills, chosen.seed)


def every_call(made_path: Path, out: Path, every: int) -> None:
    """One kill at each call that writes, each followed by the same program undisturbed."""
    made = open_run(made_path)
    expected, call = contents(made_path), 1 - every
    while True:
        call += every
        shutil.rmtree(out, ignore_errors=True)
        if not killed(lambda at=call: copy_until(made_path, out, at)):  # type: ignore[misc]
            break
        assert_nothing_is_lost(out, set())
        assert not killed(lambda: copy_run(made, out))
        assert contents(out) == expected, f"killed at call {call}"
    print(f"killed at {call // every} of {call} calls: nothing lost, the same bytes")


def copy_until(made_path: Path, out: Path, call: int) -> None:
    """Make the run again up to a call that writes, and die there as by SIGKILL."""
    counter = Counter(out, call, lambda _: os.kill(os.getpid(), signal.SIGKILL))
    for name in CALLS:
        setattr(os, name, counter.wrap(name, getattr(os, name)))
    copy_run(open_run(made_path), out)


def commands(chosen: argparse.Namespace) -> Commands:
    """The commands that make a run in a folder and go on with it."""
    from regard.cli import app

    dataset: Path = chosen.dataset or write_ytvis(chosen.out / "shapes", range(4), frames=4)
    size = ["--short-side-px", str(chosen.short_side_px)] if chosen.short_side_px else []

    def of(run: Path) -> list[list[str]]:
        first = ["run", str(dataset), "--model", chosen.model, "--out", str(run), *size]
        return [first, *([step, str(run)] for step in chosen.steps if step in set(app))]

    return of


def at_random(out: Path, of: Commands, kills: int, seed: int) -> None:
    """Kills at random instants of a run with its later steps."""
    for module in LOADED_BEFORE:  # so that no child spends its time on it
        importlib.import_module(module)
    # summaries carry the name of the folder, so both have the same
    undisturbed, disturbed = out / "undisturbed" / "run", out / "disturbed" / "run"
    start = time.monotonic()
    assert not killed(lambda: everything(of(undisturbed)))
    seconds, expected = time.monotonic() - start, contents(undisturbed)
    instants, count, rounds = random.Random(seed), 0, 0
    while count < kills:
        rounds += 1
        shutil.rmtree(disturbed, ignore_errors=True)
        acknowledged: set[str] = set()
        while killed(lambda: everything(of(disturbed)), instants.random() * seconds):
            count += 1
            acknowledged = assert_nothing_is_lost(disturbed, acknowledged)
            if count % EVERY_SO_MANY == 0:
                print(f"{count} of {kills} kills, round {rounds}: nothing lost so far", flush=True)
            if count == kills:
                assert not killed(lambda: everything(of(disturbed)))
                break
        assert contents(disturbed) == expected, f"after {count} kills"
    print(f"{count} kills over {rounds} runs of {seconds:.1f} s: nothing lost, the same bytes")


def everything(commands: list[list[str]]) -> None:
    """A run over a dataset and what follows it."""
    from regard.cli import app

    for command in commands:
        code = app(command, result_action="return_value") or 0
        assert code == 0, f"{command} ended with {code}"


def killed(work: Callable[[], object], after_s: float | None = None) -> bool:
    """Whether a process that does the work was killed before it was done."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            sys.stdout.flush()
            os._exit(code)
    if after_s is not None:
        time.sleep(after_s)
        os.kill(child, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, -signal.SIGKILL), f"the program ended with {status}"
    return status != 0


if __name__ == "__main__":
    main()

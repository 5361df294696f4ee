"""`regard evaluate` on results of videos."""

import json
from pathlib import Path

import numpy as np
import pytest

from command_line import Run
from ytvis_cases import random_case


def put_files() -> None:
    truth, results = random_case(0)
    Path("truth.json").write_text(json.dumps(truth))
    Path("results.json").write_text(json.dumps(results))


def test_results_of_videos_are_measured(run: Run, here: Path) -> None:
    put_files()
    options = ("--annotations", "truth.json", "--per-class", "--out", "numbers.json")
    done = run("evaluate", "results.json", *options)
    assert (done.code, done.err) == (0, "")
    lines = [line.split() for line in done.out.splitlines()]
    numbers = json.loads(Path("numbers.json").read_text())
    rows = [numbers["average_precision"][kind]["AP"] for kind in ("video", "frame_mean", "frame")]
    assert ["AP", *(f"{100 * number:.1f}" for number in rows)] in lines
    assert rows[0] == pytest.approx(0.381004243, abs=1e-9)
    crab = next(row for row in numbers["classes"] if row["category"] == "crab")
    assert crab["video"]["AP"] is None
    assert ["crab", *["none"] * 12] in lines
    assert numbers["identity"]["objects"] > 0
    again = run("evaluate", "results.json", "truth.json")
    assert done.out.startswith(again.out[:200])


def test_no_results_at_all_are_a_result(run: Run, here: Path) -> None:
    put_files()
    Path("results.json").write_text("[]")
    done = run("evaluate", "results.json", "--annotations", "truth.json")
    assert (done.code, done.err) == (0, "")
    assert any(line.split()[:2] == ["AP", "0.0"] for line in done.out.splitlines())


def test_bad_choices_end_in_one_line(run: Run, here: Path) -> None:
    put_files()
    done = run("evaluate", "results.json")
    assert (done.code, "give one, by --annotations" in done.err) == (1, True)
    done = run("evaluate", "results.json", "truth.json", "--annotations", "truth.json")
    assert (done.code, "2 files of ground truth" in done.err) == (1, True)
    done = run("evaluate", "results.json", "--annotations", "gone.json")
    assert (done.code, "gone.json cannot be read" in done.err) == (1, True)
    done = run("evaluate", str(here), "--annotations", "truth.json")
    assert (done.code, "is no run" in done.err) == (1, True)
    done = run(
        "evaluate", "results.json", "--annotations", "truth.json", "--out", "no/numbers.json"
    )
    assert (done.code, "cannot write 'no/numbers.json'" in done.err) == (1, True)


def test_parts_of_predictions_are_swapped(run: Run, here: Path) -> None:
    put_files()
    done = run("evaluate", "results.json", "truth.json", "--swaps")
    assert (done.code, "A: annotated masks" in done.out, "A2" in done.out) == (0, True, False)
    done = run("evaluate", "results.json", "truth.json", "--against", "results.json")
    lines = [line.split() for line in done.out.splitlines()]
    assert [line[-1] for line in lines if line[:1] in (["A2:"], ["B2:"], ["D:"])] == ["+0.0"] * 3


def test_scrambled_results_stand_beside_the_original(run: Run, here: Path) -> None:
    truth, results = random_case(0)
    Path("truth.json").write_text(json.dumps(truth))
    random = np.random.default_rng(0)
    for name in ("own", "a", "b", "c"):
        rows = [row | {"score": float(random.random())} for row in results]
        Path(f"{name}-results.json").write_text(json.dumps(rows))
        what = ("evaluate", f"{name}-results.json", "truth.json", "--out", f"{name}.json")
        assert run(*what).code == 0
    more = ("--scrambled", "a.json", "b.json", "c.json", "--plot", "plot.png", "--out", "all.json")
    done = run("evaluate", "own-results.json", "truth.json", *more)
    assert (done.code, done.err) == (0, "")
    assert "scrambled with 3 seeds" in done.out
    told = json.loads(Path("all.json").read_text())["scrambled"]
    seeds = [json.loads(Path(f"{n}.json").read_text()) for n in "abc"]
    of_seeds = [one["average_precision"]["video"]["AP"] for one in seeds]
    assert told["average_precision"]["AP"]["mean"] == pytest.approx(np.mean(of_seeds))
    assert Path("plot.png").read_bytes().startswith(b"\x89PNG")

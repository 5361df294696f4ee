"""`regard summarize`, `regard scramble` and `regard unscramble`, as people run them."""

import json
from pathlib import Path

from command_line import Run
from summaries.conftest import write_npz_run
from ytvis_cases import random_case


def test_a_run_is_summed_up(run: Run, here: Path) -> None:
    write_npz_run(here / "RUN")
    done = run("summarize", "RUN", "--all", "--no-plots", "--against", "RUN")
    assert done.code == 0, done.err
    lines = [line.split() for line in done.out.splitlines()]
    assert ["7", "0", "class", "3", "0.900"] in [line[:5] for line in lines]
    assert "RUN against RUN: mean divergence 0 bits over 1 videos; they agree" in done.out
    assert "wrote 4 files into RUN" in done.out
    assert "no attention in regions of 2 of them, such as video 7, instance 0" in done.err
    assert not list(here.glob("RUN/plots/*"))


def test_choices_that_lead_nowhere_end_in_one_line(run: Run, here: Path) -> None:
    write_npz_run(here / "RUN")
    for options, words in (
        (("--class", "whale"), "nothing in video '7' is class 'whale'; there are"),
        (("--instance", "5"), "instance 5 does not exist"),
        (("--query", "4"), "object query 4 does not exist"),
        (("--annotations", "gone.json"), "gone.json cannot be read"),
    ):
        done = run("summarize", "RUN", *options)
        assert (done.code, words in done.err) == (1, True), done.err
    assert run("summarize", "gone").code == 1
    assert not list(here.glob("RUN/inference/summary.json"))


def test_a_data_set_is_scrambled_and_put_back(run: Run, here: Path) -> None:
    content, rows = random_case(1)
    Path("videos.json").write_text(json.dumps(content))
    done = run("scramble", "videos.json", "--seed", "400", "--out", "there.json")
    assert (done.code, done.out) == (0, "4 videos -> there.json\n")
    there = json.loads(Path("there.json").read_text())
    assert there["videos"] != content["videos"]
    assert run("unscramble", "there.json", "--out", "back.json").code == 0
    assert json.loads(Path("back.json").read_text()) == content
    orders = {video["id"]: video["frame_order"] for video in there["videos"]}
    moved = [
        row | {"segmentations": [row["segmentations"][p] for p in orders[row["video_id"]]]}
        for row in rows
    ]
    Path("results.json").write_text(json.dumps(moved))
    options = ("--dataset", "there.json", "--out", "results_back.json")
    done = run("unscramble", "results.json", *options)
    assert (done.code, done.out) == (0, f"{len(rows)} results -> results_back.json\n")
    assert json.loads(Path("results_back.json").read_text()) == rows
    done = run("scramble", "there.json", "--out", "x.json")
    assert (done.code, "scrambled already" in done.err) == (1, True)
    done = run("unscramble", "there.json", "--dataset", "there.json", "--out", "x.json")
    assert (done.code, "no list of results" in done.err) == (1, True)
    assert not Path("x.json").exists()

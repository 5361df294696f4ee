"""`regard zoo`: the table, and how it ends."""

import pytest

from command_line import Run
from regard import zoo
from regard.zoo.entry import Entry, Made


def test_a_table_of_what_matches(run: Run) -> None:
    done = run("zoo", "vit*")
    assert done.code == 0
    lines = done.out.splitlines()
    assert lines[0].strip() == "Image encoders"
    row = next(line for line in lines if line.split()[:1] == ["vit_msn"])
    assert row.split()[1:4] == ["2", "sdpa", "2"]
    assert float(row.split()[4]) <= 2e-6
    assert row.split()[-1] == "ok"
    assert any(line.strip() == "Depth, matting, pose, matching" for line in lines)
    assert "architectures ok" in lines[-1]


def test_names_alone(run: Run) -> None:
    done = run("zoo", "--list", "rt_detr*")
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == ["rt_detr", "rt_detr_v2", "rt_detr_v2 discrete"]


def test_nothing_matches(run: Run) -> None:
    done = run("zoo", "alexnet")
    assert (done.code, done.out) == (1, "")
    assert "no architecture of the zoo matches 'alexnet'" in done.err


def refusing() -> Made:
    raise ValueError("no such thing")


@pytest.mark.parametrize(
    ("entry", "code", "text"),
    [
        (Entry("bad", "torch", refusing, ""), 1, "does not run: ValueError: no such thing"),
        (Entry("bad", "no_such_library", refusing, ""), 1, "no_such_library is not installed"),
        (zoo.named("vit"), 0, "1 of 1 architectures ok, 2 calls"),
    ],
    ids=["broken", "skipped", "well"],
)
def test_how_it_ends(
    run: Run, monkeypatch: pytest.MonkeyPatch, entry: Entry, code: int, text: str
) -> None:
    monkeypatch.setattr(zoo, "find", lambda _: {"dense": [entry]})
    done = run("zoo")
    assert done.code == code
    assert text in done.out


def test_a_row_that_fails_ends_badly(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = Entry("wrong", "torch", zoo.named("vit").make, "3 sdpa")
    monkeypatch.setattr(zoo, "find", lambda _: {"dense": [wrong, zoo.named("vit")]})
    done = run("zoo")
    assert done.code == 1
    assert "recorded 2 sdpa, expected 3 sdpa" in done.out
    assert "1 of 2 architectures ok" in done.out
    assert done.err == "regard: 1 of 2 architectures failed\n"

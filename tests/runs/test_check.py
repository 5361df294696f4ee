"""Damage to a run is found and named, by the check and by whoever reads the file."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from regard.errors import FormatError, MediaError
from regard.runs import Run, open_run
from regard.runs.check import check_run
from regard.runs.journal import JOURNAL, read_journal


@pytest.fixture
def copy(made: Run, tmp_path: Path) -> Path:
    shutil.copytree(made.path, tmp_path / "run")
    return tmp_path / "run"


def problems(run: Path) -> dict[str, str]:
    return {checked.name: checked.problem for checked in check_run(run) if checked.problem}


def names(run: Path) -> list[str]:
    """Every file that the journal vouches for."""
    return [name for unit in read_journal(run) for name in unit.files]


def flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1 << (place % 8)
    path.write_bytes(content)


def test_a_whole_run_has_no_problem(made: Run) -> None:
    assert problems(made.path) == {}
    assert {"run.json", "inference/results.json"} < {c.name for c in check_run(made.path)}


def test_one_flipped_bit_is_found_wherever_it_is(copy: Path) -> None:
    for number, name in enumerate(names(copy)):
        path = copy / name
        whole = path.read_bytes()
        for place in {0, len(whole) // 2 + number, len(whole) - 1}:
            flip(path, min(place, len(whole) - 1))
            assert problems(copy) == {name: "is changed: its checksum does not fit"}
            path.write_bytes(whole)
    assert problems(copy) == {}


def test_cut_missing_and_foreign_files_are_told_apart(copy: Path) -> None:
    cut, gone = "attention_maps/video_1.safetensors", "inference/results.json"
    (copy / cut).write_bytes((copy / cut).read_bytes()[:-5])
    (copy / gone).unlink()
    (copy / "plots" / "mine.txt").write_text("what is this")
    (copy / "attention_maps" / ".regard-00.tmp").write_text("half")
    found = problems(copy)
    assert found.keys() == {cut, gone, "plots/mine.txt", "attention_maps/.regard-00.tmp"}
    assert found[cut].startswith("is cut short: ")
    assert found[gone] == "is missing"
    assert found["plots/mine.txt"].startswith("does not belong to the run")
    assert found["attention_maps/.regard-00.tmp"].startswith("is the trace of a kill")


def test_shards_that_changed_places_are_found(copy: Path) -> None:
    one, two = (copy / f"attention_maps/video_{number}.safetensors" for number in (1, 2))
    content = one.read_bytes()
    one.write_bytes(two.read_bytes())
    two.write_bytes(content)
    assert set(problems(copy)) == {path.relative_to(copy).as_posix() for path in (one, two)}


@pytest.mark.parametrize("part", ["", "_segment_0-3", "_track_*"])
@pytest.mark.parametrize("damage", ["flip", "cut", "gone"])
def test_no_reader_takes_damaged_numbers(copy: Path, part: str, damage: str) -> None:
    path = next(copy.glob(f"attention_maps/video_1{part}.safetensors"))
    act: dict[str, Callable[[], object]] = {
        "flip": lambda: flip(path, path.stat().st_size - 10),
        "cut": lambda: path.write_bytes(path.read_bytes()[:-10]),
        "gone": path.unlink,
    }
    act[damage]()
    with pytest.raises(FormatError, match=path.name):
        _read_everything(open_run(copy))


def _read_everything(run: Run) -> None:
    video = run.video(1)
    for found in video.instances:
        for frame in range(video.frame_count):
            video.heat(found.row, frame)


def test_every_torn_end_of_the_journal_is_a_line_less(copy: Path) -> None:
    path = copy / JOURNAL
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    for length in range(1, len(lines[-1])):
        path.write_bytes(b"".join(lines[:-1]) + lines[-1][:length])
        assert len(read_journal(copy)) == len(lines) - 1


def test_a_damaged_line_is_named(copy: Path) -> None:
    flip(copy / JOURNAL, (copy / JOURNAL).read_bytes().index(b"\n") + 30)
    with pytest.raises(FormatError, match=r"journal.txt, line 2: damaged"):
        open_run(copy)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": "regard-run", "version": 9}'])
def test_a_run_json_that_is_none_is_said(copy: Path, content: str) -> None:
    (copy / "run.json").write_text(content)
    with pytest.raises(FormatError, match=r"run.json does not describe a run"):
        open_run(copy)


def test_folders_that_are_no_run_are_said(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="is no folder"):
        open_run(tmp_path / "none")
    with pytest.raises(FormatError, match="is no run"):
        open_run(tmp_path)
    with pytest.raises(FormatError, match="has no journal"):
        list(check_run(tmp_path))
    with pytest.raises(MediaError, match="is no folder"):
        list(check_run(tmp_path / "none"))

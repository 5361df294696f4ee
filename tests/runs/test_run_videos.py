"""Runs that are made, stopped, gone on with, and joined."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from dvis_reference import SMALL
from regard.datasets.rle import decode_mask
from regard.errors import RegardError, RunError, SelectionError
from regard.models.dvis_daq.model import DvisDaq
from regard.models.dvis_daq.story import Keep
from regard.runs import Run, open_run
from regard.runs.check import check_run
from regard.runs.dataset import dataset_run
from regard.runs.folder import RunFolder
from regard.runs.job import Job, Source
from regard.runs.journal import JOURNAL, Unit, latest, read_journal
from regard.runs.run_videos import Progress
from runs.conftest import CATEGORIES, FRAMES, SIZE_HW, RunDataset, contents, write_dataset


class Stop(Progress):
    """Ends the program, as Ctrl-C does, at a frame of a video."""

    def __init__(self, video: str, frame: int) -> None:
        self.video, self.stop, self.now = video, frame, ""

    def begin(self, name: str, frames: int | None) -> None:
        self.now = name

    def frame(self, count: int) -> None:
        if (self.now, count) == (self.video, self.stop):
            raise KeyboardInterrupt


def test_results_are_as_the_evaluation_takes_them(made: Run) -> None:
    results = json.loads((made.path / "inference" / "results.json").read_text())
    temporal = json.loads((made.path / "inference" / "results_temporal.json").read_text())
    assert {entry["video_id"] for entry in results} == {1, 2}
    for entry, more in zip(results, temporal, strict=True):
        assert set(entry) == {"video_id", "score", "category_id", "segmentations"}
        assert entry.items() <= more.items()
        assert entry["category_id"] in CATEGORIES
        assert len(entry["segmentations"]) == FRAMES
        for mask in entry["segmentations"]:
            assert mask is None or decode_mask(mask, SIZE_HW).any()
    first = [entry for entry in temporal if entry["video_id"] == 1]
    assert [entry["refiner_id"] for entry in first] == [i.row for i in made.video(1).instances]
    assert [entry["track_id"] for entry in first] == [i.track_id for i in made.video(1).instances]


def test_run_json_says_how_it_was_made(made: Run, dataset: Path) -> None:
    assert made.categories == CATEGORIES
    assert made.about["dataset"]["name"] == "val.json"
    assert made.about["settings"]["short_side_px"] == 64
    assert (made.about["keep"], made.about["layers"]) == ("predicted", [6, 7, 8])
    assert len(made.about["model"]["sha256"]) == 64
    text = (made.path / "run.json").read_text()
    assert str(dataset.parent) not in text


@pytest.mark.parametrize(("video", "frame"), [("1", 2), ("2", 3)])
def test_a_run_that_was_stopped_ends_with_the_same_bytes(
    made: Run, dataset: Path, run_dataset: RunDataset, tmp_path: Path, video: str, frame: int
) -> None:
    out = _beside(made, tmp_path)
    with pytest.raises(KeyboardInterrupt):
        run_dataset(dataset, out, progress=Stop(video, frame))
    stopped = open_run(out)
    assert stopped.videos == tuple(str(number) for number in range(1, int(video)))
    outcome = run_dataset(dataset, out)
    assert outcome.done_before == int(video) - 1
    assert contents(out) == contents(made.path)


@pytest.mark.parametrize(("keep", "least", "most"), [("all", 0.95, 1.05), ("predicted", 1, 1.3)])
def test_bytes_are_told_before_the_start(
    network: DvisDaq,
    dataset: Path,
    run_dataset: RunDataset,
    tmp_path: Path,
    keep: Keep,
    least: float,
    most: float,
) -> None:
    """Of predicted rows at most: which are in the result, and how long they live, shows later."""
    settings = SMALL.updated(short_side_px=128)
    run = run_dataset(dataset, tmp_path / "run", settings=settings, keep=keep).run
    written = sum(path.stat().st_size for path in (run.path / "attention_maps").iterdir())
    job = Job(network=network, settings=settings, keep=keep)
    _, sources = dataset_run(dataset, None, job, "tiny", tmp_path / "run")
    told = sum(job.bytes_of(source.open()) for source in sources)
    assert least <= told / written <= most


def _beside(made: Run, folder: Path) -> Path:
    """A folder from which the dataset is seen as from the run that was made."""
    out = made.path.parent / folder.name
    shutil.rmtree(out, ignore_errors=True)
    return out


def test_a_finished_run_is_left_as_it_is(made: Run, dataset: Path, run_dataset: RunDataset) -> None:
    before = {path: path.stat().st_mtime_ns for path in made.path.rglob("*")}
    outcome = run_dataset(dataset, made.path)
    assert outcome.done_before == 2
    assert {path: path.stat().st_mtime_ns for path in before if path.is_file()} == {
        path: time for path, time in before.items() if path.is_file()
    }


def test_one_bad_video_does_not_stop_the_others(run_dataset: RunDataset, tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path)
    bad = tmp_path / "JPEGImages" / "v2" / "00002.png"
    whole = bad.read_bytes()
    bad.write_bytes(whole[:100])
    outcome = run_dataset(dataset, tmp_path / "run")
    assert list(outcome.failed) == ["2"]
    assert outcome.run.videos == ("1",)
    assert "00002.png" in outcome.run.failed["2"]
    with pytest.raises(SelectionError, match=r"video '2' of .* failed"):
        outcome.run.video(2)
    assert not [checked for checked in check_run(tmp_path / "run") if checked.problem]
    bad.write_bytes(whole)
    again = run_dataset(dataset, tmp_path / "run")
    assert (again.failed, again.run.failed, again.run.videos) == ({}, {}, ("1", "2"))
    assert contents(tmp_path / "run") == contents(run_dataset(dataset, tmp_path / "new").run.path)


def test_an_unforeseen_error_in_a_video_is_told_too(
    network: DvisDaq, dataset: Path, run_dataset: RunDataset, tmp_path: Path
) -> None:
    def engine(path: Path, job: Job, sources: list[Source], progress: Progress) -> object:
        from regard.runs.run_videos import attempt

        def broken() -> object:
            raise ZeroDivisionError("a bug of a decoder")

        for source in sources:
            chosen = Source(source.name, broken, source.path) if source.name == "2" else source  # type: ignore[arg-type]
            yield source, attempt(path, job, chosen, progress)

    outcome = run_dataset(dataset, tmp_path / "run", engine=engine)
    assert outcome.failed == {"2": "ZeroDivisionError: a bug of a decoder"}
    assert outcome.run.videos == ("1",)


def test_the_order_in_which_videos_end_leaves_no_trace(
    made: Run, dataset: Path, run_dataset: RunDataset, tmp_path: Path
) -> None:
    def engine(path: Path, job: Job, sources: list[Source], progress: Progress) -> object:
        for source in reversed(sources):
            yield source, job.run(path, source)

    out = _beside(made, tmp_path)
    run_dataset(dataset, out, engine=engine)
    assert contents(out) == contents(made.path)


def test_another_run_is_refused_with_what_differs(
    made: Run, dataset: Path, run_dataset: RunDataset
) -> None:
    before = contents(made.path)
    with pytest.raises(RunError, match=r"layers: \[6, 7, 8\] there, \[8\] now"):
        run_dataset(dataset, made.path, layers=(8,))
    assert contents(made.path) == before


def test_a_second_writer_is_refused(made: Run, dataset: Path, run_dataset: RunDataset) -> None:
    with (
        RunFolder(made.path),
        pytest.raises(RunError, match="another program is writing into the run"),
    ):
        run_dataset(dataset, made.path)


def test_a_model_for_other_classes_is_refused(
    dataset: Path, run_dataset: RunDataset, tmp_path: Path
) -> None:
    content = json.loads(dataset.read_text())
    content["categories"] = content["categories"][:3]
    other = tmp_path / "other.json"
    other.write_text(json.dumps(content))
    with pytest.raises(SelectionError, match="has 3 categories, but the model has 5 classes"):
        run_dataset(other, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_disk_that_is_too_small_is_told_before_the_start(
    dataset: Path, run_dataset: RunDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type(shutil.disk_usage(tmp_path))(10**6, 10**6 - 1000, 1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(RunError, match="needs about"):
        run_dataset(dataset, tmp_path / "run")


def test_files_get_the_modes_of_the_umask(made: Run) -> None:
    umask = os.umask(0)
    os.umask(umask)
    for path in made.path.rglob("*"):
        if path.is_file():
            assert path.stat().st_mode & 0o777 == 0o666 & ~umask


def test_a_unit_made_again_in_another_way_takes_the_place_of_the_old(tmp_path: Path) -> None:
    with RunFolder(tmp_path / "run") as folder:
        folder.add("plots 1", [("plots/a.png", b"a"), ("plots/b.png", b"b")], {"cmap": "jet"})
        assert folder.is_done("plots 1", {"cmap": "jet"})
        assert not folder.is_done("plots 1")
        folder.add("plots 1", [("plots/a.png", b"new")], {"cmap": "viridis"})
    assert contents(tmp_path / "run" / "plots") == {"a.png": b"new"}
    assert not [checked for checked in check_run(tmp_path / "run") if checked.problem]
    with RunFolder(tmp_path / "run") as folder:
        folder.settle(["plots 1"])
        assert folder.units == (Unit("plots 1", dict(folder.units[0].files), {"cmap": "viridis"}),)
    assert (tmp_path / "run" / JOURNAL).read_bytes().count(b"\n") == 1


def test_a_kill_while_a_unit_is_made_again_leaves_no_contradiction(tmp_path: Path) -> None:
    """The journal takes back what it said before the first file is replaced."""
    with RunFolder(tmp_path / "run") as folder:
        folder.add("plots 1", [("plots/a.png", b"a"), ("plots/b.png", b"b")])

        def killed() -> Iterator[tuple[str, bytes]]:
            yield "plots/a.png", b"new"
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            folder.add("plots 1", killed())
    assert latest(read_journal(tmp_path / "run")) == {}
    with RunFolder(tmp_path / "run") as folder:
        assert not folder.is_done("plots 1")
        folder.add("plots 1", [("plots/a.png", b"new")])
    assert contents(tmp_path / "run" / "plots")["a.png"] == b"new"


def test_no_error_of_ours_is_a_bare_exception() -> None:
    assert issubclass(RunError, RegardError)
    assert issubclass(RunError, OSError)

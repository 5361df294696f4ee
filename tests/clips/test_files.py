"""A clip saved as a run: what lies in the folder, and that it says the same as the clip."""

import csv
from pathlib import Path

import av
import numpy as np
import pytest

from regard.clips.clip import ClipAttention
from regard.clips.files import save
from regard.errors import RunError
from regard.runs import RecordedVideo, open_run


@pytest.fixture(scope="module")
def folder(found: ClipAttention, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("out") / "grey"
    written = {path.relative_to(folder).as_posix() for path in save(found, folder, instances=1)}
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert written == there - {"attention_maps/journal.txt"}
    return folder


@pytest.fixture(scope="module")
def saved(folder: Path) -> RecordedVideo:
    return open_run(folder).video("grey")


def test_instances_and_their_masks_are_those_of_the_clip(
    found: ClipAttention, saved: RecordedVideo
) -> None:
    assert len(saved.instances) == len(found.instances)
    for instance, detection in zip(saved.instances, found.instances, strict=True):
        assert (instance.row, instance.label) == (detection.row, detection.label)
        assert instance.score == detection.score
        for frame in range(saved.frame_count):
            mask = found.masks(frame, [detection.row])[0].numpy()
            assert np.array_equal(instance.masks(frame), mask)


def test_the_film_has_every_frame_at_half_the_rate(folder: Path) -> None:
    with av.open(folder / "videos" / "grey_instance_0.mp4") as container:
        stream = container.streams.video[0]
        assert stream.average_rate == 12.5  # every second frame of 25 a second
        assert len(list(container.decode(stream))) == 2


def test_importance_is_written_frame_by_frame(found: ClipAttention, folder: Path) -> None:
    with (folder / "inference" / "grey_instance_0_frames.csv").open() as file:
        rows = list(csv.DictReader(file))
    detection = found.instance(0)
    importance = found.attention.importance(detection.row)
    assert importance.contributions is not None
    assert [int(row["frame"]) for row in rows] == [1, 3]
    assert [bool(int(row["alive"])) for row in rows] == importance.alive.tolist()
    weights = [float(row["weight"]) for row in rows]
    assert weights == pytest.approx(importance.weights.tolist(), rel=1e-6)
    logits = [float(row["logit"]) for row in rows]
    assert logits == pytest.approx(importance.contributions[:, detection.label].tolist(), rel=1e-6)


def test_the_frames_that_were_run_can_be_read_again(saved: RecordedVideo) -> None:
    assert saved.frame_indices == (1, 3)
    assert [frame.index for frame in saved.frames()] == [1, 3]


def test_saving_again_changes_nothing(found: ClipAttention, folder: Path) -> None:
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    list(save(found, folder, instances=1))
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_a_folder_that_cannot_be_made_is_said(found: ClipAttention, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot write into the run"):
        list(save(found, tmp_path / "file" / "out"))

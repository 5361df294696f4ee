"""What a run over a clip leaves in its folder."""

import csv
import json
from pathlib import Path

import av
import numpy as np
import pytest

from regard.clips.clip import ClipAttention
from regard.clips.files import save
from regard.clips.pictures import draw_instance, outlined
from regard.errors import MediaError
from regard.recording import Recording


@pytest.fixture(scope="module")
def folder(found: ClipAttention, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("out") / "grey"
    written = list(save(found, folder, instances=1))
    assert sorted(path.name for path in written) == sorted(p.name for p in folder.iterdir())
    return folder


def test_results_hold_every_instance_and_its_masks(found: ClipAttention, folder: Path) -> None:
    results = json.loads((folder / "results.json").read_text())
    assert len(results) == len(found.instances)
    for result, detection in zip(results, found.instances, strict=True):
        assert result["category_id"] == detection.label + 1
        assert result["score"] == pytest.approx(detection.score, abs=1e-6)
        for frame, stored in enumerate(result["segmentations"]):
            mask = found.masks(frame, [detection.row])[0].numpy()
            assert np.array_equal(decoded(stored, (50, 70)), mask)


def decoded(stored: dict[str, list[int]] | None, size_hw: tuple[int, int]) -> np.ndarray:
    if stored is None:
        return np.zeros(size_hw, bool)
    assert tuple(stored["size"]) == size_hw
    values = np.arange(len(stored["counts"])) % 2 == 1
    return np.repeat(values, stored["counts"]).reshape(size_hw[::-1]).T


def test_the_film_has_every_frame_at_half_the_rate(found: ClipAttention, folder: Path) -> None:
    with av.open(folder / "instance_0.mp4") as container:
        stream = container.streams.video[0]
        assert stream.average_rate == 12.5  # every second frame of 25 a second
        assert len(list(container.decode(stream))) == 2


def test_importance_is_written_frame_by_frame(found: ClipAttention, folder: Path) -> None:
    with (folder / "instance_0_frames.csv").open() as file:
        rows = list(csv.DictReader(file))
    detection = found.instance(0)
    importance = found.attention.importance(detection.row)
    assert [int(row["frame"]) for row in rows] == [1, 3]
    assert [bool(int(row["alive"])) for row in rows] == importance.alive.tolist()
    weights = [float(row["weight"]) for row in rows]
    assert weights == pytest.approx(importance.weights.tolist(), rel=1e-6)
    logits = [float(row["logit"]) for row in rows]
    assert logits == pytest.approx(importance.contributions[:, detection.label].tolist(), rel=1e-6)


def test_the_kept_calls_can_be_loaded(found: ClipAttention, folder: Path) -> None:
    loaded = Recording.load(folder / "attention.safetensors")
    assert [call.axes for call in loaded] == [call.axes for call in found.attention.recording]
    assert [call.queries for call in loaded] == [call.queries for call in found.attention.recording]


def test_run_says_how_it_was_made(folder: Path) -> None:
    run = json.loads((folder / "run.json").read_text())
    assert (run["frames"], run["frame_count"], run["kept"]) == ("1::2", 2, "predicted")
    assert run["settings"]["short_side_px"] == 64


def test_pictures_are_of_one_size_and_differ(found: ClipAttention) -> None:
    pictures = list(draw_instance(found, 0))
    assert len({picture.size for picture in pictures}) == 1
    assert pictures[0].tobytes() != pictures[1].tobytes()


def test_the_outline_lies_on_the_masks_edge() -> None:
    from PIL import Image

    mask = np.zeros((9, 9), bool)
    mask[2:7, 2:7] = True
    drawn = np.asarray(outlined(Image.new("RGB", (9, 9), (100, 100, 100)), mask))
    assert drawn[4, 4].tolist() == [100] * 3
    assert drawn[2, 4].tolist() == [255] * 3
    assert drawn[1, 4].tolist() == [20] * 3
    assert drawn[0, 4].tolist() == [100] * 3


def test_a_folder_that_cannot_be_made_is_said(found: ClipAttention, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MediaError, match="cannot write into"):
        list(save(found, tmp_path / "file" / "out"))

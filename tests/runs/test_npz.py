"""The files of the DVIS attention pipeline, written and read back."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from dvis_reference import SMALL
from regard.errors import FormatError, SelectionError
from regard.runs import RecordedVideo, Run, open_run
from regard.runs.npz_export import export_npz
from runs.conftest import FRAMES, SIZE_HW, RunDataset

KEYS = {
    *("source", "layer", "shape", "spatial_shape", "layer_idx", "feature_level"),
    *("spatial_length", "num_queries", "original_image_height", "original_image_width"),
    *("feature_stride", "feature_stride_h", "feature_stride_w", "video_id", "frame_idx"),
    *("frame_start", "frame_end", "window_idx", "attention_type", "tracker_id_to_seq_id"),
    *("num_heads", "sequence_length"),
}


@pytest.fixture(scope="module")
def exported(everything: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("npz") / "run"
    written = list(export_npz(everything, out))
    assert set(written) == {path for path in out.rglob("*") if path.is_file()}
    return out


@pytest.fixture(scope="module")
def ours(everything: Run) -> RecordedVideo:
    return everything.video(1)


def other_names(exported: Path, out: Path) -> Path:
    """The same run with one predictor file a frame, and without levels in the names."""
    shutil.copytree(exported, out)
    for path in out.glob("attention_maps/*_predictor_cross_attn_layer_*.npz"):
        weights = np.load(path)["attention_weights"]
        layer = path.stem.split("_layer_")[1].split("_")[0]
        video = path.name.split("_")[1]
        for frame in range(len(weights)):
            name = f"video_{video}_frame_{frame}_predictor_cross_attn_layer_{layer}.npz"
            np.savez_compressed(path.with_name(name), attention_weights=weights[frame : frame + 1])
        path.unlink()
    return out


@pytest.fixture(scope="module", params=["windows", "frames"])
def theirs(
    request: pytest.FixtureRequest, exported: Path, tmp_path_factory: pytest.TempPathFactory
) -> RecordedVideo:
    folder = exported
    if request.param == "frames":
        folder = other_names(exported, tmp_path_factory.mktemp("frames") / "run")
    return open_run(folder, short_side_px=64).video(1)


def test_names_and_schemas_are_those_of_the_pipeline(exported: Path) -> None:
    maps = exported / "attention_maps"
    last = FRAMES - 1
    shapes = {
        f"video_1_frames0-{last}_predictor_cross_attn_layer_6_level_0": (FRAMES, 20, 2 * 3),
        f"video_1_frames0-{last}_predictor_cross_attn_layer_8_level_2": (FRAMES, 20, 8 * 12),
        "video_1_frame_0_tracker_cross_layer_5_attn": (1, 20, 20),
        "video_1_refiner_temporal_layer_0_attn": (20, FRAMES, FRAMES),
    }
    for stem, shape in shapes.items():
        weights = np.load(maps / f"{stem}.npz")["attention_weights"]
        meta = json.loads((maps / f"{stem}.meta.json").read_text())
        assert (weights.shape, weights.dtype) == (shape, np.float32)
        assert weights.sum(-1) == pytest.approx(np.ones(shape[:-1]), abs=1e-5)
        assert meta.keys() == KEYS
        assert meta["shape"] == list(shape)
        assert meta["video_id"] == 1
    activation = np.load(maps / "video_1_activation_proj_weights.npz")
    assert activation["activation_weights"].shape == (1, 1, FRAMES, 20, 1)
    assert activation["last_layer_activation"].shape == (1, FRAMES, 20, 1)
    assert activation["per_frame_importance"].shape == (1, FRAMES, 1)
    assert activation["decoder_output_shape"].tolist() == [1, 1, FRAMES, 20, 64]
    ids = json.loads((maps / "refiner_id_mappings.json").read_text())
    assert len(ids["_refiner_id_to_seq_id_maps"]["1"][f"frames_0_{last}"]) == 20
    temporal = json.loads((exported / "inference" / "results_temporal.json").read_text())
    expected = {"video_id", "score", "category_id", "refiner_id", "segmentations"}
    assert all(entry.keys() == expected for entry in temporal)
    sizes = json.loads((exported / "inference" / "image_dimensions.json").read_text())["1"]
    assert (sizes["padded_image_height"], sizes["padded_image_width"]) == (64, 96)
    assert (sizes["original_image_height"], sizes["original_image_width"]) == (64, 90)
    assert (sizes["pad_bottom"], sizes["pad_right"]) == (0, 6)


def test_what_was_found_is_read_back(ours: RecordedVideo, theirs: RecordedVideo) -> None:
    assert theirs.frame_count == FRAMES
    assert theirs.size_hw == SIZE_HW
    assert theirs.view == ours.view
    assert theirs.decoder_layers == (6, 7, 8)
    assert len(theirs.instances) == len(ours.instances)
    for one, other in zip(ours.instances, theirs.instances, strict=True):
        assert (one.row, one.score, one.category_id) == (other.row, other.score, other.category_id)
        assert one.track_id == other.track_id
        assert np.array_equal(one.masks(1), other.masks(1))


def test_attention_is_read_back(ours: RecordedVideo, theirs: RecordedVideo) -> None:
    seen = 0
    for row in sorted({found.row for found in ours.instances if found.track_id is not None}):
        assert torch.allclose(ours.temporal(2, row), theirs.temporal(2, row), atol=1e-6)
        importance = theirs.importance(row)
        assert torch.allclose(importance.weights, ours.importance(row).weights)
        assert importance.contributions is None
        for frame in ours.story.rows[row].life:
            for mixing in ("weighted", "top"):
                heat = theirs.heat(row, frame, mixing=mixing)
                expected = ours.heat(row, frame, mixing=mixing)
                assert heat is not None
                assert expected is not None
                assert torch.allclose(heat, expected, atol=1e-7, equal_nan=True)
                seen += 1
            assert theirs.query_of(row, frame) == ours.query_of(row, frame)
    assert seen
    assert torch.allclose(ours.decoder(7, 1), theirs.decoder(7, 1), atol=1e-6)


@pytest.mark.parametrize(
    "options", [{"masked": False}, {"head": 0}, {"decoder_head": 0}, {"mixing": "rollout"}]
)
def test_what_the_files_do_not_hold_is_refused(
    theirs: RecordedVideo, options: dict[str, object]
) -> None:
    found = next(found for found in theirs.instances if found.track_id is not None)
    with pytest.raises(SelectionError, match=r"record|was kept"):
        theirs.heat(found.row, found.life.start, **options)  # type: ignore[arg-type]


def test_a_size_that_does_not_fit_leaves_the_view_open(exported: Path) -> None:
    video = open_run(exported, short_side_px=480).video(1)
    assert video.view is None
    found = next(found for found in video.instances if found.track_id is not None)
    with pytest.raises(SelectionError, match="short_side_px"):
        video.heat(found.row, found.life.start)
    assert video.tracker(-1, found.row, found.life.start) is not None


def test_rows_that_were_not_kept_are_nan(
    dataset: Path, run_dataset: RunDataset, tmp_path: Path
) -> None:
    run = run_dataset(dataset, tmp_path / "run", settings=SMALL.updated(max_instances=4)).run
    list(export_npz(run, tmp_path / "npz"))
    maps = tmp_path / "npz" / "attention_maps"
    rows = np.load(maps / "video_1_refiner_temporal_layer_0_attn.npz")
    found = {instance.row for instance in run.video(1).instances}
    nan = np.isnan(rows["attention_weights"]).all((1, 2))
    assert set(np.flatnonzero(~nan)) == found
    assert len(found) <= 4


def test_finished_maps_cannot_be_exported(
    dataset: Path, run_dataset: RunDataset, tmp_path: Path
) -> None:
    run = run_dataset(dataset, tmp_path / "run", keep="maps").run
    with pytest.raises(SelectionError, match="kept finished maps"):
        list(export_npz(run, tmp_path / "npz"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("inference/results_temporal.json", b"{", "cannot be read"),
        ("inference/results_temporal.json", b'[{"video_id": 1}]', "lists no results: KeyError"),
        ("attention_maps/refiner_id_mappings.json", b"[]", "maps no rows to tracks"),
        ("attention_maps/video_1_activation_proj_weights.npz", b"PK", "holds no array"),
    ],
)
def test_damaged_files_are_said(
    exported: Path, tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    shutil.copytree(exported, tmp_path / "run")
    (tmp_path / "run" / name).write_bytes(content)
    with pytest.raises(FormatError, match=message):
        _ = open_run(tmp_path / "run", short_side_px=64).video(1).instances


def test_an_array_that_would_fill_the_memory_is_refused(exported: Path, tmp_path: Path) -> None:
    import zipfile

    shutil.copytree(exported, tmp_path / "run")
    path = tmp_path / "run" / "attention_maps" / "video_1_activation_proj_weights.npz"
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1, 99999999, 9999, 1), }"
    padded = header + b" " * (117 - len(header)) + b"\n"
    with zipfile.ZipFile(path, "w") as archive:
        start = b"\x93NUMPY\x01\x00" + len(padded).to_bytes(2, "little")
        archive.writestr("activation_weights.npy", start + padded)
    with pytest.raises(FormatError, match="more than any attention"):
        _ = open_run(tmp_path / "run", short_side_px=64).video(1).instances

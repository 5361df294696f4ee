"""What the DVIS attention pipeline gets wrong about recording, ids and sizes holds here.

The numbers are those of the list of its bugs; plots and summaries have theirs elsewhere.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dvis_reference import SMALL
from regard.errors import FormatError
from regard.models.dvis_daq.tracks import Tracks
from regard.runs import Run, open_run
from regard.runs.npz_export import export_npz
from runs.conftest import CATEGORIES, RunDataset


@pytest.fixture(scope="module")
def run(run_dataset: RunDataset, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Two videos of different sizes, each in two windows."""
    folder = tmp_path_factory.mktemp("sizes")
    random = np.random.default_rng(1)
    videos = []
    for number, (height, width) in enumerate([(50, 70), (80, 48)], 1):
        names = [f"{number}/{frame}.png" for frame in range(3)]
        for name in names:
            path = folder / "JPEGImages" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = random.integers(0, 255, (height, width, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(path)
        videos.append({"id": number, "file_names": names, "height": height, "width": width})
    categories = [{"id": number, "name": name} for number, name in CATEGORIES.items()]
    dataset = folder / "val.json"
    dataset.write_text(json.dumps({"videos": videos, "categories": categories}))
    settings = SMALL.updated(window=2)
    return run_dataset(dataset, folder / "run", keep="all", settings=settings).run


@pytest.fixture(scope="module")
def exported(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("npz") / "run"
    list(export_npz(run, out))
    return out


def meta(exported: Path, stem: str) -> dict[str, object]:
    content: dict[str, object] = json.loads(
        (exported / "attention_maps" / f"{stem}.meta.json").read_text()
    )
    return content


def test_bug_1_shapes_are_those_of_each_window_and_each_video(run: Run, exported: Path) -> None:
    assert [run.video(1).level_hw(layer) for layer in (6, 7, 8)] == [(2, 3), (4, 6), (8, 12)]
    assert [run.video(2).level_hw(layer) for layer in (6, 7, 8)] == [(4, 2), (8, 4), (16, 8)]
    for video, shape in ((1, [4, 6]), (2, [8, 4])):
        for frames in ("0-1", "2-2"):
            stem = f"video_{video}_frames{frames}_predictor_cross_attn_layer_7_level_1"
            assert meta(exported, stem)["spatial_shape"] == shape
            assert meta(exported, stem)["feature_level"] == 1


def test_bug_2_every_file_says_its_own_frames(exported: Path) -> None:
    for frame in range(3):
        assert meta(exported, f"video_1_frame_{frame}_tracker_cross_layer_0_attn")["frame_idx"] == (
            frame
        )
    refiner = meta(exported, "video_1_refiner_temporal_layer_0_attn")
    assert (refiner["frame_start"], refiner["frame_end"]) == (0, 2)
    ids = json.loads((exported / "attention_maps" / "refiner_id_mappings.json").read_text())
    assert list(ids["_refiner_id_to_seq_id_maps"]["1"]) == ["frames_0_2"]


def test_bug_3_tracks_are_found_whatever_their_number(run: Run, exported: Path) -> None:
    """Also a track whose id is the number of tracks, which stands beside the ids."""
    foreign = open_run(exported, short_side_px=64)
    for name in run.videos:
        ours, theirs = run.video(name), foreign.video(name)
        for row, of in enumerate(ours.story.rows):
            for frame in of.life if of.track_id is not None else ():
                assert theirs.query_of(row, frame) == ours.query_of(row, frame)
                assert theirs.tracker(-1, row, frame) is not None
    counts = {len(frame.entered) for frame in run.video(1).story.tracked}
    ids = {of.track_id for of in run.video(1).story.rows}
    assert counts & ids


def test_bug_4_no_new_query_takes_the_name_of_a_track_that_was_cut_off(exported: Path) -> None:
    """Its id lists are longer than its tracks once the cap is reached; the rest is dropped."""
    stem = "video_1_frame_2_tracker_cross_layer_0_attn"
    content = meta(exported, stem)
    mapping = content["tracker_id_to_seq_id"]
    assert isinstance(mapping, dict)
    rows = int(np.load(exported / "attention_maps" / f"{stem}.npz")["attention_weights"].shape[1])
    capped = {str(query): 1000 + query for query in range(rows)} | {"num_track_queries": rows}
    folder = exported.parent / "capped"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(exported, folder)
    path = folder / "attention_maps" / f"{stem}.meta.json"
    path.write_text(json.dumps(content | {"tracker_id_to_seq_id": capped}))
    video = open_run(folder, short_side_px=64).video(1)
    assert video.story.tracked[2].left == tuple(range(1000, 1000 + rows - 20))
    assert video.tracker_names(2)[-1] == "candidate 19"


def test_bug_4_a_full_house_lets_no_track_inherit() -> None:
    import torch

    tracks = Tracks(max_unseen_frames=8, max_alive=2)
    values = torch.zeros(4, 3)
    tracks.update(0, [True, True, True, False], values, values, values)
    after = tracks.update(1, [True, True, True, True], values, values, values)
    assert after.left == (0, 1)


def test_bug_5_maps_lie_on_the_frame_without_its_padding(run: Run, exported: Path) -> None:
    video = run.video(1)
    assert video.view is not None
    assert (video.view.original_hw, video.view.input_hw) == ((50, 70), (64, 96))
    found = next(found for found in video.instances if found.track_id is not None)
    heat = video.heat(found.row, found.life.start, layers=[8], between="cells")
    weights = video.attention.cell_weights(found.row, found.life.start, 8)
    assert heat is not None
    assert weights is not None
    grid = weights.reshape(8, 12)
    scale = 64 / 50  # the last cell of a row, columns 88 to 96, has 2 columns of the frame's 90
    assert heat.shape == (50, 70)
    inside = heat[:, : int(88 / scale)].nansum()
    assert inside.item() == pytest.approx(grid[:, :11].sum().item(), rel=0.02)
    sizes = json.loads((exported / "inference" / "image_dimensions.json").read_text())
    assert (sizes["1"]["original_image_width"], sizes["1"]["padded_image_width"]) == (90, 96)


def test_bug_7_tracks_have_a_query_in_their_first_frame(run: Run, exported: Path) -> None:
    first = {of.life.start for of in run.video(1).story.rows if of.track_id is not None}
    assert first
    for row, of in enumerate(run.video(1).story.rows):
        if of.track_id is None:
            continue
        born = of.life.start
        assert run.video(1).tracker(-1, row, born) is not None
        ids = meta(exported, f"video_1_frame_{born}_tracker_cross_layer_0_attn")[
            "tracker_id_to_seq_id"
        ]
        assert isinstance(ids, dict)
        assert of.track_id in {i for query, i in ids.items() if query != "num_track_queries"}


def test_bug_9_layers_and_residuals_of_the_tracker_can_be_followed(run: Run) -> None:
    video = run.video(1)
    found = next(found for found in video.instances if found.track_id is not None)
    maps = [
        video.heat(found.row, found.life.start, mixing=mixing)
        for mixing in ("weighted", "top", "rollout")
    ]
    first = video.heat(found.row, found.life.start, tracker_layer=0)
    assert (
        len({heat.nansum(0).numpy().tobytes() for heat in (*maps, first) if heat is not None}) == 4
    )


def test_bug_10_frames_outside_of_a_life_are_marked(run: Run) -> None:
    lives = [of.life for of in run.video(1).story.rows if of.track_id is not None]
    assert any(len(life) < 3 for life in lives)
    for row, of in enumerate(run.video(1).story.rows):
        alive = run.video(1).importance(row).alive
        assert alive.nonzero()[:, 0].tolist() == list(of.life)


def test_bug_11_the_dataset_is_not_guessed(exported: Path) -> None:
    folder = exported.parent / "two"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(exported, folder)
    for name in ("interval.json", "val_fold2.json"):
        (folder / name).write_text("{}")
    with pytest.raises(FormatError, match=r"several datasets \(interval.json, val_fold2.json\)"):
        open_run(folder)


def test_bug_11_every_prediction_has_its_attention(run: Run) -> None:
    video = run.video(1)
    assert len({found.row for found in video.instances}) > 1
    for found in video.instances:
        if found.track_id is not None:
            assert video.heat(found.row, found.life.start) is not None

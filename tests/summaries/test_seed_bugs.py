"""Errors of the scripts that `regard summarize` stands for: each one named, none of them here."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest

import regard
from regard.runs import Run
from regard.runs.choice import Choice
from runs.conftest import RunDataset
from summaries.conftest import FRAMES, write_npz_run

SEED_TOP_KEYS = {
    "model_name",
    "refiner_id",
    "score",
    "category_id",
    "activation_vector",
    "activation_vector_unnormalized",
    "num_frames",
    "original_min",
    "original_max",
    "is_scrambled",
}


def test_tracks_need_not_fill_two_hundred_queries(tmp_path: Path) -> None:
    """Maps of any other shape than (1, 200, 200) were left out, and with them whole videos."""
    run = write_npz_run(tmp_path / "run")
    found = regard.summarize(run, plots=False, choice=Choice(best=None))
    first, second = found.content["videos"]["7"]["instances"]
    assert [carrier["frame"] for carrier in first["tracker"]["flow"]] == [1, 2]
    assert [carrier["frame"] for carrier in second["tracker"]["flow"]] == [1, 2]


def test_a_track_may_be_called_as_many_as_there_are(tmp_path: Path) -> None:
    """The count of track queries lay among their ids, and the search took it for one."""
    run = write_npz_run(tmp_path / "run")
    regard.summarize(run, plots=False)
    top5 = json.loads((run / "inference" / "tracker_attention_top5.json").read_text())["7"]
    assert (top5["refiner_id"], top5["sequence_id"]) == (1, 2)
    with np.load(run / "attention_maps/video_7_frame_2_tracker_cross_layer_1_attn.npz") as npz:
        own = npz["attention_weights"][0, 0]
    layer = top5["frames"]["2"]["1"]
    assert layer["attention_weights"] == pytest.approx(own.tolist(), rel=1e-6)
    assert layer["top5_indices"] == np.argsort(-own).tolist()[:5]
    summed = top5["frames"]["2"]["sum_across_layers"]["attention_sum"]
    both = np.add(layer["attention_weights"], top5["frames"]["2"]["0"]["attention_weights"])
    assert summed == pytest.approx(both.tolist())


def test_plots_do_not_suppress_the_numbers(tmp_path: Path) -> None:
    """With --plot no JSON was written, which every later step needs."""
    run = write_npz_run(tmp_path / "run")
    regard.summarize(run, plots=True)
    top = json.loads((run / "inference" / "activation_proj_top_predictions.json").read_text())
    assert set(top["7"]) == SEED_TOP_KEYS
    with np.load(run / "attention_maps/video_7_activation_proj_weights.npz") as npz:
        weights = npz["activation_weights"][0, 0, :, 1, 0]
    assert top["7"]["activation_vector_unnormalized"] == pytest.approx(weights.tolist(), rel=1e-6)
    stretched = (weights - weights.min()) / (weights.max() - weights.min())
    assert top["7"]["activation_vector"] == pytest.approx(stretched.tolist(), abs=1e-6)
    assert (run / "plots" / "7" / "weights_instance_0.png").is_file()
    rows = list(csv.DictReader(io.StringIO((run / "inference/top_frames_75.csv").read_text())))
    assert list(rows[0]) == [
        "video_id",
        "pred_category",
        "true_category",
        "frame_num",
        "frame_activation",
        "frame_activation_norm",
    ]


def test_every_instance_can_be_summed_up_not_the_best_alone(tmp_path: Path) -> None:
    run = write_npz_run(tmp_path / "run")
    for choice, rows in (
        (Choice(), [1]),
        (Choice(best=None), [1, 0]),
        (Choice(best=None, category="5"), [0]),
        (Choice(best=None, track=51), [0]),
        (Choice(places=[1]), [0]),
    ):
        found = regard.summarize(run, plots=False, choice=choice).content["videos"]["7"]
        assert [one["row"] for one in found["instances"]] == rows


def test_frames_outside_of_a_life_are_told(run: Path, made: Run) -> None:
    """Weights of frames in which a track did not live looked like those of frames that it saw."""
    content = regard.summarize(run, plots=False, choice=Choice(best=None)).content
    short = 0
    for name, of in content["videos"].items():
        for one in of["instances"]:
            start, stop = one["life"]
            lives = [int(start <= frame < stop) for frame in range(FRAMES)]
            assert one["importance"]["alive"] == lives
            weights = made.video(name).importance(one["row"]).weights
            outside = sum(float(w) for w, a in zip(weights, lives, strict=True) if not a)
            assert one["importance"]["share_outside_life"] == pytest.approx(outside, abs=1e-6)
            short += outside > 0
    assert short


def test_all_objects_of_a_video_count_not_the_last(run: Path, annotations: Path) -> None:
    """A second annotation of a video overwrote the first; the file was found by its name."""
    regard.summarize(run, annotations=annotations, plots=False)
    frames = json.loads((run / "inference" / "val_frames_with_fish.json").read_text())
    assert frames["1"]["frame_indices"] == [0, 1, 2, 3, 4]  # the square; a strip in the last
    assert frames["2"]["frame_indices"] == [0, 1, 2, 3]
    assert frames["2"]["num_frames_with_fish"] == 4
    assert frames["2"]["file_names"] == [f"v2/0000{frame}.png" for frame in range(4)]


def test_permutations_are_stated_as_they_were_made(run: Path) -> None:
    """Ten were made, and five thousand stated."""
    found = regard.summarize(run, against=run, permutations=10, plots=False).content
    for test in found["comparison"]["tests"].values():
        assert test["n_permutations"] == 10
        assert (test["p_value"] * 11) == pytest.approx(round(test["p_value"] * 11))


def test_attention_of_the_tracker_is_told_kind_by_kind(
    dataset: Path, run_dataset: RunDataset, tmp_path: Path
) -> None:
    """Only the mean of cross-attention was looked at; self-attention and slots were ignored."""
    run = run_dataset(dataset, tmp_path / "run", keep="all").run
    content = regard.summarize(run.path, plots=False, choice=Choice(best=None)).content
    tracks = [one for of in content["videos"].values() for one in of["instances"] if one["tracker"]]
    assert tracks
    for one in tracks:
        kinds = one["tracker"]
        assert set(kinds) == {"cross", "self", "slot", "flow"}
        assert list(kinds["self"]) == list(kinds["cross"]) == [str(layer) for layer in range(6)]
        birth = str(one["life"][0])
        assert birth in kinds["cross"]["0"]  # a track's first frame was always missing
        name, weight = kinds["self"]["0"][birth][0]
        assert name.startswith(("track", "candidate", "object query", "query"))
        assert 0 < weight <= 1

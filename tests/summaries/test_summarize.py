"""A run summed up, from end to end."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import regard
from regard.datasets.scramble import inverse, scrambled
from regard.errors import FormatError, SelectionError
from regard.runs import Run, open_run
from regard.runs.check import check_run
from regard.runs.choice import Choice
from regard.summaries.summarize import Summary
from runs.conftest import RunDataset, contents
from summaries.conftest import EEL, FISH, FRAMES, annotate


def summed_up(run: Path, **options: Any) -> Summary:
    return regard.summarize(run, **({"plots": False} | options))


def test_everything_is_written_into_the_run_and_vouched_for(run: Path, annotations: Path) -> None:
    found = regard.summarize(run, annotations=annotations, choice=Choice(best=2))
    names = {path.relative_to(run).as_posix() for path in found.written}
    assert all(path.is_file() for path in found.written)
    assert {name for name in names if name.startswith("inference")} == {
        "inference/summary.json",
        "inference/activation_proj_top_predictions.json",
        "inference/tracker_attention_top5.json",
        "inference/val_frames_with_fish.json",
        "inference/top_frames_75.csv",
    }
    assert {
        "plots/1/weights_instance_0.png",
        "plots/2/weights_sorted_instance_1.png",
    } < (names)
    assert json.loads((run / "inference" / "summary.json").read_text()) == found.content
    assert [checked for checked in check_run(run) if checked.problem] == []
    for path in run.glob("plots/**/*.png"):
        with Image.open(path) as image:
            assert image.width > 1000


def test_the_same_command_gives_the_same_bytes_and_a_narrower_one_cleans_up(
    run: Path, annotations: Path
) -> None:
    options: dict[str, Any] = {"annotations": annotations, "plots": True}
    options |= {"choice": Choice(places=[1]), "against": run, "permutations": 20}
    regard.summarize(run, **options)
    first = contents(run)
    regard.summarize(run, **options)
    assert contents(run) == first
    regard.summarize(run, plots=False)
    assert not list(run.glob("plots/**/*.png"))
    assert [checked for checked in check_run(run) if checked.problem] == []


def test_numbers_are_those_of_the_run(run: Path, annotations: Path, made: Run) -> None:
    found = summed_up(run, annotations=annotations, choice=Choice(best=None)).content
    for name, of in found["videos"].items():
        video = made.video(name)
        assert (of["frames"], of["original_places"]) == (FRAMES, None)
        assert [one["row"] for one in of["instances"]] == [one.row for one in video.instances]
        for one, instance in zip(of["instances"], video.instances, strict=True):
            importance = video.importance(instance.row)
            assert one["importance"]["weights"] == pytest.approx(importance.weights.tolist())
            assert importance.contributions is not None
            logits = importance.contributions[:, instance.label].tolist()
            assert one["importance"]["logits"] == pytest.approx(logits)
            assert one["importance"]["alive"] == importance.alive.int().tolist()
            outside = importance.weights[~importance.alive].sum().item()
            assert one["importance"]["share_outside_life"] == pytest.approx(outside, abs=1e-6)


def test_attention_in_regions_is_that_of_the_map(
    run: Path, annotations: Path, made: Run, tmp_path: Path
) -> None:
    regions = tmp_path / "regions.json"
    rows = [
        {"name": "everything", "box_xyxy": [0, 0, 70, 50]},
        {"name": "left half", "box_xyxy": [0, 0, 35, 50]},
        {"name": "once", "video": 2, "boxes_xyxy": [None, [0, 0, 9, 9], None, None, None]},
    ]
    regions.write_text(json.dumps({"regions": rows}))
    found = summed_up(run, annotations=annotations, regions=regions).content["videos"]
    video = made.video(2)
    one, instance = found["2"]["instances"][0], video.instances[0]
    here = one["regions"]
    assert here["everything"]["mass"] == pytest.approx([1.0] * len(instance.life))
    assert here["everything"]["mean_lift"] == pytest.approx(1.0)
    assert here["once"]["frames"] == [1]
    assert "once" not in found["1"]["instances"][0]["regions"]
    for place, frame in enumerate(here["left half"]["frames"]):
        heat = video.heat(instance.row, frame)
        assert heat is not None
        mass = (heat[:, :35].sum() / heat.sum()).item()
        assert here["left half"]["mass"][place] == pytest.approx(mass, rel=1e-5)
        assert here["left half"]["lift"][place] == pytest.approx(2 * mass, rel=1e-5)
    weights = np.array(one["importance"]["weights"])[here["left half"]["frames"]]
    mean = (np.array(here["left half"]["mass"]) * weights).sum() / weights.sum()
    assert here["left half"]["mean_mass_by_importance"] == pytest.approx(mean, rel=1e-5)


def test_an_annotated_file_of_parts_names_regions_by_its_categories(
    run: Path, annotations: Path
) -> None:
    found = summed_up(run, annotations=annotations, regions=annotations).content["videos"]
    here = found["1"]["instances"][0]["regions"]
    assert {"fish", "bird", "own mask"} <= set(here)  # categories 8 and 13
    assert here["bird"]["frames"] in ([FRAMES - 1], [])


def test_instances_are_matched_with_objects(run: Path, annotations: Path) -> None:
    content = summed_up(run, annotations=annotations, choice=Choice(best=None)).content
    objects = content["videos"]["1"]["objects"]
    assert [(one["category_id"], one["frames"]) for one in objects] == [
        (FISH, [0, 1, 2, 3]),
        (EEL, [4]),
    ]
    matched = [one for one in content["videos"]["1"]["instances"] if one["object"] is not None]
    assert matched
    for one in matched:
        right = objects[one["object"]["index"]]["category_id"] == one["category_id"]
        assert one["object"]["is_right"] == right
        assert 0 < one["object"]["overlap"] <= 1
        told, frames = one["importance"], objects[one["object"]["index"]]["frames"]
        share = sum(told["weights"][frame] for frame in frames)
        assert told["share_on_annotated_frames"] == pytest.approx(share)


def test_the_csv_lists_the_frames_that_hold_the_share(run: Path, annotations: Path) -> None:
    found = summed_up(run, annotations=annotations, share=0.6, max_frames=2)
    path = run / "inference" / "top_frames_60_cap2.csv"
    assert path in found.written
    rows = list(csv.DictReader(io.StringIO(path.read_text())))
    for name in ("1", "2"):
        weights = np.array(found.content["videos"][name]["instances"][0]["importance"]["weights"])
        own = [row for row in rows if row["video_id"] == name]
        assert 1 <= len(own) <= 2
        order = np.argsort(-weights, kind="stable")
        assert [int(row["frame_num"]) - 1 for row in own] == order[: len(own)].tolist()
        assert sum(float(row["frame_activation_norm"]) for row in own) == pytest.approx(1)
        chosen = [float(row["frame_activation"]) for row in own]
        assert chosen == pytest.approx(weights[order[: len(own)]].tolist(), rel=1e-6)


def test_two_runs_are_compared_and_both_stand_in_the_seeds_file(
    run: Path, made: Run, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    run.rename(other)
    found = summed_up(made.path, against=other, permutations=30, seed=1)
    compared = found.content["comparison"]
    assert compared["videos"] == {"1": 0.0, "2": 0.0}
    assert compared["tests"]["swap"]["n_permutations"] == 30
    assert compared["tests"]["swap"]["p_value"] == 1
    top = json.loads((made.path / "inference/activation_proj_top_predictions.json").read_text())
    assert [entry["model_name"] for entry in top["1"]] == [made.path.name, "other"]


def test_a_scrambled_run_is_told_in_the_original_order(
    dataset: Path, run_dataset: RunDataset, tmp_path: Path
) -> None:
    content = scrambled(json.loads(dataset.read_text()), 5)
    content["videos"] = content["videos"][:1]
    order = content["videos"][0]["frame_order"]
    assert order != sorted(order)
    there = tmp_path / "scrambled.json"
    there.write_text(json.dumps(content))
    images = dataset.parent / "JPEGImages"
    (tmp_path / "JPEGImages").symlink_to(images)
    run = run_dataset(there, tmp_path / "run").run
    truth = annotate(there, tmp_path / "truth.json")
    of = summed_up(run.path, annotations=truth).content["videos"]["1"]
    assert of["original_places"] == order
    assert of["objects"][0]["frames"] == [new for new, old in enumerate(order) if old != FRAMES - 1]
    weights = np.array(of["instances"][0]["importance"]["weights"])
    path = run.path / "inference" / "activation_proj_top_predictions.json"
    entry = json.loads(path.read_text())["1"]
    assert (entry["is_scrambled"], entry["is_unscrambled"]) == (True, True)
    assert entry["activation_vector_scrambled"] == pytest.approx(weights.tolist())
    back = weights[inverse(order)]
    assert entry["activation_vector_unnormalized"] == pytest.approx(back.tolist())


def test_object_queries_are_summed_up_besides(run: Path, annotations: Path) -> None:
    choice = Choice(best=0, queries=[3])
    of = summed_up(run, annotations=annotations, choice=choice).content["videos"]["1"]
    assert of["instances"] == []
    (query,) = of["queries"]
    assert query["query"] == 3
    assert query["regions"]["annotated objects"]["frames"] == list(range(FRAMES))
    assert all(0 <= user["share"] <= 1 for user in query["used_by"])
    with pytest.raises(SelectionError, match="object query 99 does not exist"):
        summed_up(run, choice=Choice(best=0, queries=[99]))


def test_what_was_not_kept_is_told_and_costs_nothing_else(
    dataset: Path, run_dataset: RunDataset, tmp_path: Path
) -> None:
    run = run_dataset(dataset, tmp_path / "run", keep="maps").run
    found = summed_up(run.path, choice=Choice(best=None))
    assert "tracker attention" in found.not_available
    assert all(who.startswith("video") for who in found.not_available["tracker attention"]["of"])
    tracks = [
        one
        for of in found.content["videos"].values()
        for one in of["instances"]
        if one["track"] is not None
    ]
    assert tracks
    assert all(one["tracker"] is None and one["importance"] for one in tracks)
    assert any(one["regions"] for one in tracks)


def test_choices_that_lead_nowhere_are_refused(
    run: Path, annotations: Path, tmp_path: Path
) -> None:
    with pytest.raises(SelectionError, match="nothing in any video is class 'whale'; there are"):
        summed_up(run, choice=Choice(category="whale"))
    with pytest.raises(SelectionError, match="track 777"):
        summed_up(run, choice=Choice(track=777))
    with pytest.raises(SelectionError, match="instance 99 does not exist"):
        summed_up(run, choice=Choice(places=[99]))
    content = json.loads(annotations.read_text())
    content["videos"] = content["videos"][1:]
    content["annotations"] = []
    less = tmp_path / "less.json"
    less.write_text(json.dumps(content))
    with pytest.raises(FormatError, match="has no video '1'"):
        summed_up(run, annotations=less)
    content["videos"][0]["file_names"] = ["a.png"]
    less.write_text(json.dumps(content | {"videos": [content["videos"][0] | {"id": 1}]}))
    with pytest.raises(FormatError, match="1 frames of"):
        summed_up(run, annotations=less)
    regions = tmp_path / "regions.json"
    for rows, words in (
        ([], "lists no regions"),
        ([{"box_xyxy": [0, 0, 1, 1]}], "region 0 has no name"),
        ([{"name": "a"}], "region 0 has nothing"),
        ([{"name": "a", "box_xyxy": [0, 0, 1]}], "expected x0, y0, x1, y1"),
        ([{"name": "a", "boxes_xyxy": [[0, 0, 1, 1]]}], "has 1 frames, none of them 1"),
        ([{"name": "a", "segmentations": [{"size": [1, 1], "counts": [1]}]}], "frame 0: a mask"),
    ):
        regions.write_text(json.dumps({"regions": rows}))
        with pytest.raises(FormatError, match=words):
            summed_up(run, regions=regions)
    assert open_run(run).videos == ("1", "2")

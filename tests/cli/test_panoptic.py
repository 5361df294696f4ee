"""`regard panoptic` and `regard evaluate`, as people run them."""

import json
from pathlib import Path

import pytest

from command_line import Run, noisy_photo
from regard.cli.panoptic import parse_layers
from segmenters import save, tiny_detr, tiny_mask2former


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save(tiny_detr(labels=133), tmp_path_factory.mktemp("tiny-detr")))


def test_photos_become_pictures_and_files_that_can_be_evaluated(
    run: Run, here: Path, model: str
) -> None:
    for name in ("000000000007.png", "b.png"):
        noisy_photo(here / name)
    options = ("--model", model, "--threshold", "0.001", "--short-side-px", "64")
    done = run("panoptic", "000000000007.png", "b.png", *options)
    assert (done.code, done.err) == (0, "")
    assert [line.split()[0] for line in done.out.splitlines()] == ["000000000007.png", "b.png"]
    out = here / "regard-out"
    assert {path.name for path in (out / "b").iterdir()} >= {"summary.png", "segments.png"}
    content = json.loads((out / "panoptic.json").read_text())
    assert [row["image_id"] for row in content["annotations"]] == [7, "b"]
    assert {row["image_id"] for row in json.loads((out / "instances.json").read_text())} == {7, "b"}
    done = run("evaluate", "regard-out/panoptic.json", "regard-out/panoptic.json", "--per-class")
    assert done.code == 0
    assert done.out.splitlines()[0].strip() == "2 images"
    assert any(line.split()[:4] == ["all", "100.0", "100.0", "100.0"] for line in
               done.out.splitlines())  # fmt: skip


def test_a_pixel_and_layers_can_be_asked_for(run: Run, here: Path, tmp_path: Path) -> None:
    noisy_photo(here / "a.png")
    model = str(save(tiny_mask2former(), tmp_path / "m2f"))
    options = ("--model", model, "--short-side-px", "64", "--layers", "last3", "--query", "3")
    done = run("panoptic", "a.png", *options, "--threshold", "0.01", "--encoder", "9.5,20")
    assert done.code == 0
    assert "query 3: class" in done.out
    assert (here / "regard-out" / "a" / "query_masked_unmasked.png").is_file()
    assert (here / "regard-out" / "a" / "encoder.png").is_file()


def test_the_encoder_is_asked_about_a_point(run: Run, here: Path, model: str) -> None:
    noisy_photo(here / "a.png")
    done = run("panoptic", "a.png", "--model", model, "--encoder", "sky")
    assert done.code == 2
    assert "Expected a point X,Y" in done.err
    assert not (here / "regard-out").exists()


def test_what_cannot_be_done_is_told_and_leaves_nothing(run: Run, here: Path, model: str) -> None:
    noisy_photo(here / "a.png")
    options = ("--model", model, "--short-side-px", "64")
    for query, words in (("zebra", "no query found 'zebra'"), ("9999,3", "outside the")):
        done = run("panoptic", "a.png", *options, "--query", query)
        assert done.code == 1
        assert words in done.err
    assert not (here / "regard-out").exists()
    assert run("panoptic", "a.png", *options, "--layers", "first").code == 2
    assert run("panoptic", "a.png", *options, "--threshold", "1.5").code == 2


def test_evaluate_tells_what_it_cannot_read(run: Run, here: Path) -> None:
    (here / "a.json").write_text("{}")
    done = run("evaluate", "a.json", "a.json")
    assert (done.code, "no panoptic JSON" in done.err) == (1, True)
    done = run("evaluate", "gone.json", "a.json")
    assert (done.code, "cannot be read" in done.err) == (1, True)


def test_results_are_measured_by_average_precision(run: Run, here: Path, shared: Path) -> None:
    pytest.importorskip("faster_coco_eval")
    truth = shared / "data/images/coco_instances/instances.json"
    wanted = ("image_id", "category_id", "bbox", "segmentation")
    rows = json.loads(truth.read_text())["annotations"]
    found = [{name: row[name] for name in wanted} | {"score": 1.0} for row in rows]
    (here / "results.json").write_text(json.dumps(found))
    done = run("evaluate", "results.json", str(truth))
    assert (done.code, done.err) == (0, "")
    assert any(line.split() == ["AP", "100.0", "100.0"] for line in done.out.splitlines())
    done = run("evaluate", "results.json", str(truth), "--swaps")
    assert (done.code, "are for results of videos" in done.err) == (1, True)


def test_layers_are_read_as_they_are_written() -> None:
    assert parse_layers("last3") == "last3"
    assert parse_layers("all") == "all"
    assert parse_layers("-1") == -1
    assert parse_layers("0,3,5") == (0, 3, 5)
    for wrong in ("first", "", "1,x"):
        with pytest.raises(ValueError, match="Expected an index"):
            parse_layers(wrong)

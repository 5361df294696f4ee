import json
import math
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from PIL import Image

from aoanet import caption_of_regions
from regard.captions.files import Kind, as_latex, file_name, save
from regard.errors import MediaError, SelectionError
from regard.render import Look


def test_every_kind_of_file(tmp_path: Path) -> None:
    found = caption_of_regions()
    steps = len(found.words)
    written = found.save(tmp_path / "new" / "folder", get_args(Kind))
    names = {path.name for path in written}
    assert all(path.stat().st_size for path in written)
    assert {"words.png", "caption.html", "caption.json", "caption.npz", "caption.gif"} <= names
    assert {"caption.mp4", "caption.pdf", "caption.tex"} <= names
    for start in ("word", "boxes", "heads"):
        expected = {f"{start}_{i:02d}_{file_name(w)}.png" for i, w in enumerate(found.words)}
        assert len(expected) == steps
        assert expected <= names
    assert {path.name for path in (tmp_path / "new" / "folder").iterdir()} == names
    with Image.open(tmp_path / "new" / "folder" / "caption.gif") as film:
        assert film.n_frames == steps  # type: ignore[attr-defined]


def test_json_and_npz_hold_the_numbers(tmp_path: Path) -> None:
    found = caption_of_regions()
    found.save(tmp_path, ["json", "npz"])
    told = json.loads((tmp_path / "caption.json").read_text())
    assert told["caption"] == found.text
    assert told["ended"] is True
    assert [one["word"] for one in told["words"]] == list(found.words)
    assert told["regions"][1] == [20, 10, 50, 40]
    for step, one in enumerate(told["words"]):
        assert one["weights"] == found.all_weights()[step].tolist()
        assert one["top_regions"][0]["region"] == int(found.weights()[step].argmax())
        assert one["entropy_nats"] == pytest.approx(
            -sum(w * math.log(w) for w in found.weights()[step].tolist()), abs=1e-5
        )  # float32 logarithms
        x, y = one["center_of_mass_xy"]
        assert 0 < x < 80
        assert 0 < y < 60
        assert 0 < one["gate"] < 1
    with np.load(tmp_path / "caption.npz") as arrays:
        np.testing.assert_array_equal(arrays["weights"], found.all_weights())
        assert arrays["words"].tolist() == list(found.words)
        assert arrays["boxes_xyxy"].shape == (7, 4)
        assert arrays["gate"].shape == arrays["log_probabilities"].shape


def test_a_model_without_a_gate_says_so(tmp_path: Path) -> None:
    caption_of_regions(decoder_type="base").save(tmp_path, ["json", "npz"])
    told = json.loads((tmp_path / "caption.json").read_text())
    assert told["words"][0]["gate"] is None
    with np.load(tmp_path / "caption.npz") as arrays:
        assert np.isnan(arrays["gate"]).all()


def test_the_same_caption_makes_the_same_bytes(tmp_path: Path) -> None:
    for name in "ab":
        caption_of_regions().save(tmp_path / name, ["json", "npz", "page", "figure", "words"])
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes(), path.name


def test_an_earlier_caption_in_the_folder_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "mine.png").touch()
    caption_of_regions(best=1).save(tmp_path, ["words"])
    caption_of_regions(best=0).save(tmp_path, ["words"])
    again = caption_of_regions(best=0).save(tmp_path / "alone", ["words"])
    found = {path.name for path in tmp_path.glob("*.png")}
    assert found == {path.name for path in again} | {"mine.png"}
    with pytest.raises(SelectionError, match="nope"):
        replace(caption_of_regions(best=1), look=Look(cmap="nope")).save(tmp_path, ["words"])
    assert found == {path.name for path in tmp_path.glob("*.png")}, "a failure takes nothing away"


def test_words_cannot_leave_the_folder_or_break_latex(tmp_path: Path) -> None:
    found = caption_of_regions(word="../../50%_of\\$x")
    found.save(tmp_path / "in", ["words", "figure"])
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
    assert "../../50\\%\\_of\\textbackslash{}\\$x" in as_latex(found)
    assert file_name("..") == "word"


def test_what_cannot_be_written_is_one_error(tmp_path: Path) -> None:
    found = caption_of_regions()
    (tmp_path / "file").touch()
    with pytest.raises(MediaError, match="cannot make the folder"):
        save(found, tmp_path / "file", ["json"])
    with pytest.raises(SelectionError, match="no kind of file 'xml'; expected words, boxes"):
        found.save(tmp_path, ["xml"])  # type: ignore[list-item]

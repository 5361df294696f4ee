"""YTVIS JSON files."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from regard.errors import MediaError
from regard.media.ytvis import read_class_names, read_ytvis

VIDEO = {"id": 7, "width": 6, "height": 4, "length": 2, "file_names": ["a/0.png", "a/1.png"]}
CATEGORIES = [{"id": 3, "name": "fish"}, {"id": 1, "name": "person"}]


def write(folder: Path, **changes: Any) -> Path:
    content = {"videos": [VIDEO | changes], "categories": CATEGORIES, "annotations": []}
    (folder / "val.json").write_text(json.dumps(content))
    return folder / "val.json"


def test_videos_and_classes(tmp_path: Path) -> None:
    (tmp_path / "JPEGImages" / "a").mkdir(parents=True)
    for index in range(2):
        Image.new("RGB", (6, 4)).save(tmp_path / "JPEGImages" / "a" / f"{index}.png")
    found = read_ytvis(write(tmp_path))
    video = found.videos[7]
    assert (video.name, video.size_hw, video.frame_count) == ("7", (4, 6), 2)
    assert len(list(video.frames())) == 2
    assert found.categories == {3: "fish", 1: "person"}
    assert read_class_names(tmp_path / "val.json") == ("person", "fish")


def test_a_frame_that_is_not_there_is_named(tmp_path: Path) -> None:
    video = read_ytvis(write(tmp_path), tmp_path / "elsewhere").videos[7]
    with pytest.raises(MediaError, match=r"elsewhere/a/0\.png"):
        list(video.frames())


@pytest.mark.parametrize("name", ["../secret.png", "/etc/secret.png", "a/../../secret.png", ""])
def test_names_must_stay_inside(tmp_path: Path, name: str) -> None:
    with pytest.raises(MediaError, match="outside of"):
        read_ytvis(write(tmp_path, file_names=[name]))


@pytest.mark.parametrize(
    "changes", [{"id": "x"}, {"height": None}, {"file_names": []}, {"file_names": [3]}]
)
def test_bad_videos_are_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(MediaError, match=r"val\.json"):
        read_ytvis(write(tmp_path, **changes))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"videos": []}', '{"videos": [3]}'])
def test_other_files_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "val.json").write_text(text)
    with pytest.raises(MediaError, match=r"val\.json"):
        read_ytvis(tmp_path / "val.json")

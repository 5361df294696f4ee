"""Folders for photos: safe names, one each, never outside of OUT."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regard.cli.folders import folder_name, folders, require_folder
from regard.errors import MediaError


@pytest.mark.parametrize(
    ("photo", "name"),
    [
        ("a.png", "a"),
        ("some/where/a.b.jpg", "a.b"),
        ("Ferien am See.JPG", "Ferien am See"),
        ("写真.jpg", "写真"),
        ("cafe\u0301.jpg", "café"),
        (".hidden", "hidden"),
        ("..", "photo"),
        ("...png", "photo"),
        ("....png", "photo"),
        (". .png", "photo"),
        ("-rf.png", "rf"),
        ("--out=x.png", "out=x"),
        ("a\nb\x1b[31m.png", "a_b_[31m"),
        ("a\u202egpj.png", "a_gpj"),
        ('a<b>c:d"e|f?g*h\\i.png', "a_b_c_d_e_f_g_h_i"),
        ("a. .png", "a"),
        ("\udcff.png", "_"),
    ],
)
def test_a_name_that_any_file_system_takes(photo: str, name: str) -> None:
    assert folder_name(Path(photo)) == name


@pytest.mark.parametrize("letter", ["a", "å", "木"])
def test_a_very_long_name_is_cut_between_letters(letter: str) -> None:
    name = folder_name(Path(letter * 300 + ".png"))
    assert set(name) == {letter}
    assert 97 <= len(name.encode()) <= 100


def test_photos_of_the_same_name_get_different_folders() -> None:
    photos = ["a.png", "b/a.png", "a.jpg", "A.png", "a-2.png", "c.png"]
    names = [folder.name for folder in folders([Path(each) for each in photos], Path("out"))]
    assert names == ["a", "a-2", "a-3", "A-4", "a-2-2", "c"]


@given(st.lists(st.text(st.characters(exclude_characters="\0"), min_size=1), min_size=1))
def test_every_photo_has_its_own_folder_directly_in_out(names: list[str]) -> None:
    out = Path("out")
    made = folders([Path(name) for name in names], out)
    assert len({str(folder).casefold() for folder in made}) == len(names)
    for folder in made:
        assert folder.parent == out
        assert folder.name not in ("", ".", "..")
        assert folder.name.isprintable()
        assert len(folder.name.encode()) < 120


def test_a_folder_that_is_there_or_can_be_made_is_fine(tmp_path: Path) -> None:
    require_folder(tmp_path)
    require_folder(tmp_path / "new" / "below")
    assert not list(tmp_path.iterdir())


def test_a_file_in_its_place_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(MediaError, match=r"--out .*: '.*file' is no folder"):
            require_folder(out)


def test_a_folder_that_nobody_may_write_to_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write anywhere
    with pytest.raises(MediaError, match="is not writable"):
        require_folder(tmp_path / "new")

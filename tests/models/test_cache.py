import threading
from pathlib import Path

import pytest

from regard.errors import CheckpointError
from regard.models.cache import cache_folder, discard_folder, new_folder, sha256_of


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"REGARD_CACHE": "/a", "XDG_CACHE_HOME": "/b"}, "/a"),
        ({"XDG_CACHE_HOME": "/b"}, "/b/regard"),
        ({"HOME": "/c"}, "/c/.cache/regard"),
    ],
)
def test_place_of_the_cache(
    variables: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("REGARD_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert cache_folder() == Path(expected)


def test_the_folder_appears_whole(tmp_path: Path) -> None:
    final = tmp_path / "deep" / "entry"
    with new_folder(final) as draft:
        (draft / "file").write_text("content")
        assert not final.exists()
    assert (final / "file").read_text() == "content"
    assert list(final.parent.iterdir()) == [final]


def test_nothing_is_left_after_an_exception(tmp_path: Path) -> None:
    def interrupted() -> None:
        with new_folder(tmp_path / "entry") as draft:
            (draft / "file").write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []


def test_of_two_writers_the_first_stands(tmp_path: Path) -> None:
    final, both_wrote = tmp_path / "entry", threading.Barrier(4)

    def write(content: str) -> None:
        with new_folder(final) as draft:
            for name in ("one", "two"):
                (draft / name).write_text(content)
            both_wrote.wait()

    writers = [threading.Thread(target=write, args=(str(index),)) for index in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()

    assert (final / "one").read_text() == (final / "two").read_text()
    assert list(tmp_path.iterdir()) == [final]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(CheckpointError, match=r"cannot write .*entry.*REGARD_CACHE"),
        new_folder(tmp_path / "file" / "entry"),
    ):
        pytest.fail("a folder was made inside a file")


def test_discarding_removes_all_of_it_and_may_be_repeated(tmp_path: Path) -> None:
    (tmp_path / "entry").mkdir()
    (tmp_path / "entry" / "file").write_text("content")
    discard_folder(tmp_path / "entry")
    discard_folder(tmp_path / "entry")
    assert list(tmp_path.iterdir()) == []


def test_sha256(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")  # FIPS 180-2, appendix B.1
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256_of(tmp_path / "file") == expected

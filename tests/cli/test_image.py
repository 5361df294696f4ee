"""`regard image`: many photos, good and bad, in one run."""

import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import regard.models.registry
from command_line import Done, Run, noisy_photo
from regard.cli.image import parse_head, parse_layer, parse_query

Look = Callable[..., Done]


@pytest.fixture
def look(run: Run, here: Path, tiny: str) -> Look:
    """Runs `regard image` with a tiny model on small pictures, in an empty folder."""

    def image(*arguments: str) -> Done:
        return run("image", *arguments, "--model", tiny, "--short-side-px", "28")

    return image


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_one_photo(look: Look, here: Path) -> None:
    noisy_photo(here / "a.png")
    done = look("a.png")
    assert done == Done(
        0,
        "a.png -> regard-out/a/summary.png  (layer 1 of 0..2, mean of 2 heads, query CLS)\n",
        "",
    )
    assert files(here / "regard-out" / "a") == [
        "attn_map_layer_1_encoder.layer.1.attention.png",
        "heatmap_layer_1_encoder.layer.1.attention.png",
        "summary.png",
    ]


def test_many_photos_load_the_model_once(
    look: Look, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads = []
    load = regard.models.registry.load

    def counted(*arguments: Any, **options: Any) -> Any:
        loads.append(arguments)
        return load(*arguments, **options)

    monkeypatch.setattr(regard.models.registry, "load", counted)
    for name in ("a.png", "a.jpg", "b.png"):
        noisy_photo(here / name)
    done = look("a.png", "a.jpg", "b.png")
    assert (done.code, done.err) == (0, "")
    assert len(loads) == 1
    assert [line.split()[:3] for line in done.out.splitlines()] == [
        ["a.png", "->", "regard-out/a/summary.png"],
        ["a.jpg", "->", "regard-out/a-2/summary.png"],
        ["b.png", "->", "regard-out/b/summary.png"],
    ]
    assert files(here / "regard-out") == ["a", "a-2", "b"]


def huge_header(path: Path) -> None:
    """A PNG of 57 bytes that claims 4,000,000,000 pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        sum_ = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + sum_

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 80_000, 50_000, 8, 0, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IEND", b""))


def truncated(path: Path) -> None:
    noisy_photo(path)
    path.write_bytes(path.read_bytes()[:500])


BAD: dict[str, tuple[Callable[[Path], Any], str]] = {
    "missing": (lambda _: None, "no such file"),
    "text": (lambda path: path.write_text("hello"), "is not an image that can be read"),
    "empty": (Path.touch, "is empty (0 bytes)"),
    "folder": (Path.mkdir, "is a folder"),
    "bomb": (huge_header, "is refused before decoding"),
    "truncated": (truncated, "cannot read"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_photo_is_one_line_and_the_others_are_done(look: Look, here: Path, kind: str) -> None:
    make, words = BAD[kind]
    make(here / "bad.png")
    noisy_photo(here / "good.png")
    done = look("bad.png", "good.png", "bad.png")
    assert done.code == 1
    first, second, count = done.err.splitlines()
    assert first == second
    assert first.startswith("regard: ")
    assert "'bad.png'" in first
    assert words in first
    assert count == "regard: 2 of 3 photos failed"
    assert done.out.startswith("good.png -> ")
    assert files(here / "regard-out") == ["good"]


def save_as(mode: str) -> Callable[[Path], None]:
    def save(path: Path) -> None:
        with Image.open(noisy_photo(path.with_suffix(".bmp"))) as picture:
            picture.convert(mode).save(path)

    return save


def deep_grey(path: Path) -> None:
    Image.fromarray(np.arange(2400, dtype=np.uint16).reshape(40, 60) * 27).save(path)


def animated(path: Path) -> None:
    frames = [Image.new("L", (60, 40), grey) for grey in (0, 100, 200)]
    frames[0].save(path, save_all=True, append_images=frames[1:])


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("cmyk.jpg", save_as("CMYK")),
        ("palette.png", save_as("P")),
        ("alpha.png", save_as("RGBA")),
        ("grey.png", save_as("L")),
        ("bits.png", save_as("1")),
        ("deep.png", deep_grey),
        ("animated.gif", animated),
    ],
)
def test_unusual_photos_are_photos(
    look: Look, here: Path, name: str, make: Callable[[Path], None]
) -> None:
    make(here / name)
    done = look(name)
    assert done.code == 0
    assert done.out.startswith(f"{name} -> ")
    assert (here / "regard-out" / Path(name).stem / "summary.png").is_file()


def test_an_animation_is_told_and_so_is_a_name_that_the_terminal_lacks_letters_for(
    process: Run, here: Path, tiny: str
) -> None:
    animated(here / "å木.gif")
    done = process(
        "image", "å木.gif", "--model", tiny, "--short-side-px", "28",
        cwd=here, PYTHONIOENCODING="ascii", PYTHONUTF8="1",
    )  # fmt: skip
    assert done.code == 0
    assert done.err == (
        r"regard: '\xe5\u6728.gif' holds several frames; the first one is read" "\n"
    )
    assert done.out.startswith(r"\xe5\u6728.gif -> ")
    assert files(here / "regard-out") == ["å木"]


def test_all_that_can_be_asked_for(look: Look, here: Path) -> None:
    noisy_photo(here / "a.png")
    done = look(
        "a.png", "--layer", "encoder.layer.[02]", "--head", "all", "--query", "30,20",
        "--between", "cells", "--colormap", "jet", "--save-raw", "--out", "deep/er",
    )  # fmt: skip
    assert (done.code, done.err) == (0, "")
    assert "layer 2 of 0..2, mean of 2 heads, query at (30, 20), row 1, column 1" in done.out
    assert files(here / "deep" / "er" / "a") == [
        *(
            f"{kind}_layer_{i}_encoder.layer.{i}.attention.png"
            for kind in ("attn_map",)
            for i in (0, 2)
        ),
        "attn_raw_layer_0.npy",
        "attn_raw_layer_2.npy",
        *(
            f"{kind}_layer_{i}_encoder.layer.{i}.attention.png"
            for kind in ("heads", "heatmap")
            for i in (0, 2)
        ),
        "layers_by_heads.png",
        "summary.png",
    ]
    assert np.load(here / "deep" / "er" / "a" / "attn_raw_layer_0.npy").shape == (2, 7, 7)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--layer", "-1"], "layer 2 of"),
        (["--layer=-1"], "layer 2 of"),
        (["--layer", "encoder.layer.0.*"], "layer 0 of"),
        (["--head", "-1"], "head 1 of 0..1"),
        (["--head", "0"], "head 0 of 0..1"),
        (["--query", "-1"], "query row 1, column 2"),
        (["--query", "cls"], "query CLS"),
        (["--query", "CLS"], "query CLS"),
        (["--query", "mean"], "query mean of all"),
        (["--query", "0.5,1e1"], "query at (0.5, 10), row 0, column 0"),
    ],
)
def test_choices(look: Look, here: Path, arguments: list[str], words: str) -> None:
    noisy_photo(here / "a.png")
    done = look("a.png", *arguments)
    assert (done.code, done.err) == (0, "")
    assert words in done.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--layer", "3"], "layer 3 does not exist; there are 3 (0..2)"),
        (["--layer", "decoder.*"], "no layer matches 'decoder.*'"),
        (["--head", "2"], "head 2 does not exist; there are 2 (0..1)"),
        (["--query", "7"], "query 7 does not exist; there are 7 (0..6)"),
        (["--query", "nose"], "no token is called 'nose'"),
        (["--query", "60,20"], "outside the 60 x 40 px picture"),
        (["--query=-1,20"], "outside the 60 x 40 px picture"),
        (["--query", "nan,1"], "outside the 60 x 40 px picture"),
    ],
)
def test_a_choice_that_a_photo_does_not_have_fails_that_photo(
    look: Look, here: Path, arguments: list[str], words: str
) -> None:
    noisy_photo(here / "a.png")
    done = look("a.png", *arguments)
    assert (done.code, done.out) == (1, "")
    (line,) = done.err.splitlines()
    assert line.startswith("regard: a.png: ")
    assert words in line
    assert not (here / "regard-out").exists()


def test_a_point_that_only_some_photos_have(look: Look, here: Path) -> None:
    noisy_photo(here / "small.png")
    noisy_photo(here / "large.png", 120, 80)
    done = look("small.png", "large.png", "--query", "100,70")
    assert done.code == 1
    assert "regard: small.png: (100, 70) is outside" in done.err
    assert files(here / "regard-out") == ["large"]


def test_an_unknown_colour_map(look: Look, here: Path) -> None:
    noisy_photo(here / "a.png")
    done = look("a.png", "--colormap", "nope")
    assert (done.code, done.out) == (1, "")
    assert "no colour map 'nope'" in done.err
    assert not (here / "regard-out").exists()


def test_out_that_is_a_file_is_told_once_before_the_model_is_loaded(
    look: Look, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(regard.models.registry, "load", lambda *_, **__: pytest.fail("loaded"))
    (here / "mine").write_text("mine")
    done = look("a.png", "b.png", "--out", "mine")
    assert done == Done(1, "", "regard: --out 'mine': 'mine' is no folder; choose another one\n")
    assert (here / "mine").read_text() == "mine"


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("...png", "photo"),
        ("-rf.png", "rf"),
        ("a\nb\x1b[31m.png", "a_b_[31m"),
        ("[bold]x[/bold].png", "bold]"),
        ("木" * 80 + ".png", "木" * 33),
        ("\udcff\udcfe.png", "__"),
    ],
)
def test_odd_names_stay_inside_out(look: Look, here: Path, name: str, folder: str) -> None:
    path = here / "photos" / name
    path.parent.mkdir(parents=True)
    noisy_photo(here / "a.png").rename(path)
    done = look(str(path))
    assert (done.code, done.err) == (0, "")
    assert done.out.count("\n") == 1
    assert done.out[:-1].isprintable()
    assert files(here / "regard-out") == [folder]
    assert files(here) == ["photos", "regard-out"]


def test_a_name_that_looks_like_an_option(look: Look, here: Path) -> None:
    noisy_photo(here / "--x.png")
    assert look("./--x.png").code == 0


@pytest.mark.parametrize(
    ("text", "layer"), [("3", 3), ("-1", -1), ("encoder.*", "encoder.*"), ("--3", "--3"), ("", "")]
)
def test_what_layer_means(text: str, layer: int | str) -> None:
    assert parse_layer(text) == layer


@pytest.mark.parametrize(("text", "head"), [("3", 3), ("-1", -1), ("mean", "mean"), ("all", "all")])
def test_what_head_means(text: str, head: int | str) -> None:
    assert parse_head(text) == head


@pytest.mark.parametrize("text", ["", "first", "1.5", "--1", "1,2", "٣", "+1"])
def test_what_is_no_head(text: str) -> None:
    with pytest.raises(ValueError, match="Expected an index"):
        parse_head(text)


@pytest.mark.parametrize(
    ("text", "query"),
    [("3", 3), ("-1", -1), ("cls", "cls"), ("1,2", (1, 2)), ("-1.5, 2e1", (-1.5, 20))],
)
def test_what_query_means(text: str, query: Any) -> None:
    assert parse_query(text) == query


@pytest.mark.parametrize("text", [",", "1,", ",1", "1,2,3", "a,b", "1;2,3"])
def test_what_is_no_query(text: str) -> None:
    with pytest.raises(ValueError, match="a point X,Y"):
        parse_query(text)

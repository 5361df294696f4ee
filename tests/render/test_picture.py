import os
import subprocess
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from PIL import Image

from regard.errors import MediaError
from regard.render import Picture, draw_overlay
from regard.render.picture import clean, fit_text, text_width

SOURCE = Path(__file__).parents[2] / "src"


@pytest.fixture
def picture(photo: Image.Image, heat: np.ndarray) -> Picture:
    return draw_overlay(photo, heat, query_xy=(20, 20))


def test_importing_costs_neither_matplotlib_nor_torch() -> None:
    program = "import sys, regard.render; print(*{'matplotlib', 'torch'} & set(sys.modules))"
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    found = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == ""


def settings() -> dict[str, object]:
    """All but the backend, which matplotlib chooses (by importing pyplot) when it is read."""
    return {name: matplotlib.rcParams[name] for name in matplotlib.rcParams if name != "backend"}


def test_drawing_and_saving_leave_matplotlib_as_it_was(picture: Picture, tmp_path: Path) -> None:
    before, backend = settings(), matplotlib.get_backend(auto_select=False)
    maps = list(matplotlib.colormaps)
    for kind in ("png", "pdf", "svg"):
        picture.save(tmp_path / f"a.{kind}")
    assert settings() == before
    assert matplotlib.get_backend(auto_select=False) == backend
    assert list(matplotlib.colormaps) == maps
    assert "matplotlib.pyplot" not in sys.modules


def test_settings_of_the_user_do_not_change_the_picture(picture: Picture) -> None:
    fresh = Picture(picture.raster, picture.texts, picture.rings, picture.scales)
    with matplotlib.rc_context(
        {"savefig.bbox": "tight", "figure.dpi": 40, "font.size": 40, "image.origin": "lower"}
    ):
        changed = fresh.image.tobytes()
    assert changed == picture.image.tobytes()


@pytest.mark.parametrize("kind", ["png", "pdf", "svg"])
def test_saved_bytes_repeat_and_hold_no_date(picture: Picture, tmp_path: Path, kind: str) -> None:
    fresh = Picture(picture.raster, picture.texts, picture.rings, picture.scales)
    picture.save(tmp_path / f"a.{kind}")
    fresh.save(tmp_path / f"b.{kind}")
    data = (tmp_path / f"a.{kind}").read_bytes()
    assert data == (tmp_path / f"b.{kind}").read_bytes()
    assert not any(word in data for word in (b"CreationDate", b"dc:date", b"tIME"))


def test_a_png_is_the_image_pixel_by_pixel(picture: Picture, tmp_path: Path) -> None:
    picture.save(tmp_path / "a.png")
    assert Image.open(tmp_path / "a.png").tobytes() == picture.image.tobytes()
    assert picture._repr_png_() == (tmp_path / "a.png").read_bytes()


def test_type_and_rings_are_set_on_an_exact_raster(picture: Picture) -> None:
    bare = Picture(picture.raster)
    assert bare.image.tobytes() == picture.raster.tobytes()
    same = (np.asarray(picture.image) == picture.raster).all(axis=2)
    assert 0.9 < same.mean() < 1


@pytest.mark.parametrize(("name", "words"), [("a.jpg", "only .png"), ("no/a.png", "cannot write")])
def test_what_cannot_be_saved(picture: Picture, tmp_path: Path, name: str, words: str) -> None:
    with pytest.raises(MediaError, match=words):
        picture.save(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_long_names_keep_both_ends() -> None:
    short = fit_text("facebook/" + "x" * 300 + "-giant", 200, 20)
    assert text_width(short, 20) <= 200
    assert short.startswith("faceb")
    assert short.endswith("-giant")
    assert "…" in short
    assert fit_text("DINOv2", 200, 20) == "DINOv2"


def test_letters_that_no_bundled_font_has_are_marked() -> None:
    assert clean("модель ∑ μ é") == "модель ∑ μ é"
    assert clean("模型 a\nb\x1b\u202e") == "\ufffd\ufffd a b\ufffd\ufffd"

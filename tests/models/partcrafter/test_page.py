"""The page with photo and object, in a real browser with WebGL."""

import hashlib
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import regard.parts.generation
from regard.errors import InputError, SelectionError
from regard.models.partcrafter.checkpoint import PartCrafter
from regard.parts.generation import Generation, generate
from regard.parts.page import write_page
from regard.parts.surface import pixels_of_points
from regard.view.page import one_file

TINY: dict[str, Any] = {"steps": 4, "tokens": 16, "depth": 4}


@pytest.fixture(scope="module")
def made(model: PartCrafter, official: dict[str, Tensor], parity: Path) -> Generation:
    """From the noise of the reference, which gives three parts with a surface."""
    patch = pytest.MonkeyPatch()
    patch.setattr(regard.parts.generation, "noise", lambda *_: official["latents"][0])
    generation = generate(parity / "image.png", 3, model=model, **TINY)
    patch.undo()
    return generation


@pytest.fixture
def page(browser: Any, model: PartCrafter, made: Generation, tmp_path: Path) -> Any:
    write_page(tmp_path / "parts.html", model, made, depth=4)
    opened = browser.new_page(viewport={"width": 1200, "height": 800})
    failures: list[str] = []
    opened.on("pageerror", lambda error: failures.append(str(error)))
    opened.on("requestfailed", lambda request: failures.append(request.url))
    opened.goto((tmp_path / "parts.html").as_uri())
    opened.wait_for_selector("body[data-ready=yes]")
    yield opened
    opened.close()
    assert failures == []


def words(page: Any) -> str:
    text: str = page.inner_text("#photo-words")
    return text


def test_both_views_are_drawn(page: Any) -> None:
    assert page.evaluate("document.querySelectorAll('#parts button').length") == 3
    colours = page.evaluate(
        """() => {
          const gl = document.getElementById("object").getContext("webgl2");
          const pixels = new Uint8Array(4 * gl.drawingBufferWidth * gl.drawingBufferHeight);
          gl.readPixels(0, 0, gl.drawingBufferWidth, gl.drawingBufferHeight, gl.RGBA,
                        gl.UNSIGNED_BYTE, pixels);
          return new Set(new Uint32Array(pixels.buffer)).size;
        }"""
    )
    assert colours > 100, "the object is shaded"


def test_a_part_shows_its_own_map(page: Any, made: Generation) -> None:
    page.click("#parts button >> nth=1")
    share = float(made.attention.weights()[1, 0])
    assert words(page).startswith("part 1: mean over its tokens")
    assert f"{100 * share:.1f} %" in words(page)
    high = float(made.attention.weights()[1, 1:].max()) * 256
    assert page.inner_text("#high") == f"{high:.3g} \N{MULTIPLICATION SIGN} uniform"


def test_a_place_of_the_photo_names_the_part_that_looks_there(page: Any, made: Generation) -> None:
    x, y = 110.0, 130.0
    box = page.locator("#photo").bounding_box()
    page.mouse.click(box["x"] + box["width"] * x / 336, box["y"] + box["height"] * y / 280)
    shares = made.attention.part_at(x, y)
    expected = f"part {int(shares.argmax())} looks here most: {100 * float(shares.max()):.1f} %"
    assert words(page).startswith(expected)
    page.mouse.click(box["x"] + 3, box["y"] + 3)
    assert words(page) == "The model did not see this place."


def test_a_point_of_the_object_shows_its_pixels(page: Any) -> None:
    box = page.locator("#object").bounding_box()
    hits = []
    for across in (0.3, 0.4, 0.5, 0.6, 0.7):
        page.click("#reset")
        page.mouse.click(box["x"] + box["width"] * across, box["y"] + box["height"] * 0.5)
        hits.append(words(page))
    assert any(re.match(r"What this point of part \d is attributed to", hit) for hit in hits)
    page.keyboard.press("Escape")
    assert words(page).startswith("All 3 parts")


def test_numbers_in_the_page_are_those_of_python(
    page: Any, model: PartCrafter, made: Generation
) -> None:
    """The script's attribution of a vertex, from bytes, against the exact one."""
    row, vertex = page.evaluate(
        "() => [pixelsOfVertex(parts[1], 7), parts[1].vertices.slice(21, 24)].map((x) => [...x])"
    )
    exact = pixels_of_points(model, made, 1, torch.tensor([vertex]))[0]
    # all 16 tokens are kept here; weights and maps are bytes, each off by half of 1/255 at most
    torch.testing.assert_close(torch.tensor(row), exact, rtol=0.02, atol=2e-4)


def test_nothing_to_show_is_an_error(
    model: PartCrafter, parity: Path, made: Generation, tmp_path: Path
) -> None:
    bare = generate(parity / "image.png", 1, model=model, **TINY, keep_steps=())
    with pytest.raises((SelectionError, InputError)):
        write_page(tmp_path / "page.html", model, bare)
    assert not (tmp_path / "page.html").exists()


def test_data_cannot_end_the_script_it_stands_in() -> None:
    page = one_file("parts", title="a </title><script>", data={"note": "</script><script>alert(1)"})
    assert "</script><script>alert" not in page
    assert "a &lt;/title&gt;" in page


def test_vendored_code_is_what_its_table_says() -> None:
    vendor = files("regard.view") / "vendor"
    table = (vendor / "README.md").read_text()
    assert hashlib.sha256((vendor / "three.js").read_bytes()).hexdigest() in table
    assert (vendor / "three.LICENSE").read_text().startswith("The MIT License")

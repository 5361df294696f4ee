"""The page in a real browser; skipped, saying so, where there is none."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aoanet import caption_of_regions

HOSTILE = "</script><img src=x onerror=alert(1)>"


class Opened:
    """A page in the browser, with everything that it said and asked for."""

    def __init__(self, browser: Any, path: Path) -> None:
        self.page = browser.new_page(viewport={"width": 1000, "height": 900})
        self.errors: list[str] = []
        self.requests: list[str] = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", lambda m: self.errors.append(m.text) if m.type == "error" else None)
        self.page.on("dialog", lambda dialog: self.errors.append("a dialog"))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(path.as_uri())
        self.page.wait_for_selector("body[data-ready=yes]")

    def pixels(self) -> list[int]:
        found: list[int] = self.page.evaluate(
            "[...document.getElementById('map').getContext('2d')"
            ".getImageData(0, 0, map.width, map.height).data]"
        )
        return found

    def status(self) -> str:
        return str(self.page.inner_text("#status"))


@pytest.fixture
def opened(browser: Any, tmp_path: Path) -> Iterator[Opened]:
    caption = caption_of_regions()
    (tmp_path / "caption.html").write_text(caption.page())
    one = Opened(browser, tmp_path / "caption.html")
    yield one
    assert one.errors == []
    assert all(url.startswith(("file:", "data:")) for url in one.requests)
    one.page.close()


def test_hovering_a_word_shows_its_map(opened: Opened) -> None:
    caption = caption_of_regions()
    buttons = opened.page.locator("#caption button")
    assert buttons.all_inner_texts() == list(caption.words)
    seen = []
    for number, word in enumerate(caption.words):
        buttons.nth(number).hover()
        assert buttons.nth(number).get_attribute("aria-pressed") == "true"
        assert opened.status().startswith(f"“{word}”")
        region, weight = caption.top(number)[0]
        assert f"region {region} {100 * weight:.1f} %" in opened.status()
        seen.append(opened.pixels())
    assert any(one != seen[0] for one in seen[1:])


def test_hovering_a_region_shows_which_words_used_it(opened: Opened) -> None:
    caption = caption_of_regions()
    frame = opened.page.locator("#map").bounding_box()
    x, y = caption.layout.center_xy(2)
    region = caption.layout.at(x, y)
    width, height = caption.photo.size
    opened.page.mouse.move(
        frame["x"] + x / width * frame["width"], frame["y"] + y / height * frame["height"]
    )
    assert opened.status().startswith(f"region {region} · used by")
    used = opened.page.eval_on_selector_all(
        "#caption button", "all => all.map(one => Number(one.dataset.use))"
    )
    assert used == pytest.approx(caption.weights()[:, region].tolist(), abs=1e-4)  # 4 digits


def test_heads_scales_and_outlines_change_the_picture(opened: Opened) -> None:
    opened.page.locator("#caption button").nth(1).click()
    before = opened.pixels()
    opened.page.select_option("#head", "2")
    head = opened.pixels()
    opened.page.check("#outline")
    assert before != head != opened.pixels()
    opened.page.keyboard.press("Escape")
    assert opened.status() == ""


def test_words_are_text_whatever_they_say(browser: Any, tmp_path: Path) -> None:
    caption = caption_of_regions(word=HOSTILE)
    page = caption.page()
    assert HOSTILE not in page
    (tmp_path / "caption.html").write_text(page)
    one = Opened(browser, tmp_path / "caption.html")
    assert HOSTILE in one.page.locator("#caption button").all_inner_texts()
    assert one.page.locator("#caption img").count() == 0
    assert one.errors == []
    one.page.close()


def test_the_page_is_whole_and_the_same_each_time() -> None:
    page = caption_of_regions().page()
    assert page == caption_of_regions().page()
    assert "http://" not in page
    assert "https://" not in page
    data = page.split("const DATA = ")[1].split(";\n")[0]
    assert json.loads(data)["words"] == list(caption_of_regions().words)

"""Every example runs: the Python and the commands of the pages, the examples in docstrings."""

import doctest
import importlib
import json
import pkgutil
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import matplotlib
import pytest
from benchmarks.__main__ import filled

import regard
from regard.cli import main
from regard.models import dinov2_small

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
MODULES = sorted(m.name for m in pkgutil.walk_packages(regard.__path__, "regard."))


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a photo in it, to run a page's examples in."""
    photo = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    shutil.copy(photo, tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def blocks(page: Path, language: str) -> list[str]:
    return [body for kind, body in BLOCK.findall(page.read_text()) if kind == language]


def use_default_model(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The default model from the shared folder, so that no download is needed."""
    folder = shared / "data" / "weights" / "dinov2_small"
    monkeypatch.setattr(dinov2_small, "dinov2_small_folder", lambda notify: (folder, "shared"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
@pytest.mark.usefixtures("workplace")
def test_python_of_a_page(
    page: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = blocks(page, "python")
    if any("regard.image" in block or "load_model" in block for block in code):
        use_default_model(request.getfixturevalue("shared"), monkeypatch)
    names: dict[str, Any] = {"__name__": "page"}
    for block in code:
        exec(compile(block, str(page), "exec"), names)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_of_a_page(
    page: Path,
    workplace: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    commands = [
        shlex.split(line)[2:]
        for block in blocks(page, "console")
        for line in block.splitlines()
        if line.startswith("$ regard ")
    ]
    if commands:
        use_default_model(request.getfixturevalue("shared"), monkeypatch)
    for command in commands:
        with pytest.raises(SystemExit) as ended:
            main(command)
        assert not ended.value.code, (command, ended.value.code)
        assert capsys.readouterr().out
    if any(command[0] == "image" for command in commands):
        assert (workplace / "regard-out" / "photo" / "summary.png").is_file()


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings(name: str) -> None:
    failed, _ = doctest.testmod(importlib.import_module(name))
    assert failed == 0


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)\)", page.read_text()):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_numbers_are_those_that_were_measured(page: Path) -> None:
    assert filled(page.read_text()) == page.read_text()


def test_measured_numbers_meet_their_bounds() -> None:
    """The bounds that the project promises and that the committed results meet."""
    results = {
        path.stem: json.loads(path.read_text())["rows"]
        for path in (ROOT / "benchmarks" / "results").glob("*.json")
    }
    kept = [row for row in results["recording_time"] if row["allocator"] == "keeps memory"]
    assert len(kept) == 4
    assert all(row["recorded_over_plain"] <= 1.03 for row in kept)
    assert results["recording_memory"][0]["recorded_over_eager"] <= 1 / 8
    assert results["one_row"][0]["row_ms"] <= 5
    whole, from_kept = results["rollout"]
    assert whole["ours_over_theirs"] < 1
    assert whole["memory_ratio"] <= 1 / 4
    assert from_kept["times_faster"] >= 10

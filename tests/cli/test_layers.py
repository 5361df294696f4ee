"""`regard layers`: what it prints."""

from collections.abc import Callable
from pathlib import Path

import pytest

from checkpoints import write_checkpoint
from command_line import Run, noisy_photo


def test_layers_of_a_model(run: Run, tiny: str) -> None:
    done = run("layers", "--model", tiny)
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0].strip() == Path(tiny).name
    assert lines[1].split() == ["heads", "queries", "keys", "kind", "prefix", "layer"]
    rows = [line.split() for line in lines[3:6]]
    assert rows == [
        [str(i), "2", "577", "577", "dot_product", "cls", f"encoder.layer.{i}.attention"]
        for i in range(3)
    ]
    assert lines[6:] == ["default: layer 1"]


def test_layers_of_a_photo(run: Run, tiny: str, here: Path) -> None:
    noisy_photo(here / "a.png")
    done = run("layers", "--model", tiny, "--photo", "a.png")
    assert (done.code, done.err) == (0, "")
    assert " 865 " in done.out  # 336 px x 504 px in patches of 14, and CLS
    assert run("layers", "--model", tiny, "--photo", "none.png").code == 1


@pytest.mark.parametrize("model_type", ["siglip", "dinov2_with_registers", "clip"])
def test_nothing_is_cut_at_80_columns(
    run: Run, checkpoint: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, model_type: str
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    done = run("layers", "--model", str(checkpoint(model_type)))
    assert done.code == 0
    assert "…" not in done.out
    assert all(len(line) <= 80 for line in done.out.splitlines())
    if model_type == "siglip":
        assert "none" in done.out
        assert "head.attention" in done.out
    if model_type == "dinov2_with_registers":
        assert {"cls,", "register", "1,", "2"} <= set(done.out.split())


def test_one_row_is_one_line_in_a_pipe(
    run: Run, checkpoint: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    done = run("layers", "--model", str(checkpoint("dinov2_with_registers")))
    rows = [line for line in done.out.splitlines() if "dot_product" in line]
    assert len(rows) == 3
    assert all("cls, register 1, register 2" in row for row in rows)
    assert all(row.split()[-1].startswith("encoder.layer.") for row in rows)


def test_a_model_whose_name_is_markup(run: Run, here: Path) -> None:
    name = "[bold red]x\x1b[31m"
    write_checkpoint(here / name, "dinov2")
    done = run("layers", "--model", name)
    assert done.code == 0
    assert done.out.splitlines()[0].strip() == "[bold red]x\\x1b[31m"

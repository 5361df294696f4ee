"""`regard models`: what it prints."""

import pytest

from command_line import Run
from regard.models.registry import known


def test_models(run: Run) -> None:
    done = run("models")
    assert (done.code, done.err) == (0, "")
    rows = {line.split()[0]: line for line in done.out.splitlines() if line.strip()}
    for model in known():
        assert model.licence in rows[model.name]
        assert rows[model.name].split()[-1] == ("yes" if model.on_this_machine else "no")


def test_models_at_80_columns(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    done = run("models")
    assert done.code == 0
    assert "…" not in done.out
    assert all(len(line) <= 80 for line in done.out.splitlines())
    for model in known():
        assert model.name in done.out

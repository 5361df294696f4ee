"""The command line as people meet it: in a process of its own, or in this one for speed."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from command_line import PROGRAM, Done, Run, environment
from regard.cli import main


@pytest.fixture(scope="session")
def process() -> Run:
    """Runs a command in a process of its own."""

    def run(*arguments: str, cwd: Path | None = None, **changes: str) -> Done:
        done = subprocess.run(
            [*PROGRAM, *arguments],
            capture_output=True,
            text=True,
            cwd=cwd,
            env=environment(**changes),
            timeout=120,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command in this process, as in a pipe whatever the tests themselves run in."""
    monkeypatch.delenv("COLUMNS", raising=False)

    def run(*arguments: str) -> Done:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(list(arguments))
        said = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return Done(ended.value.code, said.out, said.err)

    return run


@pytest.fixture(scope="session")
def tiny(checkpoint: Callable[[str], Path]) -> str:
    """Folder of a tiny DINOv2."""
    return str(checkpoint("dinov2"))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path

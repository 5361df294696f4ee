"""A disk that is full, a folder that is gone or closed: one error, and the run goes on later."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from faults.copied import copy_run
from faults.invariants import assert_nothing_is_lost, contents
from regard.errors import RunError
from regard.runs import Run


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 600 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("no small file system: mount is not allowed here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_loses_nothing(made: Run, small_disk: Path) -> None:
    with pytest.raises(RunError, match=r"bytes\) into the run .*No space left on device"):
        copy_run(made, small_disk / "run")
    assert_nothing_is_lost(small_disk / "run", set())
    assert not list((small_disk / "run").rglob(".regard-*"))
    larger = ["mount", "-o", "remount,size=16m", str(small_disk)]
    subprocess.run(larger, check=True)
    copy_run(made, small_disk / "run")
    assert contents(small_disk / "run") == contents(made.path)


def test_a_folder_that_vanishes_is_an_error_of_one_line(made: Run, tmp_path: Path) -> None:
    from regard.runs.folder import RunFolder

    with RunFolder(tmp_path / "run") as folder:
        shutil.rmtree(tmp_path / "run")
        (tmp_path / "run").write_text("in its place")
        with pytest.raises(RunError, match=r"cannot write plots/a\.png \(1 bytes\)"):
            folder.add("plots", [("plots/a.png", b"a")])


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root writes anywhere")
def test_a_closed_folder_is_said(made: Run, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(RunError, match="Permission denied"):
        copy_run(made, tmp_path / "run")
    tmp_path.chmod(0o700)


def test_a_read_only_disk_is_said(made: Run, small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(RunError, match="Read-only file system"):
        copy_run(made, small_disk / "run")

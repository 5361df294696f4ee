"""Every call that writes fails once: one error that names the run, nothing lost, the rest made."""

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from faults.copied import copy_run
from faults.invariants import assert_nothing_is_lost, contents
from regard.errors import RunError
from regard.runs import Run

CALLS = ("open", "write", "fsync", "rename", "replace", "mkdir", "ftruncate")
"""Functions of `os` that a run is written with."""


class Counter:
    """Lets the calls of the functions through but for one of them."""

    def __init__(self, run: Path, fail_at: int, act: Callable[[str], None]) -> None:
        self.count, self._run, self._fail_at, self._act = 0, run, fail_at, act

    def wrap(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **options: Any) -> Any:
            if _writes(name, arguments):
                self.count += 1
                if self.count == self._fail_at:
                    self._act(name)
            return function(*arguments, **options)

        return wrapped


def _writes(name: str, arguments: tuple[Any, ...]) -> bool:
    """Reading is no fault of a full disk."""
    return name != "open" or bool(arguments[1] & (os.O_WRONLY | os.O_RDWR))


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[..., Counter]]:
    originals = {name: getattr(os, name) for name in CALLS}

    def begin(fail_at: int, code: int) -> Counter:
        def act(name: str) -> None:
            raise OSError(code, os.strerror(code), name)

        counter = Counter(tmp_path, fail_at, act)
        for name, function in originals.items():
            monkeypatch.setattr(os, name, counter.wrap(name, function))
        return counter

    yield begin
    monkeypatch.undo()


@pytest.mark.parametrize("every", [6, pytest.param(1, marks=pytest.mark.slow)])
def test_each_call_fails_once(
    made: Run,
    failing: Callable[..., Counter],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    every: int,
) -> None:
    fail_at, expected = 1 - every, contents(made.path)
    while True:
        fail_at += every
        out = tmp_path / f"run{fail_at}"
        code = errno.ENOSPC if fail_at % 4 else errno.EIO
        counter = failing(fail_at, code)
        try:
            copy_run(made, out)
        except RunError as error:
            assert str(out) in str(error)  # noqa: PT017
        finally:
            monkeypatch.undo()
        if counter.count < fail_at:
            break
        assert_nothing_is_lost(out, set())
        copy_run(made, out)
        assert contents(out) == expected
    assert fail_at > 40  # so many calls write this run

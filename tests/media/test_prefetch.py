"""Reading ahead: order, errors, and no thread left behind."""

import threading
from collections.abc import Iterator

import pytest

from regard.media.prefetch import prefetched


def threads() -> int:
    return sum(thread.name == "regard-prefetch" for thread in threading.enumerate())


def test_items_come_in_order() -> None:
    assert list(prefetched(iter(range(100)), ahead=3)) == list(range(100))
    assert threads() == 0


def test_an_error_comes_in_its_place() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise ValueError("frame 1")

    items = prefetched(broken())
    assert next(items) == 1
    with pytest.raises(ValueError, match="frame 1"):
        next(items)
    assert threads() == 0


def test_no_more_than_asked_is_read_ahead() -> None:
    made = []

    def counted() -> Iterator[int]:
        for index in range(100):
            made.append(index)
            yield index

    items = prefetched(counted(), ahead=2)
    next(items)
    assert len(made) <= 5  # taken, two waiting, one in hand, one being made
    items.close()


def test_leaving_early_closes_the_source() -> None:
    closed = threading.Event()

    def source() -> Iterator[int]:
        try:
            yield from range(1000)
        finally:
            closed.set()

    for item in prefetched(source(), ahead=2):
        if item == 3:
            break
    assert closed.wait(5)
    assert threads() == 0

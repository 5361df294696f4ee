"""Reading ahead on a thread, so that a model does not wait for the decoder."""

import queue
import threading
from collections.abc import Generator, Iterator
from typing import Any, TypeVar

T = TypeVar("T")


def prefetched(items: Iterator[T], *, ahead: int = 8) -> Generator[T, None, None]:
    """The same items in the same order, made on another thread, a few ahead of their use.

    What ``items`` raises is raised here, in its place. The thread ends when the iterator that is
    returned is closed, or is exhausted.

    Args:
        items: Used on the other thread only.
        ahead: How many are held at most.
    """
    waiting: queue.Queue[tuple[str, Any]] = queue.Queue(maxsize=ahead)
    stopped = threading.Event()

    def put(kind: str, value: Any) -> bool:
        """Whether there is still somebody to hand over to."""
        while not stopped.is_set():
            try:
                waiting.put((kind, value), timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def read() -> None:
        try:
            for item in items:
                if not put("item", item):
                    break
            put("end", None)
        except BaseException as error:
            put("error", error)
        finally:
            close = getattr(items, "close", None)
            if close is not None:
                close()  # on this thread, which is the one that opened the file

    thread = threading.Thread(target=read, name="regard-prefetch", daemon=True)
    thread.start()
    try:
        while True:
            kind, value = waiting.get()
            if kind == "error":
                raise value
            if kind == "end":
                return
            yield value
    finally:
        stopped.set()
        thread.join()

"""Places of other libraries that are watched while a recording is open, and left as they were.

Such a place belongs to the whole process, so overlapping recordings share it: the first watches
it, the last lets go of it, and each sees the calls of its own thread only.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial, wraps
from typing import Any

Watcher = Callable[..., Any]


class WatchedPlace:
    """One place: how to begin to watch it, and what is told of its calls.

    Args:
        begin: Called with a function that wraps a kernel; puts wrapped kernels in their places and
            gives the function that puts the old ones back.
    """

    def __init__(self, begin: Callable[[Callable[[Any], Any]], Callable[[], None]]) -> None:
        self._begin = begin
        self._end: Callable[[], None] = lambda: None
        self._lock = threading.Lock()
        self._watchers: list[tuple[int, Watcher]] = []
        self._covers: dict[Any, Any] = {}  # kernel -> what stands in its place

    @contextmanager
    def told_to(self, watcher: Watcher) -> Iterator[None]:
        """A context in which `watcher(kernel, *args, **kwargs)` runs this thread's calls."""
        entry = (threading.get_ident(), watcher)
        with self._lock:
            if not self._watchers:
                self._end = self._begin(self._wrapped)
            self._watchers = [*self._watchers, entry]
        try:
            yield
        finally:
            with self._lock:
                self._watchers = [each for each in self._watchers if each is not entry]
                if not self._watchers:
                    self._end()
                    self._covers.clear()

    def _wrapped(self, kernel: Callable[..., Any]) -> Callable[..., Any]:
        """The kernel with a cover that tells of its calls; models look theirs up at every call."""
        if kernel not in self._covers:
            self._covers[kernel] = self._cover(kernel)
        return self._covers[kernel]  # type: ignore[no-any-return]

    def _cover(self, kernel: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(kernel)
        def watched(*args: Any, **kwargs: Any) -> Any:
            thread, call = threading.get_ident(), kernel
            for owner, watcher in self._watchers:
                if owner == thread:
                    call = partial(watcher, call)
            return call(*args, **kwargs)

        return watched

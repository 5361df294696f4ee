"""`torch.compile`d code is made to run eagerly, where a mode can see its calls."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
import torch._dynamo  # what set_stance needs: loaded here, it delays no recording

_lock = threading.Lock()
_open = 0
_stance = ExitStack()


@contextmanager
def compiled_runs_eagerly() -> Iterator[None]:
    """A context in which compiled code runs eagerly.

    The stance of `torch.compiler` belongs to the whole process, so overlapping recordings in
    several threads share one: the first sets it and the last puts the old one back.
    """
    global _open
    with _lock:
        if _open == 0:
            _stance.enter_context(torch.compiler.set_stance("force_eager"))
        _open += 1
    try:
        yield
    finally:
        with _lock:
            _open -= 1
            if _open == 0:
                _stance.close()

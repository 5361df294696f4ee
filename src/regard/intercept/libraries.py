"""Which libraries' doorways to watch: those that the program has imported already."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext

from regard.intercept import diffusers_backends, transformers_interface
from regard.intercept.opaque import Inside
from regard.intercept.recorder import Recorder

WATCHED = {
    "transformers.modeling_utils": transformers_interface,
    "diffusers.models.attention_dispatch": diffusers_backends,
}
"""Module in which a library keeps its kernels, and what watches them."""


@contextmanager
def libraries_watched(recorder: Recorder, inside: Inside = nullcontext) -> Iterator[None]:
    """A context in which kernels of imported libraries are recorded; none is imported for it.

    Args:
        recorder: Where calls are handed in.
        inside: Makes a context that is entered around each kernel.
    """
    with ExitStack() as stack:
        for module, library in WATCHED.items():
            if module in sys.modules:
                stack.enter_context(library.PLACE.told_to(library.doorway(recorder, inside).call))
        yield

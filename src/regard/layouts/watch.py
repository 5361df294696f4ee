"""What must be noted while a model runs, because it cannot be told afterwards.

Some models choose or shuffle their tokens at random, or place them where a detector says. The
methods listed here are watched during a recording; what they decide is kept in `noted`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

Noted = dict[str, list[Tensor]]
"""Path of a watched module to what each of its passes decided."""


@dataclass(frozen=True, slots=True)
class Watch:
    """A method whose result tells where tokens lie.

    Attributes:
        method: Its name.
        read: What of the arguments and the result is noted.
    """

    method: str
    read: Callable[[Sequence[Any], Any], Tensor]


def _sorted(args: Sequence[Any], result: Any) -> Tensor:
    """Before and after a sort: number of each token, place of each."""
    _, places, order = args
    return torch.stack([order, places.gather(1, order)])


WATCHED: Mapping[str, Watch] = {
    # (batch, patches): where each patch is found again in the shuffled order
    "ViTMAEEmbeddings": Watch("forward", lambda _, out: out[2]),
    # (batch, patches, 2): row and column of each patch that was drawn
    "ViltEmbeddings": Watch("visual_embed", lambda _, out: out[2][0]),
    # (batch, points, 2): x and y as parts of width and height
    "SuperPointForKeypointDetection": Watch("forward", lambda _, out: out.keypoints),
    # (2, batch, tokens): of the sorted tokens, where each was before, and its place in the video
    "VJEPA2Predictor": Watch("sort_tokens", _sorted),
}
"""Class name to what is watched. Source: transformers 5.23."""


@contextmanager
def watching(modules: Mapping[str, nn.Module], noted: Noted) -> Iterator[None]:
    """While this lasts, what watched modules decide goes into `noted`."""
    undo = [
        _attach(module, WATCHED[type(module).__name__], noted.setdefault(path, []))
        for path, module in modules.items()
        if type(module).__name__ in WATCHED
    ]
    try:
        yield
    finally:
        for detach in undo:
            detach()


def _attach(module: nn.Module, watch: Watch, notes: list[Tensor]) -> Callable[[], None]:
    original = getattr(module, watch.method)
    own = module.__dict__.get(watch.method)

    def watched(*args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        with suppress(Exception):  # a note that cannot be taken must not stop the model
            notes.append(watch.read(args, result).detach())
        return result

    def detach() -> None:
        if own is None:
            module.__dict__.pop(watch.method, None)
        else:
            module.__dict__[watch.method] = own

    module.__dict__[watch.method] = watched
    return detach

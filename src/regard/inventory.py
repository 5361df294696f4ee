"""What attention a model has: one line a layer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from regard.attention import Kind
from regard.intercept.record import record
from regard.recording import Recording, Unrecorded


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer with attention.

    Attributes:
        path: Its name in `model.named_modules()`; "" is the model itself.
        kind: "dot_product", "explicit" or "deformable".
        shape: (batch, heads, queries, keys) of its first call.
        calls: How many attention calls one run makes in it.
    """

    path: str
    kind: Kind
    shape: tuple[int, int, int, int]
    calls: int


class Layers(list[Layer]):
    """The layers of a model, in the order in which they run.

    Attributes:
        unrecorded: What looked like attention and cannot be recorded, with the reason.
    """

    def __init__(self, recording: Recording) -> None:
        calls = [call.layer for call in recording]
        first = {call.layer: call for call in reversed(recording)}
        super().__init__(
            Layer(path, first[path].kind, first[path].shape, calls.count(path))
            for path in recording.layers
        )
        self.unrecorded: list[Unrecorded] = recording.unrecorded


def layers(model: nn.Module, inputs: Any) -> Layers:
    """The layers of a model that have attention, found by running it once.

    Args:
        model: Any module.
        inputs: What to call it with: a mapping of keyword arguments, a sequence of positional
            ones, or one tensor.

    Raises:
        NothingRecorded: No attention was seen.
    """
    with torch.no_grad(), record(model) as recording:
        if isinstance(inputs, Mapping):
            model(**inputs)
        elif isinstance(inputs, Sequence):
            model(*inputs)
        else:
            model(inputs)
    return Layers(recording)

"""The attention of a finished caption, word by word, exactly as it was when it was chosen.

While beams are searched, rows of a batch change places at every word, and nothing says whose a
row was. So a caption is decoded first, and then told to the model word by word (teacher forcing):
the same steps with the same numbers, recorded.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from regard.errors import CheckpointError, SelectionError
from regard.intercept.record import record
from regard.models.aoanet.decoding import END, Decoding, Hypothesis, decode
from regard.models.aoanet.features import Features, as_trained
from regard.models.aoanet.loading import Captioner
from regard.recording import Recording
from regard.tokens import Tokens

DECODER = "core.attention"
END_WORD = "<end>"


@dataclass(frozen=True)
class Replayed:
    """A caption with the attention of each of its words."""

    hypothesis: Hypothesis
    text: str
    words: tuple[str, ...]
    """One each step; the last is `END_WORD` where the model ended the caption."""
    weights: Tensor
    """(steps, heads, regions) float32 on the CPU: where the decoder looked for each word."""
    gate: Tensor | None
    """(steps,): mean share of the attended values that attention-on-attention lets through; None
    where the decoder has no such gate."""
    recording: Recording
    """The refiner's six calls, then one of the decoder for each step (axis ``word``)."""
    layout: Tokens
    """What keys stand for."""


@torch.inference_mode()
def captions_of(
    captioner: Captioner,
    features: Sequence[Features],
    decoding: Decoding,
    *,
    best: int = 1,
) -> list[list[Replayed]]:
    """The best captions of each photo, each with its own attention.

    Args:
        captioner: The model.
        features: Of each photo.
        decoding: How captions are chosen.
        best: How many of each photo, at most.

    Raises:
        GeometryError: Features that the model does not take.
        SelectionError: More captions than beams.
        CheckpointError: Weights that give no probabilities.
    """
    if best > decoding.beam:
        raise SelectionError(
            f"{best} captions of a search with {decoding.beam} beams; expected at least as many"
        )
    trained = [as_trained(one, captioner.infos.options) for one in features]
    found = []
    for one in trained:  # photos alone: no padding, and no difference in the last digits
        regions, image = _inputs(captioner, one)
        scene = captioner.network.look(regions, None, image)
        (hypotheses,) = decode(captioner.network, scene, decoding, captioner.bad_endings)
        if not all(math.isfinite(each.score) for each in hypotheses):
            raise CheckpointError(
                "the model's probabilities are not numbers; get its weights again"
            )
        found.append([replay(captioner, one, each) for each in hypotheses[:best]])
    return found


@torch.inference_mode()
def replay(captioner: Captioner, features: Features, hypothesis: Hypothesis) -> Replayed:
    """The attention of a caption; ``features`` as `as_trained` gives them."""
    regions, image = _inputs(captioner, features)
    steps = len(hypothesis.log_probabilities)
    tokens = torch.tensor([[END, *hypothesis.tokens][:steps]], device=captioner.device)
    with _gates(captioner) as gates, record(captioner.network) as recording:
        captioner.network(regions, tokens, None, image)
    _lay_out(recording, features.layout)
    calls = recording.find(DECODER)
    weights = torch.cat([call.weights()[:, :, 0].float().cpu() for call in calls])
    words = [captioner.infos.word(token) for token in hypothesis.tokens]
    return Replayed(
        hypothesis=hypothesis,
        text=captioner.infos.text(hypothesis.tokens),
        words=tuple([*words, END_WORD] if hypothesis.ended else words),
        weights=weights,
        gate=torch.cat(gates).cpu() if gates else None,
        recording=recording,
        layout=features.layout,
    )


def _inputs(captioner: Captioner, features: Features) -> tuple[Tensor, Tensor | None]:
    image = features.image
    regions = features.regions[None].to(captioner.device)
    return regions, None if image is None else image[None].to(captioner.device)


@contextmanager
def _gates(captioner: Captioner) -> Iterator[list[Tensor]]:
    """How open the decoder's gate is at each step; stays empty where it has none."""
    found: list[Tensor] = []

    def note(_module: nn.Module, _inputs: Any, out: Tensor) -> None:
        found.append(out.chunk(2, -1)[1].sigmoid().mean(-1))  # information, then gate

    if captioner.infos.options.decoder_type != "AoA":
        yield found
        return
    hook = cast(nn.Sequential, captioner.network.core.att2ctx)[0].register_forward_hook(note)
    try:
        yield found
    finally:
        hook.remove()


def _lay_out(recording: Recording, layout: Tokens) -> None:
    word = 0
    for call in recording:
        layout.check(call.shape[3], where=call.layer)
        call.keys = layout
        if call.layer == DECODER:
            call.axes["word"], word = word, word + 1
        else:
            call.queries = layout

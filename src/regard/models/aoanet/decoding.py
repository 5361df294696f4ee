"""How a caption is chosen: the choices, and what comes out."""

import math
from collections.abc import Collection
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from regard.errors import SelectionError
from regard.models.aoanet.network import AoANet, Scene

END = 0
"""The token that begins a caption, ends it and fills up what is after it."""

BAD_ENDINGS = (
    *("a", "an", "the", "in", "for", "at", "of", "with", "before", "after", "on", "upon"),
    *("near", "to", "is", "are", "am"),
)
"""Words that no caption should end with; those of the official code."""


@dataclass(frozen=True, kw_only=True)
class Decoding:
    """How a caption is chosen; by default by two beams."""

    beam: int = 2
    """Hypotheses kept at a time; 1 takes the likeliest word each time."""
    groups: int = 1
    """Groups that the beams are cut into; each is kept from the words of those before it."""
    diversity: float = 0.5
    """What a word costs that an earlier group chose at the same place (log-probability)."""
    length_penalty: str = ""
    """"wu_ALPHA" (Wu et al. 2016) or "avg_0" (mean log-probability); none by default."""
    remove_bad_endings: bool = False
    """Forbid a caption to end with an article or a preposition."""
    no_repeat: bool = False
    """Forbid the same word twice in a row."""
    block_trigrams: bool = False
    """Make it costly to repeat three words in a row; not with beams."""
    temperature: float = 1.0
    """Above 1 flattens the choice, below 1 sharpens it."""
    top_k: int | None = None
    """Draw each word at random among the k likeliest; with beam=1."""
    nucleus: float | None = None
    """Draw each word at random among the likeliest that together have this probability."""
    seed: int = 0
    """For drawing at random: the same seed, the same captions."""

    def __post_init__(self) -> None:
        def refuse(name: str, expected: str) -> None:
            raise SelectionError(f"{name}={getattr(self, name)!r}, expected {expected}")

        if self.beam < 1:
            refuse("beam", "1 or more")
        if self.groups < 1 or self.beam % self.groups:
            refuse("groups", f"a divisor of beam={self.beam}")
        if not self.temperature > 0:
            refuse("temperature", "more than 0")
        if self.top_k is not None and self.top_k < 1:
            refuse("top_k", "1 or more")
        if self.nucleus is not None and not 0 < self.nucleus < 1:
            refuse("nucleus", "a probability between 0 and 1")
        if self.is_random and self.beam > 1:
            refuse("beam", "1 where words are drawn at random (top_k, nucleus)")
        if self.top_k is not None and self.nucleus is not None:
            refuse("nucleus", "None where top_k is given")
        if self.block_trigrams and self.beam > 1:
            refuse("block_trigrams", "False with beams; give beam=1")
        self.penalised(1, 0.0)

    @property
    def is_random(self) -> bool:
        """Whether words are drawn at random."""
        return self.top_k is not None or self.nucleus is not None

    def penalised(self, length: int, score: float) -> float:
        """Score of a caption of this many tokens, with the penalty for its length.

        >>> Decoding(length_penalty="avg_0").penalised(4, -6.0)
        -1.5
        """
        if not self.length_penalty:
            return score
        kind, _, text = self.length_penalty.partition("_")
        try:
            alpha = float(text or 0)
        except ValueError:
            kind = ""
        if kind == "wu":
            return score / math.pow((5 + length) / 6, alpha)
        if kind == "avg":
            return score / length
        raise SelectionError(
            f'length_penalty={self.length_penalty!r}, expected "wu_ALPHA", such as "wu_0.9", '
            'or "avg_0"'
        )

    def restrained(self, scores: Tensor, written: Tensor, bad_endings: Tensor) -> Tensor:
        """Scores of the next word with what is forbidden at -inf.

        Args:
            scores: (rows, vocabulary) log-probabilities.
            written: (rows, words so far) tokens.
            bad_endings: Tokens of `BAD_ENDINGS`.
        """
        if not written.shape[1]:
            return scores
        last, scores = written[:, -1:], scores.clone()
        if self.no_repeat:
            scores.scatter_(1, last, -torch.inf)
        if self.remove_bad_endings:
            scores[torch.isin(last[:, 0], bad_endings), END] = -torch.inf
        if self.block_trigrams and written.shape[1] >= 3:
            scores = _without_trigrams(scores, written)
        return scores


@dataclass(frozen=True)
class Hypothesis:
    """A caption as tokens."""

    tokens: tuple[int, ...]
    """Its words, without the end token."""
    log_probabilities: tuple[float, ...]
    """Of each token, and of the end token where there is one."""
    score: float
    """Their sum, with the penalty for length."""

    @property
    def ended(self) -> bool:
        """Whether the model ended it; otherwise it was cut at the greatest length."""
        return len(self.log_probabilities) > len(self.tokens)

    @classmethod
    def of(cls, tokens: list[int], log_probabilities: list[float], score: float) -> "Hypothesis":
        """Cut after the first end token."""
        words = tokens.index(END) if END in tokens else len(tokens)
        return cls(tuple(tokens[:words]), tuple(log_probabilities[: words + 1]), score)


def decode(
    network: AoANet, scene: Scene, decoding: Decoding, bad_endings: Collection[int] = ()
) -> list[list[Hypothesis]]:
    """Captions of each image of a scene, the best first.

    Beams give as many as there are beams (or fewer, where beams ended in the same caption); one
    by one, words give one.

    Args:
        network: In evaluation mode.
        scene: What `AoANet.look` gave.
        decoding: How to choose.
        bad_endings: Tokens of `BAD_ENDINGS` in the model's vocabulary.

    Raises:
        SelectionError: More beams than words.
    """
    from regard.models.aoanet.beam import beam_search

    words = network.options.vocab_size + 1
    if decoding.beam > words:
        raise SelectionError(
            f"a beam of {decoding.beam} is wider than the vocabulary; expected {words} at most"
        )
    forbidden = torch.tensor(sorted(bad_endings), dtype=torch.long, device=scene.mean.device)
    if decoding.beam > 1:
        return beam_search(network, scene, decoding, forbidden)
    return [[caption] for caption in word_by_word(network, scene, decoding, forbidden)]


def word_by_word(
    network: AoANet, scene: Scene, decoding: Decoding, bad_endings: Tensor
) -> list[Hypothesis]:
    """One caption an image: the likeliest word each time, or one drawn at random."""
    batch = len(scene.mean)
    generator = torch.Generator(scene.mean.device).manual_seed(decoding.seed)
    state, last = network.begin(batch), scene.mean.new_zeros(batch, dtype=torch.long)
    tokens, chances = last.new_empty(batch, 0), scene.mean.new_empty(batch, 0)
    for _ in range(network.options.max_length):
        scores, state = network.step(last, scene, state)
        allowed = decoding.restrained(scores, tokens, bad_endings)
        if decoding.is_random:
            last = _draw(allowed / decoding.temperature, decoding, generator)
        else:
            last = allowed.argmax(1)
        tokens = torch.cat([tokens, last[:, None]], 1)
        chances = torch.cat([chances, scores.gather(1, last[:, None])], 1)
        if (tokens == END).any(1).all():
            break
    return [
        _scored(Hypothesis.of(*row, 0.0), decoding)
        for row in zip(tokens.tolist(), chances.tolist(), strict=True)
    ]


def _scored(caption: Hypothesis, decoding: Decoding) -> Hypothesis:
    chances = caption.log_probabilities
    return replace(caption, score=decoding.penalised(len(chances), sum(chances)))


def _draw(scores: Tensor, decoding: Decoding, generator: torch.Generator) -> Tensor:
    """One word a row, at random among the likeliest."""
    chances, words = scores.softmax(1).sort(1, descending=True)
    if decoding.top_k is not None:
        chances[:, decoding.top_k :] = 0
    if decoding.nucleus is not None:  # words until their sum reaches it; at least one
        chances[chances.cumsum(1) - chances >= decoding.nucleus] = 0
    return words.gather(1, torch.multinomial(chances, 1, generator=generator))[:, 0]


def _without_trigrams(scores: Tensor, written: Tensor) -> Tensor:
    """Words that would repeat three words in a row; the price is the official code's."""
    for row, tokens in enumerate(written.tolist()):
        for start in range(len(tokens) - 2):
            if tokens[start : start + 2] == tokens[-2:]:
                scores[row, tokens[start + 2]] += -0.693 * 2.0
    return scores

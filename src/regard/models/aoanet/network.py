"""The network: features of an image in, log-probabilities of the next word out.

Modules have the official names. It is for looking at trained models, so dropout is left out:
in evaluation mode it does nothing.
"""

from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from regard.models.aoanet.attention import AdditiveAttention, DotAttention, Norm
from regard.models.aoanet.options import REFINER_LAYERS, Options

FEED_FORWARD = 2048
"""Hidden width of the refiner's feed-forward parts, fixed in the official code."""


@dataclass(frozen=True)
class Scene:
    """What the decoder knows of a batch of images. The same for every word."""

    mean: Tensor
    """(batch, width): stands for the whole image."""
    value: Tensor
    """(batch, regions, width)."""
    key: Tensor
    """(batch, regions, width)."""
    seen: Tensor | None
    """(batch, regions) bool; None where no row is padding."""

    def rows(self, rows: Tensor) -> "Scene":
        """The scene with these images of the batch; one may be taken several times."""
        seen = None if self.seen is None else self.seen[rows]
        return Scene(self.mean[rows], self.value[rows], self.key[rows], seen)


@dataclass(frozen=True)
class State:
    """What the decoder remembers between words; each (batch, width)."""

    h: Tensor
    c: Tensor
    context: Tensor
    context_c: Tensor
    """Cell of the second LSTM, where the decoder is of type LSTM."""

    def rows(self, rows: Tensor) -> "State":
        """The state with these rows of the batch, in this order."""
        return State(self.h[rows], self.c[rows], self.context[rows], self.context_c[rows])


class Residual(nn.Module):
    """The norm before a part of a refiner's layer; the part itself is named beside it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = Norm(width)


class FeedForward(nn.Module):
    """Two linear maps with a ReLU between them."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.w_1 = nn.Linear(width, hidden)
        self.w_2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape."""
        out: Tensor = self.w_2(F.relu(self.w_1(x)))
        return out


class RefinerLayer(nn.Module):
    """Self-attention over the regions, gated or not, with an optional feed-forward part."""

    def __init__(self, options: Options) -> None:
        super().__init__()
        width = options.rnn_size
        self.self_attn = DotAttention(
            width,
            options.inner_width,
            options.num_heads,
            projects_all=True,
            gated=bool(options.refine_aoa),
        )
        self.feed_forward = FeedForward(width, FEED_FORWARD) if options.use_ff else None
        self.sublayer = nn.ModuleList(Residual(width) for _ in range(2 if options.use_ff else 1))

    def forward(self, x: Tensor, seen: Tensor | None) -> Tensor:
        """(batch, regions, width) in and out."""
        y = cast(Residual, self.sublayer[0]).norm(x)
        x = x + self.self_attn(y, y, y, seen)
        if self.feed_forward is not None:
            x = x + self.feed_forward(cast(Residual, self.sublayer[1]).norm(x))
        return x


class Refiner(nn.Module):
    """Six layers in which regions look at each other, once an image."""

    def __init__(self, options: Options) -> None:
        super().__init__()
        self.layers = nn.ModuleList(RefinerLayer(options) for _ in range(REFINER_LAYERS))
        self.norm = Norm(options.rnn_size)

    def forward(self, x: Tensor, seen: Tensor | None) -> Tensor:
        """(batch, regions, width) in and out."""
        for layer in self.layers:
            x = layer(x, seen)
        out: Tensor = self.norm(x)
        return out


class Core(nn.Module):
    """One step of the decoder: an LSTM asks, attention answers, a gate lets through."""

    def __init__(self, options: Options) -> None:
        super().__init__()
        width, inner = options.rnn_size, options.inner_width
        self.out_res = bool(options.out_res)
        self.att_lstm = nn.LSTMCell(options.input_encoding_size + width, width)
        self.attention: nn.Module
        if options.has_heads:
            self.attention = DotAttention(width, inner, options.num_heads, projects_all=False)
        else:
            self.attention = AdditiveAttention(width, options.att_hid_size)
        attended = inner if options.has_heads else width
        self.att2ctx: nn.Module
        if options.decoder_type == "AoA":
            self.att2ctx = nn.Sequential(nn.Linear(attended + width, 2 * width), nn.GLU())
        elif options.decoder_type == "LSTM":
            self.att2ctx = nn.LSTMCell(attended + width, width)
        else:
            self.att2ctx = nn.Sequential(nn.Linear(attended + width, width), nn.ReLU())

    def forward(self, word: Tensor, scene: Scene, state: State) -> tuple[Tensor, State]:
        """The context that tells the next word, and what is remembered; (batch, width)."""
        x = torch.cat([word, scene.mean + state.context], 1)
        h, c = self.att_lstm(x, (state.h, state.c))
        attended = self.attention(h[:, None], scene.value, scene.key, scene.seen)[:, 0]
        both = torch.cat([attended, h], 1)
        context_c = state.context_c
        if isinstance(self.att2ctx, nn.LSTMCell):
            context, context_c = self.att2ctx(both, (state.context, context_c))
        else:
            context = self.att2ctx(both)
        return context + h if self.out_res else context, State(h, c, context, context_c)


class AoANet(nn.Module):
    """Captions of images, word by word."""

    def __init__(self, options: Options) -> None:
        super().__init__()
        self.options = options
        width, vocabulary = options.rnn_size, options.vocab_size + 1
        self.embed = nn.Sequential(nn.Embedding(vocabulary, options.input_encoding_size), nn.ReLU())
        self.fc_embed: nn.Module | None = None
        if not options.mean_feats:
            self.fc_embed = nn.Sequential(nn.Linear(options.fc_feat_size, width), nn.ReLU())
        self.att_embed = _region_embedding(options)
        self.refiner = Refiner(options) if options.refine else None
        key_width = 2 * options.inner_width if options.has_heads else options.att_hid_size
        self.ctx2att = nn.Linear(width, key_width)
        self.core = Core(options)
        self.logit = _word_scores(width, vocabulary, options.logit_layers)

    def look(self, regions: Tensor, seen: Tensor | None, image: Tensor | None = None) -> Scene:
        """What the decoder is going to need of images: done once, before the first word.

        Args:
            regions: (batch, regions, features) float32.
            seen: (batch, regions) bool, False where a row is padding; None if none is.
            image: (batch, features) of the whole images, where the model takes them.
        """
        x = self._embedded(regions, seen)
        if self.refiner is not None:
            x = self.refiner(x, seen)
        if self.fc_embed is not None and image is not None:
            mean = self.fc_embed(image)
        elif seen is None:
            mean = x.mean(1)
        else:
            mean = (x * seen[..., None]).sum(1) / seen.sum(1, keepdim=True)
        projected = self.ctx2att(x)
        if not self.options.has_heads:
            return Scene(mean, x, projected, seen)
        value, key = projected.chunk(2, -1)
        return Scene(mean, value, key, seen)

    def begin(self, batch: int) -> State:
        """The state before the first word."""
        zeros = self.ctx2att.weight.new_zeros(batch, self.options.rnn_size)
        return State(zeros, zeros, zeros, zeros)

    def step(self, words: Tensor, scene: Scene, state: State) -> tuple[Tensor, State]:
        """Log-probabilities of what comes after these words, (batch, vocabulary), and the state."""
        context, state = self.core(self.embed(words), scene, state)
        return self.logit(context).log_softmax(-1), state

    def forward(
        self,
        regions: Tensor,
        words: Tensor,
        seen: Tensor | None = None,
        image: Tensor | None = None,
    ) -> Tensor:
        """Log-probabilities after each of the words, by teacher forcing.

        Args:
            regions: As in `look`.
            words: (batch, steps) int64, beginning with token 0.
            seen: As in `look`.
            image: As in `look`.

        Returns:
            (batch, steps, vocabulary).
        """
        scene, state = self.look(regions, seen, image), self.begin(len(words))
        steps = []
        for word in words.unbind(1):
            scores, state = self.step(word, scene, state)
            steps.append(scores)
        return torch.stack(steps, 1)

    def _embedded(self, regions: Tensor, seen: Tensor | None) -> Tensor:
        rows = self.att_embed(regions.flatten(0, 1))  # batch normalisation wants rows
        x: Tensor = rows.view(*regions.shape[:2], -1)
        return x if seen is None else x * seen[..., None]


def _region_embedding(options: Options) -> nn.Sequential:
    parts: list[nn.Module] = []
    if options.use_bn:
        parts.append(nn.BatchNorm1d(options.region_width))
    # The official code has a dropout here, which holds a number of its own.
    parts += [nn.Linear(options.region_width, options.rnn_size), nn.ReLU(), nn.Identity()]
    if options.use_bn == 2:
        parts.append(nn.BatchNorm1d(options.rnn_size))
    return nn.Sequential(*parts)


def _word_scores(width: int, vocabulary: int, layers: int) -> nn.Module:
    last = nn.Linear(width, vocabulary)
    if layers == 1:
        return last
    hidden = [(nn.Linear(width, width), nn.ReLU(), nn.Identity()) for _ in range(layers - 1)]
    return nn.Sequential(*(part for parts in hidden for part in parts), last)

"""Beam search, as the official code does it, for all images of a batch at a time.

What a beam does when it ends decides which captions come out: it is stored, its running sum
becomes `ENDED`, and it keeps its place. That is kept as it is. With groups it is diverse beam
search (Vijayakumar et al. 2018): group g chooses its word t after all groups before it have.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from regard.models.aoanet.decoding import END, Decoding, Hypothesis
from regard.models.aoanet.network import AoANet, Scene, State

ENDED = -1000.0
"""Running sum of a beam that has ended, so that nothing follows it."""
UNKNOWN_COSTS = 1000.0
"""What the word UNK, the last of the vocabulary, costs."""


@dataclass
class Group:
    """Beams that are searched together; rows are image by image, beam by beam."""

    tokens: Tensor
    """(images, beams, words so far) int64."""
    chances: Tensor
    """(images, beams, words so far): log-probability of each token."""
    sums: Tensor
    """(images, beams): what beams are ranked by."""
    scores: Tensor
    """(images, beams, vocabulary): log-probabilities of the next token."""
    state: State
    done: list[list[Hypothesis]]
    """Captions that have ended, for each image."""


def beam_search(
    network: AoANet, scene: Scene, decoding: Decoding, bad_endings: Tensor
) -> list[list[Hypothesis]]:
    """Captions of each image, the best first; see `decode`."""
    images, beams = len(scene.mean), decoding.beam // decoding.groups
    order = torch.arange(images, device=scene.mean.device).repeat_interleave(beams)
    scene = scene.rows(order)
    groups = [_first(network, scene, images) for _ in range(decoding.groups)]
    length = network.options.max_length
    for time in range(length + decoding.groups - 1):
        for number, group in enumerate(groups):
            if not 0 <= (word := time - number) < length:
                continue
            taken = [earlier.tokens[:, :, word] for earlier in groups[:number]]
            parents = _advance(group, decoding, taken, bad_endings)
            _store_ended(group, decoding, is_last=word == length - 1)
            last, rows = group.tokens[:, :, -1].flatten(), _flat_rows(parents)
            scores, group.state = network.step(last, scene, group.state.rows(rows))
            group.scores = _tempered(scores, decoding).view(images, beams, -1)
    ranked = [
        [sorted(found, key=lambda one: -one.score)[:beams] for found in group.done]
        for group in groups
    ]
    return [[one for found in of_image for one in found] for of_image in zip(*ranked, strict=True)]


def _first(network: AoANet, scene: Scene, images: int) -> Group:
    rows = len(scene.mean)
    begin = torch.full((rows,), END, device=scene.mean.device)
    scores, state = network.step(begin, scene, network.begin(rows))
    scores = scores.view(images, rows // images, -1)
    beams = scores.shape[1]
    return Group(
        tokens=begin.new_empty(images, beams, 0),
        chances=scores.new_empty(images, beams, 0),
        sums=scores.new_zeros(images, beams),
        scores=scores,
        state=state,
        done=[[] for _ in range(images)],
    )


def _advance(group: Group, decoding: Decoding, taken: list[Tensor], bad_endings: Tensor) -> Tensor:
    """Choose each beam's next token; returns the beams that they follow, (images, beams)."""
    images, beams, words = group.tokens.shape
    allowed = decoding.restrained(
        group.scores.flatten(0, 1), group.tokens.flatten(0, 1), bad_endings
    ).view(images, beams, -1)
    plain = allowed.clone()
    plain[..., -1] -= UNKNOWN_COSTS
    ranking = plain.clone()
    for chosen in taken:
        cost = torch.full_like(chosen, 1, dtype=ranking.dtype) * -decoding.diversity
        ranking += torch.zeros_like(ranking[:, 0]).scatter_add(1, chosen, cost)[:, None]
    best, token = ranking.topk(min(beams, ranking.shape[-1]), -1)
    rows = 1 if words == 0 else beams  # at first, all beams are the same
    # word by word, beam by beam: the order in which the official code breaks ties
    sums = (group.sums[:, :rows, None] + best[:, :rows]).transpose(1, 2).flatten(1)
    order = sums.sort(dim=1, descending=True, stable=True)
    choice = order.indices[:, :beams]
    parent: Tensor = choice % rows
    column = choice // rows
    image = torch.arange(images, device=parent.device)[:, None]
    chosen = token[image, parent, column]
    group.sums = order.values[:, :beams]
    group.tokens = torch.cat([group.tokens[image, parent], chosen[..., None]], 2)
    chance = plain[image, parent, chosen]
    group.chances = torch.cat([group.chances[image, parent], chance[..., None]], 2)
    return parent


def _store_ended(group: Group, decoding: Decoding, *, is_last: bool) -> None:
    """Store the beams that just ended; at the greatest length, all."""
    ended = (group.tokens[:, :, -1] == END) | is_last
    for image, beam in ended.nonzero().tolist():
        tokens, total = group.tokens[image, beam].tolist(), float(group.sums[image, beam])
        if END not in tokens[:-1]:  # else it follows a beam that ended before
            score = decoding.penalised(len(tokens), total)
            chances = group.chances[image, beam].tolist()
            group.done[image].append(Hypothesis.of(tokens, chances, score))
    group.sums = group.sums.masked_fill(ended, ENDED)


def _flat_rows(parents: Tensor) -> Tensor:
    images, beams = parents.shape
    return (parents + torch.arange(images, device=parents.device)[:, None] * beams).flatten()


def _tempered(scores: Tensor, decoding: Decoding) -> Tensor:
    return (scores / decoding.temperature).log_softmax(-1)

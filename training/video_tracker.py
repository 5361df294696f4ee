"""Stage two: the tracker learns on clips, with what the frozen segmenter says about each frame.

As upstream: an object is matched once, in the frame in which it first appears, to a candidate;
from then on its track answers for it. A track whose object is hidden should say "no object", and
so should candidates for objects that have a track already. Candidates that are wrong become
tracks as well, so that the tracker learns to be rid of them.

A batch holds several clips. Each has room for the same number of tracks; places without a track
are hidden from all others.

Source: Zhou et al. 2024, "DVIS-DAQ", section 3.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from regard.models.dvis_daq.layers import SelfAttentionLayer
from regard.models.dvis_daq.predictor import best_score, mask_logits
from regard.models.dvis_daq.slots import SlotAttention, nearest_queries
from regard.models.dvis_daq.tracker import Tracker
from training.video_losses import Objects, Pairs, class_loss, loss, mask_losses, match, pairs

ROOM = 8
"""Tracks that a clip has room for."""

_MISTAKE_SCORE = 0.3
_LOST = 0.1
_REMEMBERED_POSITIONS = 9
_EPS = 1e-6


@dataclass(frozen=True, kw_only=True)
class SegmentedFrame:
    """What the segmenter says about the same frame of several clips."""

    embeds: Tensor
    """(clips, queries, channels)."""
    logits: Tensor
    """(clips, queries, classes + 1)."""
    masks: Tensor
    """(clips, queries, height, width)."""
    features: Tensor
    """Mask features, (clips, channels, height, width)."""


@dataclass(frozen=True, kw_only=True)
class _Living:
    """The tracks of a batch of clips after a frame."""

    queries: Tensor
    """(clips, room, channels)."""
    position: Tensor
    """(clips, room, channels)."""
    memory: Tensor
    """Positions of the last frames in which it was seen, (clips, room, 9, channels)."""
    remembered: Tensor
    """How many of them there are, int64 (clips, room)."""
    owner: Tensor
    """Object that it answers for, int64 (clips, room); -1 for a mistake."""
    alive: Tensor
    """Whether there is a track, bool (clips, room)."""


def tracker_loss(
    tracker: Tracker,
    frames: Sequence[SegmentedFrame],
    objects: Sequence[Objects],
    learned_queries: Tensor,
    random: torch.Generator,
) -> Tensor:
    """Mean loss over the frames of a batch of clips.

    Args:
        tracker: What learns.
        frames: What the segmenter says, frame after frame.
        objects: What is there, frame after frame.
        learned_queries: What the segmenter's queries start from, (queries, channels).
        random: Decides which new tracks are lost at once, to be found again.
    """
    losses = []
    living: _Living | None = None
    for frame, there in zip(frames, objects, strict=True):
        places = _positions(tracker, frame.masks, frame.features)
        layers = _run(tracker, frame, places, living)
        last = layers[-1]
        normed = tracker.decoder_norm(last)
        logits = tracker.class_embed(normed)
        projected = tracker.mask_feature_proj(frame.features)
        masks = mask_logits(tracker.mask_embed(normed), projected)
        found = _answers(frame, logits, masks, there, living)
        counted = _counted(living, logits)
        losses.append(loss(logits, masks, there, found, counted=counted))
        losses += [
            _layer_loss(tracker, layer, projected, there, found, counted) for layer in layers[:-1]
        ]
        if living is not None and living.alive.any():
            losses.append(_slot_loss(tracker, frame, there, living, learned_queries))
        seen = _positions(tracker, masks, frame.features)
        scores = best_score(frame.logits if living is None else logits)
        living = _next(living, last, seen, found, scores, there, random)
    return torch.stack(losses).mean()


def _run(
    tracker: Any, frame: SegmentedFrame, places: Tensor, living: _Living | None
) -> list[Tensor]:
    """Queries after each layer: tracks, then candidates; in the first frame the frame's own."""
    position: Tensor | float = 0.0
    memory_position: Tensor | float = 0.0
    blocked = None
    tokens = frame.embeds
    if living is not None:
        candidates = tracker.new_ins_embeds.weight.expand(*frame.embeds.shape[:2], -1)
        tokens = torch.cat([living.queries, candidates], dim=1)
        position, memory_position = torch.cat([living.position, places], dim=1), places
        gone = F.pad(~living.alive, (0, candidates.shape[1]))
        blocked = gone[:, None].expand(-1, tokens.shape[1], -1)
    outputs = []
    for cross, own, feed_forward in zip(
        tracker.transformer_cross_attention_layers,
        tracker.transformer_self_attention_layers,
        tracker.transformer_ffn_layers,
        strict=True,
    ):
        tokens = cross(tokens, frame.embeds, position=position, memory_position=memory_position)
        tokens = feed_forward(_among(own, tokens, blocked))
        outputs.append(tokens)
    return outputs


def _among(layer: SelfAttentionLayer, tokens: Tensor, blocked: Tensor | None) -> Tensor:
    found: Tensor = layer.norm(tokens + layer.self_attn(tokens, tokens, tokens, blocked=blocked))
    return found


def _positions(tracker: Tracker, masks: Tensor, features: Tensor) -> Tensor:
    """`Tracker.positions` of several clips at once, (clips, masks, channels)."""
    inside = (masks.flatten(2) > 0).to(features.dtype)
    means = inside @ features.flatten(2).transpose(1, 2)
    places: Tensor = tracker.pos_embed(means / (inside.sum(2, keepdim=True) + 1e-8))
    return places


def _answers(
    frame: SegmentedFrame, logits: Tensor, masks: Tensor, there: Objects, living: _Living | None
) -> Pairs:
    """Which query answers for which object: its track, or a candidate where it has none."""
    if living is None:
        return match(frame.logits, frame.masks, there)
    owned = [
        (clip, place, int(living.owner[clip, place]))
        for clip, place in (living.alive & (living.owner >= 0)).nonzero().tolist()
    ]
    labels = there.labels.clone()
    for clip, _, target in owned:
        labels[clip, target] = -1
    free = torch.zeros(logits.shape[:2], dtype=torch.bool)
    free[:, ROOM:] = True
    new = match(logits, masks, Objects(labels=labels, shares=there.shares), free=free)
    kept = [(c, q, t) for c, q, t in owned if there.labels[c, t] >= 0]
    return pairs(
        kept + list(zip(new.batch.tolist(), new.query.tolist(), new.target.tolist(), strict=True))
    )


def _counted(living: _Living | None, logits: Tensor) -> Tensor | None:
    """Queries that are something: living tracks and all candidates."""
    if living is None:
        return None
    counted = torch.ones(logits.shape[:2], dtype=torch.bool)
    counted[:, :ROOM] = living.alive
    return counted


def _layer_loss(
    tracker: Tracker,
    tokens: Tensor,
    projected: Tensor,
    there: Objects,
    found: Pairs,
    counted: Tensor | None,
) -> Tensor:
    """Loss of what would be said after an earlier layer, by the same answers."""
    normed = tracker.decoder_norm(tokens)
    classes = 2.0 * class_loss(tracker.class_embed(normed), there, found, counted=counted)
    return classes + _paired_mask_loss(tracker, normed, projected, there, found)


def _paired_mask_loss(
    tracker: Tracker, normed: Tensor, projected: Tensor, there: Objects, found: Pairs
) -> Tensor:
    embeds = tracker.mask_embed(normed[found.batch, found.query])
    masks = mask_logits(embeds[:, None], projected[found.batch])[:, 0]
    entropy, dice = mask_losses(masks, there.shares[found.batch, found.target])
    return 5.0 * (entropy.sum() + dice.sum()) / max(1, len(found))


def _slot_loss(
    tracker: Any,
    frame: SegmentedFrame,
    there: Objects,
    living: _Living,
    learned_queries: Tensor,
) -> Tensor:
    """The slot of a track should say what its object is, or that it is hidden."""
    background = tracker.bg_slots.weight.expand(len(frame.embeds), -1, -1)
    position = torch.cat([living.queries, background], dim=1)
    query = torch.cat([living.position, background], dim=1)
    alive = F.pad(living.alive, (0, background.shape[1]), value=True)
    starts = torch.zeros(alive.shape, dtype=torch.int64)
    with torch.no_grad():
        for clip in range(len(alive)):
            starts[clip, alive[clip]] = nearest_queries(
                position[clip, alive[clip]], learned_queries
            )
    slots = learned_queries[starts]
    for look, feed_forward in zip(
        tracker.slot_cross_attention_layers, tracker.slot_ffn_layers, strict=True
    ):
        seen = look.multihead_attn(slots + position, frame.embeds, frame.embeds)
        won = _share_out(look.slot_attn, seen, slots + seen, query, alive)
        slots = feed_forward(look.norm(slots + won))
    owned = living.alive & (living.owner >= 0)
    visible = there.labels.gather(1, living.owner.clamp(min=0)) >= 0
    found = pairs(
        [
            (clip, place, int(living.owner[clip, place]))
            for clip, place in (owned & visible).nonzero().tolist()
        ]
    )
    logits = tracker.class_embed(tracker.decoder_norm(slots[:, :ROOM]))
    return 2.0 * class_loss(logits, there, found, counted=living.alive)


def _share_out(
    attention: SlotAttention, inputs: Tensor, keys: Tensor, slots: Tensor, alive: Tensor
) -> Tensor:
    """`SlotAttention.forward` without the places that hold no track."""
    k, q = attention.project_k(attention.norm_inputs(keys)), attention.project_q(slots)
    logits = attention.scale * k @ q.transpose(1, 2)
    shares = logits.masked_fill(~alive[:, None], -torch.inf).softmax(-1) + _EPS
    shares = shares * alive[..., None]
    shares = shares / shares.sum(1, keepdim=True)
    won: Tensor = shares.transpose(1, 2) @ inputs
    return won


def _next(
    living: _Living | None,
    outputs: Tensor,
    positions: Tensor,
    found: Pairs,
    scores: Tensor,
    there: Objects,
    random: torch.Generator,
) -> _Living:
    """The tracks after the frame: those before, the objects that appeared, a few mistakes."""
    clips, _, channels = outputs.shape
    if living is None:
        owner = torch.full((clips, ROOM), -1)
        alive = torch.zeros(clips, ROOM, dtype=torch.bool)
        memory = outputs.new_zeros(clips, ROOM, _REMEMBERED_POSITIONS, channels)
        remembered = torch.zeros(clips, ROOM, dtype=torch.int64)
        position, first = outputs.new_zeros(clips, ROOM, channels), 0
    else:
        owner, alive = living.owner.clone(), living.alive.clone()
        memory, remembered = living.memory, living.remembered.clone()
        position, first = living.position, ROOM
    source = torch.arange(ROOM).expand(clips, -1).clone()
    answered = torch.zeros(outputs.shape[:2], dtype=torch.bool)
    answered[found.batch, found.query] = True
    seen = answered[:, :ROOM].clone() if living is not None else torch.zeros_like(alive)
    lost = torch.rand(len(found), generator=random) < _LOST
    born = [
        (clip, query, target)
        for clip, query, target, is_lost in zip(
            found.batch.tolist(), found.query.tolist(), found.target.tolist(), lost, strict=True
        )
        if query >= first and not is_lost
    ]
    wrong = (scores > _MISTAKE_SCORE) & ~answered
    wrong[:, :first] = False
    born += [(clip, query, -1) for clip, query in wrong.nonzero().tolist()]
    for clip, query, target in born:
        free = (~alive[clip]).nonzero()
        if len(free):
            place = int(free[0])
            source[clip, place], owner[clip, place] = query, target
            alive[clip, place] = seen[clip, place] = True
            remembered[clip, place] = 0
    index = source[..., None].expand(-1, -1, channels)
    queries, now = outputs.gather(1, index), positions.gather(1, index)
    return _remember(
        _Living(
            queries=queries,
            position=position,
            memory=memory,
            remembered=remembered,
            owner=owner,
            alive=alive,
        ),
        now,
        seen,
    )


def _remember(living: _Living, now: Tensor, seen: Tensor) -> _Living:
    """Positions moved to where the seen tracks are, as `Track` does it."""
    known = torch.arange(_REMEMBERED_POSITIONS) < living.remembered[..., None]
    alike = (F.normalize(living.memory, dim=-1) * F.normalize(now, dim=-1)[:, :, None]).sum(-1)
    count = known.sum(-1).clamp(min=1)
    share = ((alike * known).sum(-1) / count).clamp(min=0)
    share = torch.where(living.remembered > 0, share, 1.0)[..., None]
    moved = (1 - share) * living.position + share * now
    # newest first: what is older than nine frames falls off the end
    memory = torch.cat([now[:, :, None], living.memory[:, :, :-1]], dim=2)
    chosen = seen[..., None]
    return _Living(
        queries=living.queries,
        position=torch.where(chosen, moved, living.position),
        memory=torch.where(chosen[..., None], memory, living.memory),
        remembered=torch.where(
            seen, (living.remembered + 1).clamp(max=_REMEMBERED_POSITIONS), living.remembered
        ),
        owner=living.owner,
        alive=living.alive,
    )

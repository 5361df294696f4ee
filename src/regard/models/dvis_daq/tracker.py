"""The tracker: follows instances from frame to frame, and finds new ones.

Upstream's VideoInstanceCutter. In each frame its queries are the living tracks and candidates for
new ones (the dynamic anchor queries: one learned embedding, placed where each frame query lies).

Source: Zhou et al. 2024, "DVIS-DAQ", section 3.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from regard.models.dvis_daq.layers import (
    MLP,
    CrossAttentionLayer,
    FeedForwardLayer,
    SelfAttentionLayer,
)
from regard.models.dvis_daq.predictor import best_score, mask_logits
from regard.models.dvis_daq.settings import Settings
from regard.models.dvis_daq.slots import SlotCrossAttentionLayer, nearest_queries
from regard.models.dvis_daq.tracks import TrackedFrame, Tracks

_QUERIES_AT_ONCE = 50


@dataclass(frozen=True, kw_only=True)
class TrackerOutput:
    """What the tracker says about one frame."""

    tracked: TrackedFrame
    """Which query was which track."""
    queries: Tensor
    """Queries before the first layer, (queries, channels)."""
    embeds: Tensor
    """After the last layer, (queries, channels)."""
    logits: Tensor
    """Class logits, (queries, classes + 1)."""
    masks: Tensor
    """Mask logits at stride 4, (queries, height, width)."""
    slot_logits: Tensor | None
    """Class logits of track slots, then background slots; ``None`` in the first frame."""
    slot_starts: Tensor | None
    """Learned query that each slot started from, int64; ``None`` in the first frame."""


class Tracker(nn.Module):
    """The network of the tracker; `forward` takes one frame and updates the tracks.

    Args:
        classes: Classes without "no object".
        channels: Width of a query.
        mask_channels: Channels of the mask features.
        heads: Attention heads.
        slots: Background slots.
        layers: Layers.
        width: Inner width of the feed-forward layers.
    """

    def __init__(
        self,
        *,
        classes: int,
        channels: int,
        mask_channels: int,
        heads: int,
        slots: int = 5,
        layers: int = 6,
        width: int = 2048,
    ) -> None:
        super().__init__()
        self.transformer_self_attention_layers = nn.ModuleList(
            SelfAttentionLayer(channels, heads) for _ in range(layers)
        )
        self.transformer_cross_attention_layers = nn.ModuleList(
            CrossAttentionLayer(channels, heads) for _ in range(layers)
        )
        self.transformer_ffn_layers = nn.ModuleList(
            FeedForwardLayer(channels, width) for _ in range(layers)
        )
        self.slot_cross_attention_layers = nn.ModuleList(
            SlotCrossAttentionLayer(channels, heads) for _ in range(layers)
        )
        self.slot_ffn_layers = nn.ModuleList(
            FeedForwardLayer(channels, width) for _ in range(layers)
        )
        self.decoder_norm = nn.LayerNorm(channels)
        self.class_embed = nn.Linear(channels, classes + 1)
        self.pos_embed = MLP([mask_channels, channels, channels, channels])
        self.mask_embed = MLP([channels, channels, channels, mask_channels])
        self.mask_feature_proj = nn.Conv2d(mask_channels, mask_channels, 1)
        self.new_ins_embeds = nn.Embedding(1, channels)
        self.bg_slots = nn.Embedding(slots, channels)

    def forward(
        self,
        tracks: Tracks,
        frame: int,
        *,
        embeds: Tensor,
        scores: Tensor,
        masks: Tensor,
        mask_features: Tensor,
        learned_queries: Tensor,
        settings: Settings,
    ) -> TrackerOutput:
        """One frame; ``tracks`` are brought up to date.

        Args:
            tracks: Those of the frames before.
            frame: Index of the frame; 0 begins a video.
            embeds: Frame queries of the predictor, (queries, channels).
            scores: Their best class probabilities, (queries,).
            masks: Their mask logits, (queries, height, width).
            mask_features: (channels, height, width).
            learned_queries: What the predictor's queries start from, (queries, channels).
            settings: Thresholds.
        """
        slot_logits = slot_starts = None
        if frame == 0:
            queries = embeds
            outputs = self._run(embeds, embeds)
        else:
            places = self.positions(masks, mask_features)
            known, known_places = self._known(tracks, embeds)
            count = settings.new_instances or len(embeds)
            candidates = self.new_ins_embeds.weight.expand(min(count, len(embeds)), -1)
            queries = torch.cat([known, candidates])
            position = torch.cat([known_places, places[: len(candidates)]])
            outputs = self._run(queries, embeds, position=position, memory_position=places)
            slot_starts = nearest_queries(torch.cat([known, self.bg_slots.weight]), learned_queries)
            slot_logits = self._slot_logits(
                learned_queries[slot_starts], embeds, known, known_places
            )
        normed = self.decoder_norm(outputs)
        logits = self.class_embed(normed)
        projected = self.mask_feature_proj(mask_features[None])
        found = mask_logits(self.mask_embed(normed)[None], projected)[0]
        seen = _seen(scores, logits, slot_logits, len(tracks.alive), settings)
        places = self.positions(found, mask_features)
        return TrackerOutput(
            tracked=tracks.update(frame, seen.tolist(), outputs, logits, places),
            queries=queries,
            embeds=outputs,
            logits=logits,
            masks=found,
            slot_logits=slot_logits,
            slot_starts=slot_starts,
        )

    def positions(self, masks: Tensor, mask_features: Tensor) -> Tensor:
        """Position embedding of each mask, (masks, channels): its mean mask feature, embedded.

        Args:
            masks: Mask logits, (masks, height, width).
            mask_features: (channels, height, width).
        """
        pixels = mask_features.flatten(1).T
        means = []
        for some in masks.split(_QUERIES_AT_ONCE):
            inside = (some.flatten(1).sigmoid() > 0.5).to(pixels.dtype)
            means.append(inside @ pixels / (inside.sum(1, keepdim=True) + 1e-8))
        return self.pos_embed(torch.cat(means))

    def _run(
        self,
        queries: Tensor,
        embeds: Tensor,
        *,
        position: Tensor | float = 0.0,
        memory_position: Tensor | float = 0.0,
    ) -> Tensor:
        """Queries after all layers, (queries, channels)."""
        tokens, memory = queries[None], embeds[None]
        for cross, own, feed_forward in zip(
            self.transformer_cross_attention_layers,
            self.transformer_self_attention_layers,
            self.transformer_ffn_layers,
            strict=True,
        ):
            tokens = cross(tokens, memory, position=position, memory_position=memory_position)
            tokens = feed_forward(own(tokens))
        return tokens[0]

    def _slot_logits(
        self, starts: Tensor, embeds: Tensor, known: Tensor, known_places: Tensor
    ) -> Tensor:
        """Class logits of the slots of the tracks and of the background."""
        background = self.bg_slots.weight
        slots, memory = starts[None], embeds[None]
        position = torch.cat([known, background])[None]
        query = torch.cat([known_places, background])[None]
        for look, feed_forward in zip(
            self.slot_cross_attention_layers, self.slot_ffn_layers, strict=True
        ):
            slots = feed_forward(look(slots, memory, position=position, query=query))
        return self.class_embed(self.decoder_norm(slots[0]))

    @staticmethod
    def _known(tracks: Tracks, embeds: Tensor) -> tuple[Tensor, Tensor]:
        """Queries of the living tracks and their positions; there may be none."""
        if tracks.alive:
            return tracks.queries()
        return embeds[:0], embeds[:0]


def _seen(
    scores: Tensor, logits: Tensor, slot_logits: Tensor | None, known: int, settings: Settings
) -> Tensor:
    """Which tracker queries are seen in the frame: bool (queries,)."""
    if slot_logits is None:
        return scores > settings.first_frame_threshold
    if not settings.ovis_infer or not known:
        return best_score(logits) > settings.threshold
    of_tracks, of_slots = logits[:known], slot_logits[:known]
    if settings.offline_mode:
        tracked = best_score((of_tracks + of_slots) / 2) > settings.threshold
    else:
        tracked = best_score(of_tracks) > settings.threshold
        tracked &= best_score(of_slots) > settings.slot_threshold
    return torch.cat([tracked, best_score(logits[known:]) > settings.threshold])

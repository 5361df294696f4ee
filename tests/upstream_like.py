"""A model built like the official DVIS-DAQ, from the outside: for what cannot be installed here.

Modules and attributes have the official names; attention is `nn.MultiheadAttention`, sequence
first, with a mask for every head; segmenter, tracker and refiner are called as the official code
calls them. Weights, and the decision which track lives, come from our own network, so that what
is seen from the outside can be compared with what our own recording knows.
"""

import copy
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from regard.models.dvis_daq import layers, tracker
from regard.models.dvis_daq.model import DvisDaq
from regard.models.dvis_daq.predictor import best_score, blocked_cells, mask_logits
from regard.models.dvis_daq.settings import Settings
from regard.models.dvis_daq.slots import nearest_queries
from regard.models.dvis_daq.tracks import Tracks

_FIRST_ID = 70_001
_STEP = -13  # ids say nothing about the order of birth
_LINKED_ID = 100_000_000


class UpstreamLike(nn.Module):
    """Takes prepared frames (frames, 3, height, width)."""

    def __init__(self, ours: DvisDaq, settings: Settings) -> None:
        super().__init__()
        self.backbone = copy.deepcopy(ours.backbone)
        self.sem_seg_head = nn.Module()
        self.sem_seg_head.pixel_decoder = copy.deepcopy(ours.sem_seg_head.pixel_decoder)
        self.sem_seg_head.predictor = _sequence_first(ours.sem_seg_head.predictor)
        self.tracker = UpstreamLikeTracker(ours, settings)
        if ours.refiner is not None:
            self.refiner = _sequence_first(ours.refiner)
        self.ours, self.settings = [ours], settings  # a list, so that it is no submodule

    @torch.no_grad()
    def forward(self, frames: Tensor) -> None:
        """Run over a video."""
        common = self.common_inference(frames)
        if hasattr(self, "refiner"):
            _refine(self.refiner, common["instance_embeds"], common["frame_embeds"])

    def common_inference(self, frames: Tensor) -> dict[str, Any]:
        """All windows of the segmenter, then the tracker, as offline models do."""
        said = [self._segment(window) for window in torch.split(frames, self.settings.window)]
        embeds, logits, masks, features = (torch.cat(part) for part in zip(*said, strict=True))
        self.tracker.inference(embeds, logits, masks, features)
        of = self.tracker.tracks
        count = len(frames)
        kept = [t for t in of if len(t) >= self.settings.min_frames or t.end == count]
        rows = [
            torch.cat([t.position.expand(t.start, -1), torch.stack(t.embeds),
                       t.position.expand(count - t.end, -1)])
            for t in kept
        ]  # fmt: skip
        linked = [embeds[:, query] for query in range(2)]
        return {
            "frame_embeds": embeds,
            "instance_embeds": torch.stack([*rows, *linked], dim=1)[:, None],  # (t, b, rows, c)
            "seq_id_list": [_sequence(t.id) for t in kept] + [_LINKED_ID, _LINKED_ID + 1000],
        }

    def _segment(self, frames: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        head: Any = self.sem_seg_head
        features, levels = head.pixel_decoder(self.backbone(frames))
        predictor = head.predictor
        memories, positions = predictor._memories(levels)
        queries = predictor.query_feat.weight[:, None].expand(-1, len(frames), -1)
        place = predictor.query_embed.weight[:, None]
        said = predictor._predict(queries.transpose(0, 1), features)
        for index, feed_forward in enumerate(predictor.transformer_ffn_layers):
            level = index % len(levels)
            blocked = blocked_cells(said.masks, levels[level].shape[-2:])
            cross = predictor.transformer_cross_attention_layers[index]
            own = predictor.transformer_self_attention_layers[index]
            heads = cross.multihead_attn.num_heads
            memory = memories[level].transpose(0, 1)
            queries = cross(queries, memory, place, positions[level][:, None],
                blocked.repeat_interleave(heads, 0),
            )  # fmt: skip
            queries = feed_forward(own(queries, place))
            said = predictor._predict(queries.transpose(0, 1), features)
        return said.embeds, said.logits, said.masks, features


class UpstreamLikeTracker(nn.Module):
    """With the attributes by which the official tracker can be followed."""

    last_seq_ids: list[int] | None = None

    def __init__(self, ours: DvisDaq, settings: Settings) -> None:
        super().__init__()
        for name, module in _sequence_first(ours.tracker).named_children():
            self.add_module(name, module)
        self.ours, self.settings = [ours], settings
        self.num_new_ins = settings.new_instances or len(ours.learned_queries)
        self.video_ins_hub: dict[int, Any] = {}

    def inference(self, embeds: Tensor, logits: Tensor, masks: Tensor, features: Tensor) -> None:
        """All frames of a video; (frames, queries, ...) each."""
        self.last_seq_ids, self.video_ins_hub = None, {}
        self.tracks = Tracks(max_unseen_frames=self.settings.max_unseen_frames)
        for frame in range(len(embeds)):
            self._frame(frame, embeds[frame], logits[frame], masks[frame], features[frame])

    def _frame(
        self, frame: int, embeds: Tensor, logits: Tensor, masks: Tensor, features: Tensor
    ) -> None:
        ours: Any = self.ours[0].tracker
        this: Any = self._modules
        queries, memory = embeds[:, None], embeds[:, None]
        place: Any = 0.0
        memory_place: Any = 0.0
        slots = None
        if frame:
            places = ours.positions(masks, features)
            known, known_places = ours._known(self.tracks, embeds)
            new = ours.new_ins_embeds.weight.expand(self.num_new_ins, -1)
            queries = torch.cat([known, new])[:, None]
            place = torch.cat([known_places, places[: self.num_new_ins]])[:, None]
            memory_place = places[:, None]
            slots = self._slots(embeds, known, known_places)
        for cross, own, feed_forward in zip(
            this["transformer_cross_attention_layers"],
            this["transformer_self_attention_layers"],
            this["transformer_ffn_layers"],
            strict=True,
        ):
            queries = cross(queries, memory, place, memory_place)
            queries = feed_forward(own(queries))
        outputs = queries[:, 0]
        normed = ours.decoder_norm(outputs)
        said = ours.class_embed(normed)
        projected = ours.mask_feature_proj(features[None])
        found = mask_logits(ours.mask_embed(normed)[None], projected)[0]
        seen = tracker._seen(
            best_score(logits), said, slots, len(self.tracks.alive), self.settings
        ).tolist()
        of = self.tracks.update(frame, seen, outputs, said, ours.positions(found, features))
        for track in self.tracks.alive:
            self.video_ins_hub[_sequence(track.id)] = SimpleNamespace(
                embeds=[outputs[of.query_of(track.id)]], appearance=[track.seen[-1]]
            )
        self.last_seq_ids = [_sequence(track) for track in of.left]

    def _slots(self, embeds: Tensor, known: Tensor, known_places: Tensor) -> Tensor:
        ours, learned = self.ours[0].tracker, self.ours[0].learned_queries
        background = ours.bg_slots.weight
        position = torch.cat([known, background])
        query = torch.cat([known_places, background])[None]
        slots = learned[nearest_queries(position, learned)][:, None]
        this: Any = self._modules
        for look, feed_forward in zip(
            this["slot_cross_attention_layers"],
            this["slot_ffn_layers"],
            strict=True,
        ):
            memory = embeds[:, None]
            seen = look.multihead_attn(slots + position[:, None], memory, memory)[0]
            won = look.slot_attn(seen.transpose(0, 1), (slots + seen).transpose(0, 1), query)
            slots = feed_forward(look.norm(slots + won.transpose(0, 1)))
        said: Tensor = ours.class_embed(ours.decoder_norm(slots[:, 0]))
        return said


def _refine(refiner: Any, rows: Tensor, frame_embeds: Tensor) -> None:
    """Rows (frames, 1, rows, channels), as the official refiner arranges them."""
    frames, _, count, channels = rows.shape
    memory = frame_embeds.transpose(0, 1)  # (queries, frames, channels)
    tokens = rows[:, 0]  # (frames, rows, channels)
    for index, feed_forward in enumerate(refiner.transformer_ffn_layers):
        tokens = refiner.transformer_time_self_attention_layers[index](tokens)
        by_row = tokens.transpose(0, 1)  # (rows, frames, channels)
        by_row = refiner.transformer_obj_self_attention_layers[index](by_row)
        cross = refiner.transformer_cross_attention_layers[index]
        tokens = feed_forward(cross(by_row, memory)).transpose(0, 1)
    decoded = refiner.decoder_norm(tokens).reshape(1, 1, frames, count, channels)
    refiner.activation_proj(decoded).softmax(2)


def _sequence(track: int) -> int:
    return _FIRST_ID + _STEP * track


class CrossAttentionLayer(nn.Module):
    """Sequence first, (tokens, batch, channels)."""

    def __init__(self, attention: layers.MultiheadAttention, norm: nn.Module) -> None:
        super().__init__()
        self.multihead_attn, self.norm = _torchs(attention), norm

    def forward(
        self,
        tokens: Tensor,
        memory: Tensor,
        place: Any = 0.0,
        memory_place: Any = 0.0,
        blocked: Tensor | None = None,
    ) -> Tensor:
        seen = self.multihead_attn(tokens + place, memory + memory_place, memory, attn_mask=blocked)
        found: Tensor = self.norm(tokens + seen[0])
        return found


class SelfAttentionLayer(nn.Module):
    """Sequence first, (tokens, batch, channels)."""

    def __init__(self, attention: layers.MultiheadAttention, norm: nn.Module) -> None:
        super().__init__()
        self.self_attn, self.norm = _torchs(attention), norm

    def forward(self, tokens: Tensor, place: Any = 0.0) -> Tensor:
        placed = tokens + place
        found: Tensor = self.norm(tokens + self.self_attn(placed, placed, tokens)[0])
        return found


def _sequence_first(module: nn.Module) -> nn.Module:
    """A copy in which attention is torch's own, sequence first."""
    found = copy.deepcopy(module)
    for parent in list(found.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, layers.CrossAttentionLayer):
                setattr(parent, name, CrossAttentionLayer(child.multihead_attn, child.norm))
            elif isinstance(child, layers.SelfAttentionLayer):
                setattr(parent, name, SelfAttentionLayer(child.self_attn, child.norm))
            elif isinstance(child, layers.MultiheadAttention):
                setattr(parent, name, _torchs(child))
    return found.eval()


def _torchs(attention: layers.MultiheadAttention) -> nn.MultiheadAttention:
    found = nn.MultiheadAttention(attention.out_proj.in_features, attention.heads)
    found.load_state_dict(attention.state_dict())
    return found


def stacked(frames: Sequence[Tensor]) -> Tensor:
    """Frames as one input."""
    return torch.stack(list(frames))

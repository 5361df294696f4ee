"""Masked transformer decoder: object queries of a frame look at its features.

Source: Cheng et al. 2022, "Masked-attention Mask Transformer", section 3.2.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from regard.models.dvis_daq.layers import (
    MLP,
    CrossAttentionLayer,
    FeedForwardLayer,
    SelfAttentionLayer,
)
from regard.models.dvis_daq.position import sine_position


@dataclass(frozen=True, kw_only=True)
class FrameQueries:
    """What the predictor says about each frame by itself."""

    embeds: Tensor
    """(frames, queries, channels), normalised."""
    logits: Tensor
    """Class logits, (frames, queries, classes + 1); the last class is "no object"."""
    masks: Tensor
    """Mask logits at stride 4, (frames, queries, height, width)."""

    @property
    def scores(self) -> Tensor:
        """Probability of the best class, (frames, queries)."""
        return best_score(self.logits)


class Predictor(nn.Module):
    """Learned queries become object queries, layer by layer.

    Layer *i* looks at level *i* mod 3, only where the prediction before it sees its object; a
    query that sees no object there may look everywhere.

    Args:
        classes: Classes without "no object".
        queries: Object queries.
        channels: Width of a query.
        mask_channels: Channels of the mask features.
        heads: Attention heads.
        layers: Decoder layers.
        width: Inner width of the feed-forward layers.
        levels: Feature levels.
    """

    def __init__(
        self,
        *,
        classes: int,
        queries: int,
        channels: int,
        mask_channels: int,
        heads: int,
        layers: int = 9,
        width: int = 2048,
        levels: int = 3,
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
        self.decoder_norm = nn.LayerNorm(channels)
        self.query_feat = nn.Embedding(queries, channels)
        self.query_embed = nn.Embedding(queries, channels)
        self.level_embed = nn.Embedding(levels, channels)
        self.class_embed = nn.Linear(channels, classes + 1)
        self.mask_embed = MLP([channels, channels, channels, mask_channels])

    def forward(self, levels: Sequence[Tensor], mask_features: Tensor) -> FrameQueries:
        """Predictions of the last layer.

        Args:
            levels: (frames, channels, height, width) each, at strides 32, 16 and 8.
            mask_features: (frames, channels, height, width) at stride 4.
        """
        for predicted in self.layer_by_layer(levels, mask_features):
            last = predicted
        return last

    def layer_by_layer(
        self, levels: Sequence[Tensor], mask_features: Tensor
    ) -> Iterator[FrameQueries]:
        """Predictions before the first layer and after each; arguments as for `forward`.

        Training looks at all of them.
        """
        memories, positions = self._memories(levels)
        sizes = [level.shape[-2:] for level in levels]
        query_position = self.query_embed.weight
        queries = self.query_feat.weight.expand(len(mask_features), -1, -1)
        predicted = self._predict(queries, mask_features)
        yield predicted
        for index in range(len(self.transformer_ffn_layers)):
            level = index % len(levels)
            queries = self.transformer_cross_attention_layers[index](
                queries,
                memories[level],
                position=query_position,
                memory_position=positions[level],
                blocked=blocked_cells(predicted.masks, sizes[level]),
            )
            queries = self.transformer_self_attention_layers[index](
                queries, position=query_position
            )
            queries = self.transformer_ffn_layers[index](queries)
            predicted = self._predict(queries, mask_features)
            yield predicted

    def _memories(self, levels: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Tokens of each level (frames, tokens, channels), and their positions."""
        memories, positions = [], []
        for level, embed in zip(levels, self.level_embed.weight, strict=True):
            _, channels, height, width = level.shape
            memories.append(level.flatten(2).transpose(1, 2) + embed)
            positions.append(sine_position((height, width), channels, level.device).to(level.dtype))
        return memories, positions

    def _predict(self, queries: Tensor, mask_features: Tensor) -> FrameQueries:
        embeds = self.decoder_norm(queries)
        masks = mask_logits(self.mask_embed(embeds), mask_features)
        return FrameQueries(embeds=embeds, logits=self.class_embed(embeds), masks=masks)


def mask_logits(embeds: Tensor, mask_features: Tensor) -> Tensor:
    """(frames, n, channels) on (frames, channels, h, w) -> mask logits (frames, n, h, w)."""
    return torch.einsum("fnc,fchw->fnhw", embeds, mask_features)


def best_score(logits: Tensor) -> Tensor:
    """Probability of the best class that is an object: (..., classes + 1) -> (...)."""
    return logits.softmax(-1)[..., :-1].amax(-1)


def blocked_cells(masks: Tensor, size_hw: Sequence[int]) -> Tensor:
    """Cells that a query may not attend: bool (frames, queries, cells).

    A query whose mask leaves no cell of the level may attend all of them.

    Args:
        masks: Mask logits, (frames, queries, height, width).
        size_hw: Height and width of the level.
    """
    resized = F.interpolate(masks, size=tuple(size_hw), mode="bilinear", align_corners=False)
    blocked = resized.flatten(2).sigmoid() < 0.5
    return blocked & ~blocked.all(-1, keepdim=True)

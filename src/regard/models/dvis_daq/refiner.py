"""The refiner: looks at each instance over the whole video.

Source: Zhang et al. 2023, "DVIS: Decoupled Video Instance Segmentation Framework", section 3.3,
with DVIS++'s weighted pooling over time.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from regard.models.dvis_daq.assignment import assign
from regard.models.dvis_daq.layers import (
    MLP,
    CrossAttentionLayer,
    FeedForwardLayer,
    SelfAttentionLayer,
)
from regard.models.dvis_daq.predictor import mask_logits


@dataclass(frozen=True, kw_only=True)
class Refined:
    """What the refiner says about the instances of a video."""

    embeds: Tensor
    """After the last layer and its norm, (rows, frames, channels)."""
    frame_weights: Tensor
    """How much each frame counts for the class of each row, (rows, frames); sums to 1 over
    frames."""
    logits: Tensor
    """Class logits, (rows, classes + 1)."""

    def contributions(self, classify: nn.Linear) -> Tensor:
        """What each frame adds to each class logit, signed: (rows, frames, classes + 1).

        Exact, as the class is a linear map of the weighted mean over frames. The sum over frames
        and the bias of the classifier are the logits.
        """
        return self.frame_weights[..., None] * F.linear(self.embeds, classify.weight)


class Refiner(nn.Module):
    """Layers of attention over time, over instances, and to the frame queries.

    Args:
        classes: Classes without "no object".
        channels: Width of a query.
        mask_channels: Channels of the mask features.
        heads: Attention heads.
        local_conv: Whether a convolution over time follows each attention over time. Without it
            the refiner does not know the order of the frames.
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
        local_conv: bool = False,
        layers: int = 6,
        width: int = 2048,
    ) -> None:
        super().__init__()
        self.local_conv = local_conv
        self.transformer_time_self_attention_layers = nn.ModuleList(
            SelfAttentionLayer(channels, heads) for _ in range(layers)
        )
        self.transformer_obj_self_attention_layers = nn.ModuleList(
            SelfAttentionLayer(channels, heads) for _ in range(layers)
        )
        self.transformer_cross_attention_layers = nn.ModuleList(
            CrossAttentionLayer(channels, heads) for _ in range(layers)
        )
        self.transformer_ffn_layers = nn.ModuleList(
            FeedForwardLayer(channels, width) for _ in range(layers)
        )
        if local_conv:
            self.conv_short_aggregate_layers = nn.ModuleList(
                nn.Sequential(_conv(channels, 5), nn.ReLU(), _conv(channels, 3))
                for _ in range(layers)
            )
            self.conv_norms = nn.ModuleList(nn.LayerNorm(channels) for _ in range(layers))
        self.decoder_norm = nn.LayerNorm(channels)
        self.class_embed = nn.Linear(channels, classes + 1)
        self.mask_embed = MLP([channels, channels, channels, mask_channels])
        self.activation_proj = nn.Linear(channels, 1)

    def forward(self, rows: Tensor, frame_queries: Tensor) -> Refined:
        """Refined instances.

        Args:
            rows: One row an instance, (rows, frames, channels).
            frame_queries: Of the predictor, (frames, queries, channels).
        """
        tokens = rows
        for index in range(len(self.transformer_ffn_layers)):
            tokens = self.transformer_time_self_attention_layers[index](tokens)
            if self.local_conv:
                near = self.conv_short_aggregate_layers[index](tokens.transpose(1, 2))
                tokens = self.conv_norms[index](near.transpose(1, 2) + tokens)
            by_frame = self.transformer_obj_self_attention_layers[index](tokens.transpose(0, 1))
            by_frame = self.transformer_cross_attention_layers[index](by_frame, frame_queries)
            tokens = self.transformer_ffn_layers[index](by_frame).transpose(0, 1)
        embeds = self.decoder_norm(tokens)
        weights = self.activation_proj(embeds).softmax(1)
        logits = self.class_embed((weights * embeds).sum(1))
        return Refined(embeds=embeds, frame_weights=weights[..., 0], logits=logits)

    def masks(self, refined: Refined, frame: int, mask_features: Tensor) -> Tensor:
        """Mask logits of all rows in one frame, (rows, height, width).

        Args:
            refined: Of `forward`.
            frame: Index of the frame.
            mask_features: Of the frame, (channels, height, width).
        """
        embeds = self.mask_embed(refined.embeds[:, frame])
        return mask_logits(embeds[None], mask_features[None])[0]


def _conv(channels: int, kernel: int) -> nn.Conv1d:
    return nn.Conv1d(channels, channels, kernel, padding="same", padding_mode="replicate")


def frame_to_frame(embeds: Tensor) -> Tensor:
    """Frame queries linked over time by similarity alone: query of each chain in each frame.

    Args:
        embeds: (frames, queries, channels).

    Returns:
        int64 (frames, queries); chain *i* begins at query *i* of frame 0.
    """
    return torch.stack(list(_linked(embeds)))


def _linked(embeds: Tensor) -> Iterator[Tensor]:
    chain = torch.arange(embeds.shape[1], device=embeds.device)
    yield chain
    normed = embeds / embeds.norm(dim=-1, keepdim=True)
    before = normed[0]
    for frame in normed[1:]:
        cost = 1 - frame @ before.T  # rows: this frame's queries; columns: chains
        _, chain = assign(cost.T)
        before = frame[chain]
        yield chain

"""Slot attention: tracks and background slots share out what the frame shows.

Source: Locatello et al. 2020, "Object-Centric Learning with Slot Attention", algorithm 1, one
round, with the values left as they are.
"""

from torch import Tensor, nn

from regard.intercept import told
from regard.intercept.trace import OVER_QUERIES
from regard.models.dvis_daq.assignment import assign
from regard.models.dvis_daq.layers import MultiheadAttention

_EPS = 1e-6


class SlotAttention(nn.Module):
    """Inputs compete for slots: a softmax over slots, then a mean over inputs."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scale = channels**-0.5
        self.norm_inputs = nn.LayerNorm(channels)
        self.project_q = nn.Sequential(
            nn.LayerNorm(channels), nn.Linear(channels, channels, bias=False)
        )
        self.project_k = nn.Linear(channels, channels, bias=False)

    def forward(self, inputs: Tensor, keys: Tensor, slots: Tensor) -> Tensor:
        """Mean of the inputs that each slot won, (batch, slots, channels).

        Args:
            inputs: (batch, inputs, channels), what is averaged.
            keys: (batch, inputs, channels), what slots are compared with.
            slots: (batch, slots, channels).
        """
        k, q = self.project_k(self.norm_inputs(keys)), self.project_q(slots)
        shares = (self.scale * k @ q.transpose(1, 2)).softmax(-1) + _EPS
        shares = shares / shares.sum(1, keepdim=True)
        return told.weigh(shares.transpose(1, 2), inputs, OVER_QUERIES)


class SlotCrossAttentionLayer(nn.Module):
    """Slots look at the frame's queries, then share out what they saw."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.multihead_attn = MultiheadAttention(channels, heads)
        self.norm = nn.LayerNorm(channels)
        self.slot_attn = SlotAttention(channels)

    def forward(self, slots: Tensor, memory: Tensor, *, position: Tensor, query: Tensor) -> Tensor:
        """(batch, slots, channels).

        Args:
            slots: (batch, slots, channels).
            memory: The frame's queries, (batch, queries, channels).
            position: Added to the slots when they look, (batch, slots, channels).
            query: What the slots compete with, (batch, slots, channels).
        """
        seen = self.multihead_attn(slots + position, memory, memory)
        return self.norm(slots + self.slot_attn(seen, slots + seen, query))


def nearest_queries(slots: Tensor, queries: Tensor) -> Tensor:
    """Index of the learned query that each slot starts from, int64 (slots,).

    The most similar one; where an assignment of slots to different queries exists, its choice.

    Args:
        slots: (slots, channels).
        queries: (queries, channels).
    """
    cost = 1 - _normalised(slots) @ _normalised(queries).T
    nearest = cost.argmin(1)
    slots_assigned, queries_assigned = assign(cost)
    nearest[slots_assigned] = queries_assigned
    return nearest


def _normalised(vectors: Tensor) -> Tensor:
    return vectors / (vectors.norm(dim=-1, keepdim=True) + 1e-6)

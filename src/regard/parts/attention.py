"""What each part of a generated object looked at in the photo."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from regard.attention import indices
from regard.models.partcrafter.watch import Layout
from regard.recording import Recording
from regard.tokens.grid import GridTokens
from regard.tokens.spread import Between

Pick = int | Sequence[int] | slice | None
"""A choice of steps, layers or heads; None for all."""


@dataclass(frozen=True, eq=False, kw_only=True)
class PartAttention:
    """What each part looked at in the photo, over all steps, layers and heads of a run.

    Weights are those of the rows that see the image, averaged over a part's latent tokens; the
    token that tells the time is left out.

    Attributes:
        means: float32 (steps, layers, parts, heads, keys).
        entropies: float32 (steps, layers, parts, heads), mean entropy of a token's row, in nats.
        blocks: Transformer block of each entry of the layer axis.
        layouts: "local" (parts attend one by one) or "global" (together), likewise.
        blind_blocks: Blocks that read zeros instead of the image; nothing is drawn for them.
        sigmas: Share of noise before each step.
        timesteps: Time of each step, 1000 to 0.
        keys: What the keys stand for: the class token, then patches on the photo.
        recording: Every call of the steps and layers that were kept, one for each part.
        between: float32 (steps, global layers, parts, parts): what the tokens of a part read of
            each part; None if it was not asked for.
    """

    means: Tensor
    entropies: Tensor
    blocks: tuple[int, ...]
    layouts: tuple[Layout, ...]
    blind_blocks: tuple[int, ...]
    sigmas: tuple[float, ...]
    timesteps: tuple[float, ...]
    keys: GridTokens
    recording: Recording
    between: Tensor | None = None

    def weights(self, *, steps: Pick = None, layers: Pick = None, heads: Pick = None) -> Tensor:
        """Mean weights of each part over a choice of steps, layers and heads.

        Args:
            steps: Indices of steps; None for all.
            layers: Indices on the layer axis (see `blocks`); None for all.
            heads: Indices of heads; None for all.

        Returns:
            (parts, keys); each row sums to 1, the class token included.

        Raises:
            SelectionError: An index that does not exist.
        """
        chosen = self.means
        for axis, (name, pick) in enumerate((("step", steps), ("layer", layers))):
            chosen = chosen.index_select(axis, _indices(pick, chosen.shape[axis], name))
        chosen = chosen.index_select(3, _indices(heads, chosen.shape[3], "head"))
        return chosen.mean((0, 1, 3))

    def heat(
        self,
        *,
        size_hw: tuple[int, int] | None = None,
        between: Between = "linear",
        steps: Pick = None,
        layers: Pick = None,
        heads: Pick = None,
        centred: bool = False,
    ) -> Tensor:
        """Weight per pixel of the photo, for each part.

        Args:
            size_hw: Size of the maps; by default the photo's.
            between: "cells" or "linear", as for every layout of tokens.
            steps: As for `weights`.
            layers: As for `weights`.
            heads: As for `weights`.
            centred: Subtract the mean over parts: background patches that every part looks at
                (DINOv2 has some) cancel, what a part looks at more than the others stays.

        Returns:
            (parts, height, width); NaN where the model did not see the photo.
        """
        weights = self.weights(steps=steps, layers=layers, heads=heads)
        if centred:
            weights = weights - weights.mean(0, keepdim=True)
        return self.keys.to_pixels(weights, size_hw, between=between)

    @property
    def class_mass(self) -> Tensor:
        """What the class token took, mean over heads: (steps, layers, parts)."""
        return self.means[..., 0].mean(-1)

    def part_at(self, x: float, y: float) -> Tensor:
        """How the attention on a point of the photo divides among parts: (parts,), sums to 1."""
        column = self.weights()[:, self.keys.at(x, y)]
        return column / column.sum()


def _indices(pick: Pick, count: int, what: str) -> Tensor:
    found = indices(pick, count, what)
    return torch.arange(count) if found is None else found

"""A small sample of what attention was for: some channels of the values and of the output.

With it, weights computed later can be checked against what the model really did:
W · values must equal outputs, for every row, in these channels.
"""

from dataclasses import dataclass

from torch import Tensor

from regard.kept import Kept

CHANNELS = 2
"""Channels sampled per head: an error in the weights shows in every channel."""


@dataclass(frozen=True, slots=True)
class OutputSample:
    """Sampled channels.

    Attributes:
        values: (batch, heads or key-value heads, keys, channels).
        outputs: (batch, heads, queries, channels), what the model's own product gave.
    """

    values: Kept
    outputs: Kept

    @property
    def kept(self) -> list[Kept]:
        """Both tensors."""
        return [self.values, self.outputs]

    def error(self, weights: Tensor, rows: Tensor, counted: Tensor) -> float:
        """Largest |W·V − output| over the given rows.

        Args:
            weights: (batch, heads, rows, keys).
            rows: Which queries these are.
            counted: bool (batch, heads, rows); rows to leave out (fully masked) are False.
        """
        values, outputs = self.values.get(), self.outputs.get()
        if values.shape[1] != weights.shape[1]:
            values = values.repeat_interleave(weights.shape[1] // values.shape[1], dim=1)
        wide = weights.double()
        found = (wide @ values.to(wide) - outputs[:, :, rows.to(outputs.device)].double()).abs()
        found = found.amax(-1)[counted]
        return float(found.max()) if found.numel() else 0.0


def channels(tensor: Tensor) -> Tensor:
    """First and last channels of (..., d), as a copy of their own."""
    if tensor.shape[-1] <= CHANNELS:
        return tensor.detach().clone()
    step = (tensor.shape[-1] - 1) // (CHANNELS - 1)
    return tensor.detach()[..., ::step][..., :CHANNELS].clone()

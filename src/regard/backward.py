"""What a backward pass tells of a call: the gradient of its attention weights.

The output is O = W·V, so dL/dW = dO·Vᵀ: with V and the gradient of the output, which take N·d
numbers each, any row of the gradient of the weights can be computed afterwards. No weights have
to be part of the graph, and the model keeps its fused kernels.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from regard.kept import Kept
from regard.scores import Part

NOT_YET = "no backward pass has come through it yet: call loss.backward() before you ask"


@dataclass(eq=False, slots=True, weakref_slot=True)
class Backward:
    """V, and the gradient of the output once a backward pass has brought it.

    Attributes:
        values: (batch, heads or key-value heads, keys, d); None where `missing` is for good.
        output_gradient: (batch, heads, queries, d), of the last backward pass; None before one.
        missing: Why there is no gradient, while there is none.
    """

    values: Kept | None
    output_gradient: Kept | None = None
    missing: str = NOT_YET

    @property
    def kept(self) -> list[Kept]:
        """The tensors that it holds."""
        return [kept for kept in (self.values, self.output_gradient) if kept is not None]

    def arrive(self, gradient: Tensor) -> None:
        """Take the gradient of the output (batch, heads, queries, d)."""
        self.output_gradient, self.missing = Kept(gradient), ""

    def of_weights(self, part: Part) -> Tensor:
        """Gradient of a part of the weights, (batch, heads, rows, keys); float32 at least."""
        assert self.values is not None
        assert self.output_gradient is not None
        gradient, values = self.output_gradient.get(), self.values.get()
        heads = gradient.shape[1]
        if heads > values.shape[1] > 1:  # grouped queries
            values = values.repeat_interleave(heads // values.shape[1], dim=1)
        gradient = part.of_heads(part.select_rows(gradient))
        values = part.of_heads(values)
        wide = torch.promote_types(gradient.dtype, torch.float32)
        with torch.no_grad(), torch.autocast(gradient.device.type, enabled=False):
            return gradient.to(wide) @ values.to(wide).transpose(-1, -2)

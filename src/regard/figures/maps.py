"""Maps of one subject over its frames, smooth or by cell, of one layer or the mean of several."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from regard.errors import SelectionError
from regard.figures.subject import Subject
from regard.render.arrays import Floats
from regard.render.cells import Cells
from regard.tokens.grid import GridTokens


@dataclass(frozen=True, eq=False)
class Maps:
    """Where a subject looks in each frame. Values are times the even share.

    Padding is left out: a photo that lost half of the attention to padding has a mean of one half.
    """

    subject: Subject
    layers: tuple[int, ...]
    """Layers of the predictor; the mean of several."""

    @classmethod
    def of(cls, subject: Subject, layers: Sequence[int] | None = None) -> "Maps":
        """Of some layers, by default of all that were kept.

        Raises:
            SelectionError: A layer that was not kept, or a subject that lives in no frame.
        """
        kept = subject.video.decoder_layers
        if not kept:
            raise SelectionError(
                f"video {subject.video.id!r} kept no layer of the predictor, so there are no maps"
            )
        subject.require_life()
        chosen = tuple(kept if layers is None else layers)
        if not chosen or not set(chosen) <= set(kept):
            raise SelectionError(
                f"layers {list(chosen)} of the predictor; kept in video {subject.video.id!r}: "
                f"{list(kept)}"
            )
        return cls(subject, chosen)

    @property
    def words(self) -> str:
        """Such as "layer 8" or "mean of layers 6, 7, 8"."""
        if len(self.layers) == 1:
            return f"layer {self.layers[0]}"
        return f"mean of layers {', '.join(map(str, self.layers))}"

    def each(self) -> list["Maps"]:
        """The mean, if there are several layers, then each layer alone."""
        alone = [replace(self, layers=(layer,)) for layer in self.layers]
        return [self, *alone] if len(alone) > 1 else alone

    def smooth(self, frame: int, size_hw: tuple[int, int]) -> Floats | None:
        """Interpolated between the centres of cells, (height, width), over the whole frame.

        Returns:
            None outside of the subject's life; NaN where the model did not see.
        """
        total = None
        for layer in self.layers:
            weights = self.subject.cell_weights(frame, layer)
            if weights is None:
                return None
            pixels = self._layout(layer).to_pixels(weights.float(), size_hw, between="linear")
            total = pixels if total is None else total + pixels
        assert total is not None
        seen = int((~total.isnan()).sum())
        return np.asarray(total * (seen / len(self.layers)), np.float32)

    def cells(self, frame: int) -> Cells | None:
        """By cell of the finest level; None outside of the subject's life."""
        finest = min(self.layers, key=lambda layer: self._layout(layer).stride_px)
        layout, total = self._layout(finest), None
        for layer in self.layers:
            weights = self.subject.cell_weights(frame, layer)
            if weights is None:
                return None
            values = _even_shares(weights.float(), self._layout(layer), layout)
            total = values if total is None else total + values
        assert total is not None
        return Cells(np.asarray(total / len(self.layers), np.float32), _edges(layout))

    def _layout(self, layer: int) -> GridTokens:
        return self.subject.video.attention.layout(layer)


def small_hw(size_hw: tuple[int, int], longest_px: int = 240) -> tuple[int, int]:
    """The same proportions, and large enough to see every cell."""
    scale = min(1.0, longest_px / max(size_hw))
    height, width = (max(1, round(side * scale)) for side in size_hw)
    return height, width


def _even_shares(weights: torch.Tensor, own: GridTokens, fine: GridTokens) -> torch.Tensor:
    """Times the even share of the photo, on the cells of a level that is at least as fine."""
    x0, y0, x1, y1 = own.view.content_box_xyxy
    even = own.stride_px[0] * own.stride_px[1] / ((x1 - x0) * (y1 - y0))
    values = own.grid(weights) / even
    for axis in (0, 1):
        by = round(own.stride_px[axis] / fine.stride_px[axis])
        values = values.repeat_interleave(by, axis).narrow(axis, 0, fine.grid_hw[axis])
    return values


def _edges(layout: GridTokens) -> tuple[Floats, Floats]:
    """Where cells begin and end, as shares of the photo's height and width."""
    found = []
    for axis in (0, 1):
        at = np.arange(layout.grid_hw[axis] + 1) * layout.stride_px[axis]
        origin, scale = layout.view.offset_yx[axis], layout.view.scale_yx[axis]
        found.append(((at - origin) / scale / layout.view.original_hw[axis]).astype(np.float32))
    return found[0], found[1]

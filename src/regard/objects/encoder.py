"""Where the encoder looks from a point of the photo.

DETR's encoder attends from every place to every place. Mask2Former's pixel decoder is deformable:
from each place it reads a few sampled points of three feature maps.
"""

from dataclasses import dataclass, field

from torch import Tensor

from regard.attention import Attention
from regard.deformable import DeformableAttention
from regard.errors import SelectionError
from regard.grid import GridTokens
from regard.models.objects import ObjectRun
from regard.pyramid import PyramidTokens
from regard.spread import Between


@dataclass(frozen=True, kw_only=True)
class SampledPoints:
    """Points of the photo that deformable attention reads from one place."""

    xy: Tensor = field(repr=False)
    """(heads, points, 2), x and y in pixels of the photo; they may lie outside of it."""
    weights: Tensor = field(repr=False)
    """(heads, points); each head's sum is 1."""
    levels: Tensor = field(repr=False)
    """(points,): which of ``strides_px`` each point belongs to."""
    strides_px: tuple[float, ...]
    """Size of a cell of each level in input pixels, in the order of the model."""


def encoder_call(run: ObjectRun, layer: int, model: str) -> Attention:
    """The recorded self-attention of an encoder layer over the photo.

    Raises:
        SelectionError: The model has no such layer.
    """
    calls = [
        call
        for call in run.recording
        if call.layer not in run.cross_layers
        and isinstance(call.queries, (GridTokens, PyramidTokens))
        and call.queries == call.keys
    ]
    if not calls:
        raise SelectionError(f"{model} has no recorded self-attention over the photo")
    if not -len(calls) <= layer < len(calls):
        raise SelectionError(f"encoder layer {layer} does not exist; there are {len(calls)}")
    return calls[layer]


def encoder_heat(
    call: Attention,
    xy: tuple[float, float],
    size_hw: tuple[int, int] | None,
    between: Between,
    level: int | None = None,
) -> Tensor:
    """Weight per pixel from a point, (height, width) float32; of all levels, or of one."""
    keys = call.keys
    if isinstance(keys, PyramidTokens):
        row = call.mean(keys.at(*xy))[0, 0]
        return keys.to_pixels(row, size_hw, between=between, level=level).cpu()
    assert isinstance(keys, GridTokens)
    return keys.to_pixels(call.mean(keys.at(*xy))[0, 0], size_hw, between=between).cpu()


def sampled_points(call: Attention, xy: tuple[float, float], model: str) -> SampledPoints:
    """What deformable attention reads from a point, at the finest level's place there.

    Raises:
        SelectionError: The layer attends to every place.
    """
    keys = call.keys
    if not (isinstance(call, DeformableAttention) and isinstance(keys, PyramidTokens)):
        raise SelectionError(
            f"the encoder of {model} samples no points, it attends to every place; see encoder_heat"
        )
    points = call.points(keys.at(*xy))
    return SampledPoints(
        xy=keys.points_to_original(points.xy[0, :, 0].float(), points.levels).cpu(),
        weights=points.weights[0, :, 0].float().cpu(),
        levels=points.levels.cpu(),
        strides_px=tuple(height for height, _ in keys.strides_px),
    )

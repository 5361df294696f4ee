"""What families with object queries share: DETR, Mask2Former."""

import math
from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor

from regard.errors import GeometryError
from regard.geometry import ViewTransform, size_text
from regard.models.family import Family, LoadedModel, Prepared
from regard.recording import Recording
from regard.segmentation.queries import QueryPredictions
from regard.segmentation.segments import Segmentation
from regard.tokens.grid import GridTokens

_STRIDES = (2, 4, 8, 16, 32, 64, 128)


@dataclass(frozen=True, kw_only=True)
class JointMap:
    """Weights of DETR's mask head: one softmax over all heads and all places of a query.

    Source: ``MHAttentionMap`` in facebookresearch/detr.
    """

    weights: Tensor = field(repr=False)
    """(queries, heads, keys); each query's sum over heads and keys is 1."""
    keys: GridTokens
    """Where the keys lie."""

    def head_shares(self, query: int) -> Tensor:
        """Share of a query's weight that each head holds, (heads,); they sum to 1."""
        return self.weights[query].sum(-1)


@dataclass(frozen=True, kw_only=True)
class ObjectRun:
    """One photo through a model with object queries: what it predicted, where it looked."""

    predictions: QueryPredictions
    recording: Recording
    """Every attention call, with token layouts."""
    cross_layers: tuple[str, ...]
    """Paths of the layers in which queries attend to the photo, first to last."""
    joint: JointMap | None = None
    """The mask head's own map, where the model has one."""
    resets: dict[str, Tensor] = field(default_factory=dict)
    """Layer path -> (queries,) bool: queries whose mask blocked every key, so that the model
    dropped it, and they attended everywhere."""


class ObjectFamily(Family, Protocol):
    """A family whose models find objects by object queries."""

    threshold: float
    """Class score above which a query has found something, as its paper says."""

    def look(self, loaded: LoadedModel, prepared: Prepared) -> ObjectRun:
        """Run the model once, recorded."""

    def segment(
        self, predictions: QueryPredictions, *, threshold: float | None = None
    ) -> Segmentation:
        """Panoptic segments in the family's own way."""


def measured_grid(view: ViewTransform, keys: int, where: str) -> GridTokens:
    """Layout of a feature map of the whole input, its stride measured by the number of keys.

    Sizes are rounded up, as padded convolutions do: 100 x 150 px at stride 32 are 4 x 5 cells.

    Args:
        view: Where the input's pixels lie on the photo.
        keys: Cells of the map.
        where: What has these keys, for the message.

    Raises:
        GeometryError: No power of two as stride gives so many cells.
    """
    height, width = view.input_hw
    for stride in _STRIDES:
        if math.ceil(height / stride) * math.ceil(width / stride) == keys:
            return GridTokens.from_stride(view, stride)
    raise GeometryError(
        f"{where} has {keys} keys, which no stride out of {_STRIDES} makes of an input of "
        f"{size_text(view.input_hw)}; pass the Prepared that this recording was made with"
    )

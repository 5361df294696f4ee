"""What object queries find in a photo, and where they look: DETR and Mask2Former in one call."""

import os
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image
from torch import Tensor

from regard.attention import Attention, indices
from regard.errors import CheckpointError, GeometryError
from regard.geometry import Box
from regard.grid import GridTokens
from regard.media.image import read_image, upright_rgb
from regard.models.family import LoadedModel
from regard.models.objects import JointMap, ObjectRun
from regard.models.registry import load
from regard.objects.encoder import (
    SampledPoints,
    encoder_call,
    encoder_heat,
    sampled_points,
)
from regard.objects.selection import (
    LayerChoice,
    ObjectQuery,
    choose_decoder_layers,
    choose_queries,
    found_queries,
)
from regard.recording import Recording
from regard.render.look import DEFAULT_LOOK, Look
from regard.segmentation.instances import Instances, instances, instances_of_pairs
from regard.segmentation.queries import QueryPredictions
from regard.segmentation.segments import Segmentation
from regard.segmentation.semantic import semantic
from regard.spread import Between

if TYPE_CHECKING:
    from regard.objects.pictures import ObjectPictures


@dataclass(frozen=True, kw_only=True)
class ObjectAttention:
    """What a model's object queries found in a photo, and where they looked.

    Changing what is shown costs no second run: `result.of(query="person", layers="last3")`.
    """

    photo: Image.Image = field(repr=False)
    """The photo, upright and RGB."""
    model: str
    """Name of the model."""
    run: ObjectRun = field(repr=False)
    """The forward pass: predictions, recording, the mask head's map, masks that were reset."""
    segmentation: Segmentation | None = field(repr=False)
    """Panoptic segments; None where the model predicts boxes only."""
    found: tuple[int, ...]
    """Queries that found an object, best score first."""
    queries: tuple[int, ...]
    """The queries that are shown; their mean where there are several."""
    asked: ObjectQuery = None
    """What they were chosen by."""
    layers: tuple[int, ...]
    """Indices of the decoder layers that are shown."""
    head: int | None = None
    """The head that is shown; None for the mean of all."""
    between: Between = "linear"
    """How weights spread over pixels: smoothly, or exactly on each cell ("cells")."""
    look: Look = DEFAULT_LOOK
    """Colours and scale."""

    def __post_init__(self) -> None:
        for layer in self.layers:  # a head that does not exist is told now
            call = self.call(layer)
            indices(self.head, call.shape[1], f"layer {call.layer!r}: head")

    @property
    def predictions(self) -> QueryPredictions:
        """Class, mask and box of every query."""
        return self.run.predictions

    @property
    def recording(self) -> Recording:
        """Every attention call of the run, with token layouts."""
        return self.run.recording

    @property
    def joint(self) -> JointMap | None:
        """The mask head's map (DETR with masks); None where the model has none."""
        return self.run.joint

    def of(self, **changes: Any) -> "ObjectAttention":
        """The same run, seen otherwise: `query`, `layers`, `head`, `between` or `look`."""
        if "query" in changes:
            asked = changes.pop("query")
            chosen = choose_queries(self.predictions, self.segmentation, self.found, asked)
            changes |= {"asked": asked, "queries": chosen}
        if "layers" in changes:
            changes["layers"] = choose_decoder_layers(changes["layers"], len(self.run.cross_layers))
        return replace(self, **changes)

    def call(self, layer: int = -1) -> Attention:
        """The recorded cross-attention of a decoder layer.

        Raises:
            SelectionError: There is no such layer.
        """
        (index,) = choose_decoder_layers(layer, len(self.run.cross_layers))
        return self.recording.find(self.run.cross_layers[index])[0]

    def keys(self, layer: int = -1) -> GridTokens:
        """Where the keys of a decoder layer lie: grid, stride and place on the photo."""
        keys = self.call(layer).keys
        assert isinstance(keys, GridTokens)
        return keys

    def weights(self, layer: int = -1, *, masked: bool = True) -> Tensor:
        """Weight on each key, (heads, keys) float32; one head if one was chosen.

        Args:
            layer: Index of the decoder layer.
            masked: False gives what the same queries and keys of this layer would have given
                without its mask. It is layer-local: the queries still come from the masked
                layers before.
        """
        rows = self.call(layer).weights(self.queries, self.head, masked=masked)
        return rows[0].float().mean(1)

    def heat(
        self, layer: int = -1, *, masked: bool = True, size_hw: tuple[int, int] | None = None
    ) -> Tensor:
        """Weight per pixel of the photo, (height, width) float32, heads averaged."""
        weights = self.weights(layer, masked=masked).mean(0)
        return self.keys(layer).to_pixels(weights, size_hw, between=self.between).cpu()

    def blocked(self, layer: int = -1) -> Tensor:
        """Keys that the mask forbids to all queries shown, (keys,) bool."""
        return self.call(layer).blocked(self.queries, 0)[0, 0].all(0).cpu()

    def blocked_pixels(self, layer: int = -1, *, size_hw: tuple[int, int] | None = None) -> Tensor:
        """Pixels of the photo that stand for forbidden keys, (height, width) bool."""
        keys, blocked = self.keys(layer), self.blocked(layer).float()
        areas = keys.to_pixels(torch.stack([blocked, torch.ones_like(blocked)]), size_hw)
        return areas[0] > areas[1] / 2

    def was_reset(self, layer: int = -1) -> bool:
        """Whether the mask of a query shown blocked every key, so that the model dropped it.

        Such a query attends everywhere, as if it had no mask.
        """
        (index,) = choose_decoder_layers(layer, len(self.run.cross_layers))
        rows = self.run.resets.get(self.run.cross_layers[index])
        return rows is not None and bool(rows[list(self.queries)].any())

    def padding_share(self, layer: int = -1, *, masked: bool = True) -> float:
        """Share of the weight that fell on padding, where no photo is."""
        weights = self.weights(layer, masked=masked).mean(0)
        return float(self.keys(layer).shares(weights)["padding"])

    def joint_heat(self, *, size_hw: tuple[int, int] | None = None) -> Tensor:
        """The mask head's map on the photo, (heads, height, width) float32.

        Its softmax runs over all heads and places together: the sum over all heads is 1, and a
        head's own sum is its share.

        Raises:
            GeometryError: The model has no such map.
        """
        joint = self._joint()
        weights = joint.weights[list(self.queries)].mean(0)
        return joint.keys.to_pixels(weights, size_hw, between=self.between)

    def joint_shares(self) -> Tensor:
        """Share of the mask head's weight that each head holds, (heads,); they sum to 1."""
        return self._joint().weights[list(self.queries)].mean(0).sum(-1)

    def encoder_heat(
        self, x: float, y: float, layer: int = -1, *, size_hw: tuple[int, int] | None = None
    ) -> Tensor:
        """Where the encoder looks from a point of the photo, (height, width) float32.

        For Mask2Former: where its pixel decoder reads, all levels together.

        Args:
            x: Distance of the point from the left edge, in pixels of the photo.
            y: Distance from the top edge.
            layer: Index of the encoder layer.
            size_hw: Draw on the photo scaled to this size.

        Raises:
            SelectionError: There is no such layer.
            GeometryError: A point outside of the photo.
        """
        return encoder_heat(self.encoder_call(layer), (x, y), size_hw, self.between)

    def sampled_points(self, x: float, y: float, layer: int = -1) -> SampledPoints:
        """The points that Mask2Former's pixel decoder reads from a point of the photo.

        Args:
            x: Distance of the point from the left edge, in pixels of the photo.
            y: Distance from the top edge.
            layer: Index of the layer of the pixel decoder.

        Raises:
            SelectionError: There is no such layer, or the model's encoder samples no points.
            GeometryError: A point outside of the photo.
        """
        return sampled_points(self.encoder_call(layer), (x, y), self.model)

    def encoder_call(self, layer: int = -1) -> Attention:
        """The recorded self-attention of an encoder layer over the photo.

        Raises:
            SelectionError: There is no such layer.
        """
        return encoder_call(self.run, layer, self.model)

    def mask(self) -> Tensor | None:
        """Where the queries shown are on the photo, (height, width) bool; None without masks.

        The segment where they are part of one, else their own masks.
        """
        if self.segmentation is None:
            return None
        owned = torch.isin(self.segmentation.owners, torch.tensor(self.queries))
        if owned.any():
            return owned
        logits = self.predictions.photo_mask_logits(torch.tensor(self.queries))
        return (logits > 0).any(0).cpu()

    def instances(self, most: int = 100) -> Instances:
        """Objects that may overlap, best first: as DETR makes them, or as Mask2Former does."""
        if self.predictions.boxes_xyxy is not None:
            return instances(self.predictions, most=most)
        return instances_of_pairs(self.predictions, most=most)

    def semantic(self) -> Tensor:
        """Class of each pixel of the photo, (height, width) int64.

        Raises:
            GeometryError: The model predicts no masks.
        """
        return semantic(self.predictions)

    def box_xyxy(self, query: int | None = None) -> Box | None:
        """Box of a query in pixels of the photo; None where the model predicts none.

        Args:
            query: Its index; by default the first that is shown.
        """
        boxes = self.predictions.boxes_xyxy
        if boxes is None:
            return None
        x0, y0, x1, y1 = map(float, boxes[self.queries[0] if query is None else query])
        return x0, y0, x1, y1

    def words_of(self, query: int) -> str:
        """A query's class and score: ``"person 0.98"``."""
        label = int(self.predictions.object_labels[query])
        name = self.predictions.categories.name(label)
        return f"{name} {float(self.predictions.object_scores[query]):.2f}"

    @property
    def words(self) -> str:
        """What is shown: query, class, score."""
        if len(self.queries) == 1:
            return f"query {self.queries[0]}: {self.words_of(self.queries[0])}"
        listed = ", ".join(map(str, self.queries[:8])) + (", …" if len(self.queries) > 8 else "")
        return f"{self.asked}: mean of {len(self.queries)} queries ({listed})"

    @property
    def pictures(self) -> "ObjectPictures":
        """Everything that can be drawn of it."""
        from regard.objects.pictures import ObjectPictures

        return ObjectPictures(self)

    def _repr_png_(self) -> bytes:
        return self.pictures.summary()._repr_png_()

    @property
    def query_xy(self) -> tuple[float, float] | None:
        """The point that was asked about, if one was."""
        return self.asked if isinstance(self.asked, tuple) else None

    def _joint(self) -> JointMap:
        if self.joint is None:
            raise GeometryError(
                f"{self.model} has no map of its mask head; only DETR with masks has one"
            )
        return self.joint

    def __repr__(self) -> str:
        width, height = self.photo.size
        return (
            f"<object attention of {self.model} in a photo of {width} x {height} px: "
            f"{len(self.found)} objects; {self.words}>"
        )


def panoptic(
    photo: str | os.PathLike[str] | Image.Image,
    *,
    model: str | os.PathLike[str] | LoadedModel,
    query: ObjectQuery = None,
    layers: LayerChoice = None,
    head: int | None = None,
    threshold: float | None = None,
    between: Between = "linear",
    look: Look = DEFAULT_LOOK,
    short_side_px: int | None = None,
    device: str | torch.device = "cpu",
) -> ObjectAttention:
    """What the object queries of DETR or Mask2Former find in a photo, and where they look.

    Args:
        photo: An image file, or a PIL image.
        model: A local folder, an official checkpoint file, a hub id; or a model that
            `regard.load_model` gave, which saves loading it again.
        query: What to show: the index of a query; the name of a class; the point (x, y) of the
            photo, for the query that owns this pixel; by default the query with the best score.
        layers: Decoder layers to show: an index, several, "last3", "all"; by default the last.
        head: Its index; None for the mean.
        threshold: Queries with a class score above it count as found; by default the paper's,
            0.85 for DETR and 0.8 for Mask2Former.
        between: "linear" interpolates between cells, "cells" shows each cell's exact region.
        look: Colours and scale.
        short_side_px: Short side of what the model sees; by default the checkpoint's, 800.
        device: Where the model runs; a model that is given stays where it is.

    Raises:
        MediaError: The photo cannot be read.
        ModelNotFound, CheckpointError: The model cannot be loaded, or has no object queries.
        SelectionError: No such query, class, layer or head, or a pixel that no query owns.
        GeometryError: A point outside of the photo.

    Example:
        >>> import regard
        >>> result = regard.panoptic("street.jpg", model="detr.pth")  # doctest: +SKIP
        >>> result.of(query="person").heat()  # doctest: +SKIP
    """
    loaded = model if isinstance(model, LoadedModel) else load(model, device=device)
    family: Any = loaded.family
    if not hasattr(family, "look"):
        raise CheckpointError(
            f"{loaded.name} is of family {family.name!r}, which has no object queries; expected "
            "DETR or Mask2Former; for other models there is regard.image"
        )
    upright = upright_rgb(photo) if isinstance(photo, Image.Image) else read_image(photo)
    prepared = loaded.prepare(upright, short_side_px=short_side_px)
    run: ObjectRun = family.look(loaded, prepared)
    segmentation = None
    if run.predictions.mask_logits is not None:
        segmentation = family.segment(run.predictions, threshold=threshold)
    limit = family.threshold if threshold is None else threshold
    found = found_queries(run.predictions, segmentation, limit)
    return ObjectAttention(
        photo=prepared.photo,
        model=loaded.name,
        run=run,
        segmentation=segmentation,
        found=found,
        queries=choose_queries(run.predictions, segmentation, found, query),
        asked=query,
        layers=choose_decoder_layers(layers, len(run.cross_layers)),
        head=head,
        between=between,
        look=look,
    )

"""What the object queries of one photo predict: class, mask, box."""

import functools
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from regard.errors import GeometryError
from regard.geometry import ViewTransform
from regard.segmentation.categories import Categories


@dataclass(frozen=True, eq=False, kw_only=True)
class QueryPredictions:
    """One row for each object query."""

    class_logits: Tensor = field(repr=False)
    """(queries, classes + 1); the last class is "no object"."""
    mask_logits: Tensor | None = field(repr=False)
    """(queries, height, width) over the model's whole input, padding included; None where the
    model predicts no masks."""
    boxes_xyxy: Tensor | None = field(repr=False)
    """(queries, 4), pixels of the photo; None where the model predicts no boxes."""
    view: ViewTransform
    """Where the model's input pixels lie on the photo."""
    categories: Categories = field(repr=False)
    """What the classes are."""

    def __post_init__(self) -> None:
        queries, classes = self.class_logits.shape
        if classes != len(self.categories) + 1:
            raise GeometryError(
                f"{classes} classes, of which the last is no object, but {len(self.categories)} "
                "categories; expected one less than classes"
            )
        for name, rows in (("mask_logits", self.mask_logits), ("boxes_xyxy", self.boxes_xyxy)):
            if rows is not None and len(rows) != queries:
                raise GeometryError(f"{name} has {len(rows)} rows for {queries} queries")

    def __len__(self) -> int:
        return len(self.class_logits)

    @functools.cached_property
    def probabilities(self) -> Tensor:
        """Softmax over the classes, (queries, classes + 1)."""
        return self.class_logits.softmax(-1)

    @property
    def scores(self) -> Tensor:
        """Probability of each query's best class, "no object" included: (queries,)."""
        return self.probabilities.max(-1).values

    @property
    def labels(self) -> Tensor:
        """Each query's best class; ``len(categories)`` is "no object": (queries,)."""
        return self.probabilities.argmax(-1)

    @property
    def object_scores(self) -> Tensor:
        """Probability of each query's best class that is an object: (queries,)."""
        return self.probabilities[:, :-1].max(-1).values

    @property
    def object_labels(self) -> Tensor:
        """Each query's best class that is an object: (queries,)."""
        return self.probabilities[:, :-1].argmax(-1)

    def found(self, threshold: float) -> Tensor:
        """Indices of queries whose best class is an object with a score above the threshold."""
        is_object = self.labels != len(self.categories)
        return (is_object & (self.scores > threshold)).nonzero()[:, 0]

    def seen_mask_logits(self, queries: Tensor) -> Tensor:
        """Masks of the part of the input that is photo, (n, height, width), input pixels.

        The stride-4 logits are interpolated to the whole input first, then its padding is cut
        away: the other order would move everything.

        Raises:
            GeometryError: The model predicts no masks.
        """
        if self.mask_logits is None:
            raise GeometryError("this model predicts boxes, no masks; load a segmentation model")
        chosen = self.mask_logits[queries.to(self.mask_logits.device)].float()
        if not len(chosen):
            return chosen.new_zeros(0, *_size(self.view))
        full = F.interpolate(
            chosen[:, None], size=self.view.input_hw, mode="bilinear", align_corners=False
        )[:, 0]
        x0, y0, x1, y1 = (round(edge) for edge in self.view.content_box_xyxy)
        return full[:, y0:y1, x0:x1]

    def photo_mask_logits(self, queries: Tensor) -> Tensor:
        """Masks on the photo's own pixels, (n, height, width).

        Raises:
            GeometryError: The model predicts no masks, or did not see the whole photo.
        """
        seen = self.seen_mask_logits(queries)
        self.require_whole_photo()
        if not len(seen):
            return seen.new_zeros(0, *self.view.original_hw)
        return F.interpolate(
            seen[:, None], size=self.view.original_hw, mode="bilinear", align_corners=False
        )[:, 0]

    def require_whole_photo(self) -> None:
        """Raise ``GeometryError`` where a part of the photo was cropped away."""
        height, width = self.view.original_hw
        x0, y0, x1, y1 = self.view.seen_box_xyxy
        # half a pixel: what the content box is rounded by
        if max(x0, y0, width - x1, height - y1) > 0.5 / min(self.view.scale_yx):
            raise GeometryError(
                f"the model saw {(x0, y0, x1, y1)} of a photo of {width} x {height} pixels; "
                "segments need the whole photo: prepare it without a crop"
            )


def photo_boxes(boxes_cxcywh: Tensor, view: ViewTransform) -> Tensor:
    """Boxes in pixels of the photo, (n, 4) as x0, y0, x1, y1, cut to the photo.

    Args:
        boxes_cxcywh: (n, 4), centre and size as shares of the input without its padding, as DETR
            predicts them.
        view: Where the input's pixels lie on the photo.
    """
    x0, y0, x1, y1 = view.content_box_xyxy
    cx, cy, w, h = boxes_cxcywh.float().unbind(-1)
    left, top = view.to_original(x0 + (cx - w / 2) * (x1 - x0), y0 + (cy - h / 2) * (y1 - y0))
    right, bottom = view.to_original(x0 + (cx + w / 2) * (x1 - x0), y0 + (cy + h / 2) * (y1 - y0))
    height, width = view.original_hw
    across = (side.clamp(0, width) for side in (left, right))
    down = (side.clamp(0, height) for side in (top, bottom))
    (left, right), (top, bottom) = across, down
    return torch.stack([left, top, right, bottom], dim=-1)


def _size(view: ViewTransform) -> tuple[int, int]:
    x0, y0, x1, y1 = (round(edge) for edge in view.content_box_xyxy)
    return y1 - y0, x1 - x0

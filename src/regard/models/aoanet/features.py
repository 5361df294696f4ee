"""What AoANet sees: features of regions or grid cells, and where these lie on the photo."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from regard.errors import GeometryError
from regard.geometry import ViewTransform
from regard.models.aoanet.options import Options
from regard.tokens import Tokens
from regard.tokens.grid import GridTokens
from regard.tokens.regions import RegionTokens


@dataclass(frozen=True)
class Features:
    """Features of one photo, and where they lie on it.

    Give `layout` as `RegionTokens.of(boxes, (height, width))`, or as `whole_photo_grid`.
    """

    regions: Tensor
    """(regions, width) float32."""
    layout: Tokens
    """Where each row lies: boxes or cells."""
    image: Tensor | None = None
    """(width,) of the whole photo, for models trained with mean_feats=0; by default the mean."""

    def __post_init__(self) -> None:
        if self.regions.ndim != 2 or not self.regions.numel():
            raise GeometryError(
                f"features have shape {tuple(self.regions.shape)}, expected (regions, width)"
            )
        if not self.regions.isfinite().all():
            raise GeometryError("features hold NaN or infinite values; extract them again")
        if len(self.regions) != self.layout.count:
            raise GeometryError(
                f"{len(self.regions)} rows of features, but {self.layout.count} "
                f"{'boxes' if isinstance(self.layout, RegionTokens) else 'cells'}: both must be "
                "of the same photo, in the same order"
            )


Extract = Callable[[Image.Image], Features]
"""What turns an upright RGB photo into features: a CNN, a detector, anything."""


def whole_photo_grid(grid_hw: tuple[int, int], photo_hw: tuple[int, int]) -> GridTokens:
    """Layout of a grid of equal cells over a whole photo, row by row.

    >>> whole_photo_grid((14, 14), (427, 640)).name(15)
    'row 1, column 1'
    """
    rows, columns = grid_hw
    return GridTokens(
        rows * columns,
        grid_hw=grid_hw,
        stride_px=(photo_hw[0] / rows, photo_hw[1] / columns),
        view=ViewTransform.identity(photo_hw),
    )


def as_trained(features: Features, options: Options) -> Features:
    """Features as the model was trained on them: normalised, with boxes, sorted by area.

    Raises:
        GeometryError: A width that the model does not take, or no boxes where it needs them.
    """
    found, expected = features.regions.shape[1], options.att_feat_size
    if found != expected:
        raise GeometryError(
            f"features have width {found}, the model takes {expected} (att_feat_size): extract "
            "them with the network that it was trained with"
        )
    regions, layout = features.regions.float(), features.layout
    image = features.regions.float().mean(0) if features.image is None else features.image.float()
    if not options.mean_feats and image.shape != (options.fc_feat_size,):
        raise GeometryError(
            f"features of the whole photo have shape {tuple(image.shape)}, the model takes "
            f"({options.fc_feat_size},) (fc_feat_size)"
        )
    if options.norm_att_feat:
        regions = regions / regions.norm(dim=1, keepdim=True)
    if not options.use_box:
        return Features(regions, layout, image)
    if not isinstance(layout, RegionTokens):
        raise GeometryError(
            "the model was trained with use_box: it needs the box of each region; give boxes"
        )
    return _with_boxes(regions, layout, image, options)


def _with_boxes(regions: Tensor, layout: RegionTokens, image: Tensor, options: Options) -> Features:
    """Each row with its box appended, largest boxes first: the order of the official loader."""
    boxes = torch.tensor(layout.boxes_xyxy)
    height, width = layout.original_hw
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]) / (width * height)
    extra = torch.cat([boxes / torch.tensor([width, height, width, height]), area[:, None]], 1)
    if options.norm_box_feat:
        extra = extra / extra.norm(dim=1, keepdim=True)
    order = extra[:, -1].sort(stable=True, descending=True).indices
    sorted_layout = RegionTokens.of(boxes[order], layout.original_hw)
    return Features(torch.cat([regions, extra], 1)[order], sorted_layout, image)

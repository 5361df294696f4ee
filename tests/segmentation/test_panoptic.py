"""Post-processing against cases that can be counted by hand."""

import pytest
import torch
from torch import Tensor

from regard.errors import GeometryError
from regard.geometry import ViewTransform
from regard.segmentation.categories import Categories
from regard.segmentation.panoptic_detr import panoptic_detr
from regard.segmentation.panoptic_mask2former import panoptic_mask2former
from regard.segmentation.queries import QueryPredictions, photo_boxes
from regard.segmentation.segments import winners

THING, OTHER, STUFF = 0, 1, 2
CATEGORIES = Categories(
    names=("cat", "dog", "sky"), is_thing=(True, True, False), dataset_ids=(17, 18, 187)
)


def predictions(
    masks: list[Tensor],
    labels: list[int],
    *,
    view: ViewTransform | None = None,
    sure: float = 9.0,
) -> QueryPredictions:
    """Queries that are sure of their class; masks are logits over the whole input."""
    stacked = torch.stack(masks)
    logits = torch.full((len(masks), len(CATEGORIES) + 1), 0.0)
    logits[range(len(masks)), labels] = sure
    return QueryPredictions(
        class_logits=logits,
        mask_logits=stacked,
        boxes_xyxy=None,
        view=view or ViewTransform.identity(tuple(stacked.shape[-2:])),  # type: ignore[arg-type]
        categories=CATEGORIES,
    )


def block(size_hw: tuple[int, int], rows: slice, columns: slice, high: float = 5.0) -> Tensor:
    mask = torch.full(size_hw, -5.0)
    mask[rows, columns] = high
    return mask


def first_pixels(count: int) -> Tensor:
    mask = torch.full((100,), -5.0)
    mask[:count] = 9.0
    return mask.view(10, 10)


@pytest.mark.parametrize(("pixels", "areas"), [(4, [100]), (5, [95, 5])])
def test_four_pixels_are_dropped_and_five_stay(pixels: int, areas: list[int]) -> None:
    whole = torch.full((10, 10), 1.0)
    found = panoptic_detr(predictions([whole, first_pixels(pixels)], [THING, OTHER]))
    assert [s.area_px for s in found.segments] == areas
    assert [s.id for s in found.segments] == list(range(1, len(areas) + 1))


def stuff_case() -> QueryPredictions:
    """Two stuff masks of 80 px, a thing of 96 px, and a speck, on 16 x 16."""
    size = (16, 16)
    return predictions(
        [
            block(size, slice(0, 5), slice(0, 16)),
            block(size, slice(5, 10), slice(0, 16)),
            block(size, slice(10, 16), slice(0, 16)),
        ],
        [STUFF, STUFF, THING],
    )


def test_stuff_is_merged_to_the_sum() -> None:
    found = panoptic_detr(stuff_case())
    assert [(s.name, s.area_px, s.queries) for s in found.segments] == [
        ("sky", 160, (0, 1)),
        ("cat", 96, (2,)),
    ]
    assert found.query_at(0.5, 6.5) == 1, "the pixel still says which query it came from"


def test_the_original_slip_gives_merged_stuff_away() -> None:
    case = stuff_case()
    case.mask_logits[2, 5:10] = 4.0  # type: ignore[index]  # the thing comes second there
    slipped = panoptic_detr(case, lose_merged_stuff=True)
    assert [(s.name, s.area_px) for s in slipped.segments] == [("sky", 80), ("cat", 176)]
    assert [s.area_px for s in panoptic_detr(case).segments] == [160, 96]


def test_ids_stay_unique_where_a_class_comes_back() -> None:
    """A, T, A, U: an id counter that jumps back gives T and U the same id."""
    size = (4, 16)
    masks = [block(size, slice(None), slice(4 * i, 4 * i + 4)) for i in range(4)]
    labels = [STUFF, THING, STUFF, OTHER]
    for panoptic in (panoptic_detr, panoptic_mask2former):
        found = panoptic(predictions(masks, labels))
        assert [s.id for s in found.segments] == [1, 2, 3]
        assert [s.name for s in found.segments] == ["sky", "cat", "dog"]
        assert [s.area_px for s in found.segments] == [32, 16, 16]


def test_padding_is_cut_before_resizing() -> None:
    """The right half of the input is padding: its mask must not reach the photo."""
    view = ViewTransform.identity((40, 40)).resize((8, 8)).pad(right=8)
    left, right = (
        block((8, 16), slice(None), slice(0, 8)),
        block((8, 16), slice(None), slice(8, 16)),
    )
    for panoptic in (panoptic_detr, panoptic_mask2former):
        found = panoptic(predictions([left, right], [THING, OTHER], view=view))
        assert [(s.name, s.area_px) for s in found.segments] == [("cat", 1600)]


def test_mask2former_drops_a_query_that_lost_most_of_its_mask() -> None:
    size = (10, 10)
    front = block(size, slice(None), slice(0, 3), high=9.0)
    back = block(size, slice(None), slice(0, 10), high=1.0)
    found = panoptic_mask2former(predictions([front, back], [THING, OTHER]))
    assert [s.name for s in found.segments] == ["cat"], "70 of 100 px is less than 0.8"
    assert [
        s.area_px
        for s in panoptic_mask2former(
            predictions([front, back], [THING, OTHER]), overlap=0.7
        ).segments
    ] == [30, 70]


def test_mask2former_takes_only_pixels_of_the_own_mask() -> None:
    size = (10, 10)
    found = panoptic_mask2former(predictions([block(size, slice(0, 9), slice(None))], [THING]))
    assert [s.area_px for s in found.segments] == [] or found.segments[0].area_px == 90
    assert found.at(5, 9.5) is None


def test_nothing_found_is_an_empty_segmentation() -> None:
    unsure = predictions([torch.zeros(4, 4)], [THING], sure=0.0)
    for panoptic in (panoptic_detr, panoptic_mask2former):
        found = panoptic(unsure)
        assert found.segments == ()
        assert found.at(1, 1) is None
        assert not found.ids.any()


def test_a_point_outside_and_a_model_without_masks_are_told() -> None:
    found = panoptic_detr(stuff_case())
    with pytest.raises(GeometryError, match="outside the 16 x 16"):
        found.at(16, 0)
    boxes_only = QueryPredictions(
        class_logits=torch.zeros(1, 4),
        mask_logits=None,
        boxes_xyxy=torch.zeros(1, 4),
        view=ViewTransform.identity((4, 4)),
        categories=CATEGORIES,
    )
    with pytest.raises(GeometryError, match="no masks"):
        panoptic_detr(boxes_only, threshold=0.0)


def test_boxes_are_shares_of_the_photo_and_not_of_the_padding() -> None:
    view = ViewTransform.identity((100, 200)).resize((50, 100)).pad(right=28, bottom=14)
    box = photo_boxes(torch.tensor([[0.5, 0.5, 0.5, 1.0], [1.0, 0.0, 1.0, 1.0]]), view)
    assert box.tolist() == [[50, 0, 150, 100], [100, 0, 200, 50]]


def test_each_pixel_goes_to_the_first_of_the_largest() -> None:
    maps = torch.randn(7, 30, 40).round()  # with many ties
    assert torch.equal(winners(maps), maps.argmax(0))
    assert winners(torch.ones(3, 2, 2)).sum() == 0

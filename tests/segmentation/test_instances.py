"""Instances and semantic maps against values computed by hand."""

import torch

from regard.segmentation.instances import boxes_around, instances, instances_of_pairs
from regard.segmentation.semantic import semantic
from segmentation.test_panoptic import OTHER, STUFF, THING, block, predictions

SIZE = (8, 8)


def test_boxes_around_masks_end_behind_the_last_pixel() -> None:
    masks = torch.zeros(2, 5, 6, dtype=torch.bool)
    masks[0, 1:3, 2:5] = True
    assert boxes_around(masks).tolist() == [[2, 1, 5, 3], [0, 0, 0, 0]]


def test_detr_gives_one_object_a_query_best_first() -> None:
    case = predictions([block(SIZE, slice(0, 4), slice(0, 8)), torch.zeros(SIZE)], [THING, OTHER])
    case.class_logits[1, OTHER] = 12.0
    found = instances(case)
    assert found.labels.tolist() == [OTHER, THING]
    assert found.queries.tolist() == [1, 0]
    assert found.masks is not None
    assert found.masks.sum((1, 2)).tolist() == [0, 32]
    assert found.boxes_xyxy[1].tolist() == [0, 0, 8, 4]


def test_mask2former_weighs_the_class_by_the_mask_and_leaves_stuff_out() -> None:
    case = predictions(
        [block(SIZE, slice(0, 4), slice(None), high=0.5), block(SIZE, slice(4, 8), slice(None))],
        [THING, STUFF],
    )
    found = instances_of_pairs(case, most=2)
    assert found.labels.tolist() == [THING]
    inside = torch.tensor(0.5).sigmoid() * 32 / (32 + 1e-6)
    expected = case.probabilities[0, THING] * inside
    torch.testing.assert_close(found.scores[0], expected, rtol=1e-6, atol=0)  # float32 sums


def test_semantic_gives_each_pixel_the_class_with_most_votes() -> None:
    case = predictions(
        [block(SIZE, slice(0, 4), slice(None)), block(SIZE, slice(4, 8), slice(None))],
        [THING, STUFF],
    )
    votes = torch.einsum(
        "qc,qhw->chw",
        case.probabilities[:, :-1],
        case.mask_logits.sigmoid(),  # type: ignore[union-attr]
    )
    found = semantic(case)
    assert torch.equal(found, votes.argmax(0))
    assert found[0, 0] == THING
    assert found[7, 0] == STUFF

"""`regard.panoptic`: what is asked for is what is shown, and nothing is shown that is not so."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import regard
from regard.deformable import DeformableAttention
from regard.errors import CheckpointError, GeometryError, SelectionError
from regard.objects.selection import choose_decoder_layers, choose_queries
from regard.tokens.pyramid import PyramidTokens
from segmenters import save, tiny_detr, tiny_mask2former


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 255, (90, 150, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def run(model: Any, photo: Image.Image, folder: Path, **options: Any) -> regard.ObjectAttention:
    return regard.panoptic(
        photo, model=save(model, folder), threshold=0.05, short_side_px=100, **options
    )


@pytest.fixture(scope="module")
def detr(photo: Image.Image, tmp_path_factory: pytest.TempPathFactory) -> regard.ObjectAttention:
    return run(tiny_detr(), photo, tmp_path_factory.mktemp("detr"))


@pytest.fixture(scope="module")
def boxes(photo: Image.Image, tmp_path_factory: pytest.TempPathFactory) -> regard.ObjectAttention:
    return run(tiny_detr(masks=False), photo, tmp_path_factory.mktemp("boxes"))


@pytest.fixture(scope="module")
def mask2former(
    photo: Image.Image, tmp_path_factory: pytest.TempPathFactory
) -> regard.ObjectAttention:
    return run(tiny_mask2former(), photo, tmp_path_factory.mktemp("mask2former"))


def test_the_owner_of_a_pixel_and_all_of_a_class(detr: regard.ObjectAttention) -> None:
    assert detr.segmentation is not None
    assert len(detr.found) > 1
    for query in detr.found:
        y, x = (detr.segmentation.owners == query).nonzero()[0].tolist()
        assert detr.of(query=(x + 0.5, y + 0.5)).queries == (query,)
    label = detr.predictions.categories.name(int(detr.predictions.object_labels[detr.found[0]]))
    several = detr.of(query=label)
    expected = tuple(
        q for q in detr.found
        if detr.predictions.object_labels[q] == detr.predictions.object_labels[detr.found[0]]
    )  # fmt: skip
    assert several.queries == expected
    rows = torch.stack([detr.of(query=q).weights() for q in expected])
    # float32 mean in another order
    torch.testing.assert_close(several.weights(), rows.mean(0), rtol=0, atol=1e-6)


def test_what_does_not_exist_is_told(detr: regard.ObjectAttention) -> None:
    for query, words in ((99, "99 does not exist; there are 7"), ("zebra", "no class of this")):
        with pytest.raises(SelectionError, match=words):
            detr.of(query=query)
    with pytest.raises(GeometryError, match="outside the 150 x 90"):
        detr.of(query=(150.0, 3.0))
    with pytest.raises(SelectionError, match="head 8 does not exist"):
        detr.of(head=8)
    strict = detr.predictions.found(0.9999)
    assert not len(strict)
    with pytest.raises(SelectionError, match="found: nothing; lower the threshold"):
        choose_queries(detr.predictions, detr.segmentation, (), "cat")


def test_layers_as_people_ask_for_them() -> None:
    assert choose_decoder_layers(None, 9) == (8,)
    assert choose_decoder_layers("last3", 9) == (6, 7, 8)
    assert choose_decoder_layers("all", 3) == (0, 1, 2)
    assert choose_decoder_layers(-1, 9) == (8,)
    assert choose_decoder_layers((0, 5), 9) == (0, 5)
    for wrong in ("last10", "lastx", 9, (0, 9), ()):
        with pytest.raises(SelectionError):
            choose_decoder_layers(wrong, 9)


def test_cells_keep_the_weight_that_fell_on_the_photo(mask2former: regard.ObjectAttention) -> None:
    cells = mask2former.of(between="cells")
    for layer in range(6):
        inside = 1 - cells.padding_share(layer)
        # float32 sums of 150 x 90 pixels
        assert float(cells.heat(layer).nansum()) == pytest.approx(inside, abs=1e-5)


def test_a_heat_map_is_never_stretched_over_the_padding(
    mask2former: regard.ObjectAttention,
) -> None:
    """A key's weight lands where its cell lies: stride by stride, then cropped."""
    cells = mask2former.of(between="cells")
    keys = cells.keys(2)
    assert keys.stride_px[0] == 8
    one = torch.zeros(keys.count)
    one[keys.index(2, 3)] = 1
    pixels = keys.to_pixels(one)
    rows, columns = (pixels > 1e-6).nonzero().unbind(1)
    scale_y, scale_x = keys.view.scale_yx
    assert int(rows.min()) == int(16 / scale_y)
    assert int(columns.min()) == int(24 / scale_x)
    assert int(rows.max()) == -int(-24 / scale_y // 1) - 1
    assert int(columns.max()) == -int(-32 / scale_x // 1) - 1


def test_masked_and_unmasked_come_from_one_pass(mask2former: regard.ObjectAttention) -> None:
    for query in range(7):
        one = mask2former.of(query=query)
        for layer in range(6):
            blocked = one.blocked(layer)
            assert not one.weights(layer)[:, blocked].any()
            assert (one.weights(layer, masked=False) > 0).all()
            if one.was_reset(layer):
                assert not blocked.any()
                assert torch.equal(one.weights(layer), one.weights(layer, masked=False))


def test_blocked_pixels_are_those_of_blocked_cells(mask2former: regard.ObjectAttention) -> None:
    keys, blocked = mask2former.keys(2), mask2former.blocked(2)
    pixels = mask2former.blocked_pixels(2)
    for x, y in ((3.5, 4.5), (80.5, 44.5), (149.5, 89.5), (20.5, 70.5)):
        assert bool(pixels[int(y), int(x)]) == bool(blocked[keys.at(x, y)])


def test_the_mask_heads_map(
    detr: regard.ObjectAttention, mask2former: regard.ObjectAttention
) -> None:
    cells = detr.of(between="cells")
    shares = cells.joint_shares()
    assert shares.shape == (8,)
    assert float(shares.sum()) == pytest.approx(1, abs=1e-6)
    # what of each head lies on the photo; the input has cells that stick out of it
    on_photo = cells.joint_heat().nansum((1, 2))
    torch.testing.assert_close(on_photo, shares, rtol=1e-4, atol=1e-5)  # float32 sums
    with pytest.raises(GeometryError, match="only DETR"):
        mask2former.joint_heat()


def test_the_encoder_from_a_point(detr: regard.ObjectAttention) -> None:
    heat = detr.of(between="cells").encoder_heat(100, 50, layer=0)
    assert heat.shape == (90, 150)
    assert float(heat.nansum()) == pytest.approx(1, abs=1e-5)  # float32 sums
    with pytest.raises(SelectionError, match="encoder layer 2 does not exist"):
        detr.encoder_heat(100, 50, layer=2)
    with pytest.raises(SelectionError, match="samples no points"):
        detr.sampled_points(100, 50)


def test_what_the_pixel_decoder_samples_from_a_point(
    mask2former: regard.ObjectAttention,
) -> None:
    """Points, and the same weight as a map: both lie where the layer's own arguments say."""
    cells = mask2former.of(between="cells")
    points = cells.sampled_points(100, 50)
    assert list(points.strides_px) == [32, 16, 8]
    assert points.levels.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    torch.testing.assert_close(points.weights.sum(-1), torch.ones(4), rtol=0, atol=1e-6)

    call = cells.encoder_call()
    assert isinstance(call, DeformableAttention)
    assert isinstance(call.keys, PyramidTokens)
    heat = cells.encoder_heat(100, 50)
    shares = call.keys.shares(call.mean(call.keys.at(100, 50))[0, 0])
    # float32 sums of 150 x 90 pixels; what fell on padding is not on the photo
    assert float(heat.nansum()) == pytest.approx(float(shares["image"]), abs=1e-5)
    assert heat.shape == (90, 150)

    # a point of weight w reaches the four cells around it: its own place is among them
    inside = ((points.xy >= 0) & (points.xy < torch.tensor([150, 90]))).all(-1)
    for x, y in points.xy[inside].floor().long().tolist():
        assert float(heat[y, x]) > 0


def test_a_sampled_point_lies_where_its_reference_and_offset_say(
    mask2former: regard.ObjectAttention,
) -> None:
    """The input is 192 x 128 with the photo's 167 x 100 in it; 0 and 1 are the map's edges."""
    call = mask2former.encoder_call(0)
    assert isinstance(call, DeformableAttention)
    assert isinstance(call.keys, PyramidTokens)
    view = mask2former.predictions.view
    own = mask2former.sampled_points(75, 45, 0)
    locations = call.points(call.keys.at(75, 45)).xy[0, :, 0]
    height, width = view.input_hw
    scale_y, scale_x = view.scale_yx
    expected = locations * torch.tensor([width / scale_x, height / scale_y])
    torch.testing.assert_close(own.xy, expected, rtol=1e-5, atol=1e-3)  # float32


def test_the_encoders_pictures(
    detr: regard.ObjectAttention, mask2former: regard.ObjectAttention
) -> None:
    assert "encoder, last layer, from x 100, y 50 px · mean of 8 heads" in (
        detr.pictures.encoder(100, 50).lines
    )
    lines = mask2former.pictures.encoder(100, 50).lines
    assert "its 48 sampled points, larger for more weight" in lines
    assert {"all levels", "stride 32", "stride 16", "stride 8"} <= set(lines)


def test_a_model_of_boxes_only(boxes: regard.ObjectAttention) -> None:
    assert boxes.segmentation is None
    assert boxes.mask() is None
    assert len(boxes.found) > 0
    query = boxes.found[0]
    box = boxes.box_xyxy(query)
    assert box is not None
    middle = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
    assert boxes.of(query=middle).queries[0] in boxes.found
    assert boxes.instances().masks is None
    with pytest.raises(GeometryError, match="boxes, no masks"):
        boxes.pictures.segments()
    with pytest.raises(GeometryError, match="no masks"):
        boxes.semantic()


def test_instances_and_semantic(
    detr: regard.ObjectAttention, mask2former: regard.ObjectAttention
) -> None:
    for result in (detr, mask2former):
        found = result.instances()
        assert (found.scores.diff() <= 0).all()
        assert found.masks is not None
        assert found.masks.shape[1:] == (90, 150)
        assert result.semantic().shape == (90, 150)


def test_every_picture_is_drawn_and_says_what_it_shows(
    detr: regard.ObjectAttention,
    mask2former: regard.ObjectAttention,
    boxes: regard.ObjectAttention,
    tmp_path: Path,
) -> None:
    names = {
        "detr": {"query_mask_head.png", "segments.png", "masks.png", "queries.png"},
        "mask2former": {"query_masked_unmasked.png", "segments.png"},
        "boxes": {"queries.png"},
    }
    for name, result in (("detr", detr), ("mask2former", mask2former), ("boxes", boxes)):
        written = {path.name for path in result.pictures.save(tmp_path / name)}
        assert written >= names[name] | {"summary.png", "query_layers.png", "query_heads.png"}
        assert "query_mask_head.png" not in written or name == "detr"
    lines = mask2former.of(layers="last3").pictures.masked_and_unmasked().lines
    assert sum("stride 32" in line for line in lines) == 2
    assert any("without the layer's mask" in line for line in lines)
    assert any(f"query {detr.queries[0]}" in line for line in detr.pictures.layers().lines)
    nothing = replace(detr, found=())
    with pytest.raises(GeometryError, match="lower the threshold"):
        nothing.pictures.masks()


def test_a_model_without_object_queries_is_told(photo: Image.Image, checkpoint: Any) -> None:
    with pytest.raises(CheckpointError, match=r"no object queries.*regard\.image"):
        regard.panoptic(photo, model=checkpoint("vit"))

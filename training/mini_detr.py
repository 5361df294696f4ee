"""Trains ``mini-detr``: DETR with its mask head at small size, on generated scenes.

As in the paper: Hungarian matching by class and box, losses after every decoder layer, masks by
the mask head of the queries that answer for something. Unlike it:

- the backbone is mini-mask2former's, and goes on learning, norms too (they are frozen in what is
  shipped);
- the mask head's map is pulled onto the segment, by minus the logarithm of the weight there;
- several groups of queries learn side by side, of which the first is shipped (Chen et al. 2023,
  "Group DETR"), and there is a loss at every place of the encoder's output. Both are for training
  alone, and shorten it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
import transformers
from torch import Tensor, nn

from training import backbone
from training.miniature import Recipe, main
from training.places import Kinds, Places
from training.run import Losses, Plan, Stage
from training.scenes import NAMES, Batch, Scenes
from training.sets import (
    Match,
    box_cost,
    box_loss,
    class_cost,
    class_loss,
    mask_loss,
    match,
)

PLAN = Plan(
    steps=1000,
    learning_rate=8e-4,
    warm_up=60,
    backbone="detr.model.backbone",
    backbone_times=3.0,
    average=0.99,
    stages=(
        Stage(until=0.85, size_px=128, batch=6, more=8),
        Stage(until=1.0, size_px=192, batch=4),
    ),
    clip=0.5,
)
# the paper's, for classes, L1 distance and generalised IoU; masks are as in Mask2Former
_CLASS, _L1, _IOU, _MASK, _DICE = 2.0, 5.0, 2.0, 2.0, 2.0
_NO_OBJECT = 0.1
_QUERIES, _GROUPS = 20, 4
_ATTENTION_GAIN = 150.0
_MASKS = 4
"""Masks of a photo that a step learns from."""
_WIDTH = 128


class Training(nn.Module):
    """The network that is shipped, and what only its training needs."""

    def __init__(self) -> None:
        super().__init__()
        self.shipped: Any = _learning_backbone(backbone.normal_norms(_network()))
        self.more_queries = nn.Embedding(_QUERIES * (_GROUPS - 1), _WIDTH)
        self.places = Places(_WIDTH)
        self.kinds = Kinds(backbone.WIDTHS[1:3])
        self.decoded_kinds = Kinds([_WIDTH])


def _network() -> nn.Module:
    """Stride 16, so that small photos have enough places to look at."""
    config = transformers.DetrConfig(
        backbone_config=backbone.settings(3, ("stem", "stage1", "stage2", "stage3")),
        d_model=_WIDTH,
        encoder_layers=2,
        decoder_layers=3,
        encoder_attention_heads=8,
        decoder_attention_heads=8,
        encoder_ffn_dim=192,
        decoder_ffn_dim=192,
        num_queries=_QUERIES,
        dropout=0.0,
        id2label=dict(enumerate(NAMES)),
    )
    network: nn.Module = transformers.DetrForSegmentation(config)
    return network


def _learning_backbone(network: nn.Module) -> nn.Module:
    """Batch norms that learn in place of the frozen ones, under the same names."""
    for name, module in list(network.named_modules()):
        if type(module).__name__ == "DetrFrozenBatchNorm2d":
            network.set_submodule(name, nn.BatchNorm2d(len(module.weight)))
    network.requires_grad_(True)  # transformers freezes a ResNet
    return network


def of_mask2former(runs: Path, _scenes: Scenes) -> tuple[dict[str, Tensor], float]:
    """The backbone that mini-mask2former's run has by now, and the seconds of that run."""
    path = runs / "mini-mask2former" / "checkpoint.pt"
    if not path.is_file():
        raise SystemExit(f"{path} is missing: run python -m training.mini_mask2former first")
    state = torch.load(path, weights_only=True)
    prefix = "shipped.model.pixel_level_module.encoder."
    weights = {
        name.removeprefix(prefix): tensor
        for name, tensor in state["averaged"].items()
        if name.startswith(prefix)
    }
    return weights, state["seconds"]


def network(weights: dict[str, Tensor]) -> nn.Module:
    """A fresh one over a trained backbone."""
    training = Training()
    mine = {name: tensor for name, tensor in weights.items() if ".stages.3." not in name}
    training.shipped.detr.model.backbone.model.load_state_dict(mine)
    heed_attention(training.shipped)
    return training


def heed_attention(detr: Any) -> None:
    """Let the mask head's first layer see the attention maps.

    They sum to 1 over hundreds of places and heads, the features beside them are near 1: with
    weights of one size the maps would not count for thousands of steps.
    """
    with torch.no_grad():
        detr.mask_head.conv1.conv.weight[:, _WIDTH:] *= _ATTENTION_GAIN


def losses(training: Any, batch: Batch) -> Losses:
    """Classes and boxes of every decoder layer, masks of the last; and of places."""
    detr, model = training.shipped, training.shipped.detr.model
    seen = model.backbone(batch.pixels, torch.ones_like(batch.pixels[:, 0]))
    projected = model.input_projection(seen[-1][0])
    sines = model.position_embedding(projected.shape, projected.device, projected.dtype)
    sines = sines.flatten(2).transpose(1, 2)
    memory = model.encoder(
        inputs_embeds=projected.flatten(2).transpose(1, 2), spatial_position_embeddings=sines
    ).last_hidden_state
    memory_map = memory.transpose(1, 2).unflatten(2, projected.shape[-2:])
    hidden = _decoded(training, memory, sines)
    own = hidden[-1][:, :_QUERIES]
    maps = [memory_map, projected, *(feature for feature, _ in seen[-2::-1])]
    return {
        **_query_losses(detr.detr, hidden, batch),
        **_mask_losses(detr, own, maps, _matches(detr.detr, own, batch), batch),
        "places": training.places.loss(memory_map, batch),
        "decoded": training.decoded_kinds.loss([memory_map], batch),
    }


def features(training: Any, pixels: Tensor) -> Sequence[Tensor]:
    """The backbone's maps of strides 8 and 16."""
    levels = training.shipped.detr.model.backbone.model(pixels).feature_maps
    return list(levels[2:])


def _decoded(training: Any, memory: Tensor, sines: Tensor) -> list[Tensor]:
    """The queries of all groups after each decoder layer, (batch, groups * queries, width)."""
    model = training.shipped.detr.model
    queries = torch.cat([model.query_position_embeddings.weight, training.more_queries.weight])
    queries = queries.expand(len(memory), -1, -1)
    group = torch.arange(queries.shape[1]) // _QUERIES
    apart = (group[:, None] == group)[None, None]
    hidden, layers = torch.zeros_like(queries), []
    for layer in model.decoder.layers:
        hidden = layer(hidden, apart, sines, queries, memory)
        layers.append(model.decoder.layernorm(hidden))
    return layers


def _query_losses(heads: Any, hidden: list[Tensor], batch: Batch) -> Losses:
    total = {name: torch.zeros(()) for name in ("class", "l1", "iou")}
    for layer in hidden:
        for own in layer.reshape(len(layer), _GROUPS, _QUERIES, -1).unbind(1):
            matches = _matches(heads, own, batch)
            classes = heads.class_labels_classifier(own)
            boxes = _chosen(heads.bbox_predictor(own).sigmoid(), matches, 0)
            true = _chosen(batch.boxes, matches, 1)
            l1, iou = box_loss(boxes, true)
            total["class"] += _CLASS * class_loss(classes, batch.labels, matches, _NO_OBJECT)
            total["l1"] += _L1 * l1
            total["iou"] += _IOU * iou
    return {name: value / len(hidden) / _GROUPS for name, value in total.items()}


def _mask_losses(
    detr: Any, own: Tensor, maps: list[Tensor], matches: list[Match], batch: Batch
) -> Losses:
    """Of some of the queries that answer for a segment: the mask head is what costs most.

    Args:
        detr: The network.
        own: (batch, queries, width) after the last layer.
        maps: The encoder's output, its input, and the backbone's features of strides 8, 4, 4.
        matches: Who answers for what.
        batch: The photos.
    """
    memory, projected, *features = maps
    matches = [_some(*pair) for pair in matches]
    photo = torch.cat([torch.full_like(q, i) for i, (q, _) in enumerate(matches)])
    query = torch.cat([queries for queries, _ in matches])
    looks = detr.bbox_attention(own, memory)[photo, query]
    head = detr.mask_head
    masks = head.conv2(head.conv1(torch.cat([projected[photo], looks], 1)))
    for stage, feature in zip(head.fpn_stages, features, strict=True):
        detail = stage.fpn_adapter(feature)  # once for each photo, not for each query
        masks = F.interpolate(masks, size=detail.shape[-2:], mode="nearest")
        masks = stage.refine(detail[photo] + masks)
    true = _chosen(batch.masks, matches, 1)
    mask, dice = mask_loss(head.output_conv(masks).flatten(1), true.flatten(1))
    places = F.interpolate(true[:, None], size=looks.shape[-2:], mode="area")
    own_share = (looks * places).sum((1, 2, 3))
    return {
        "mask": _MASK * mask,
        "dice": _DICE * dice,
        "map": -own_share.clamp(min=1e-6).log().mean(),
    }


def _some(queries: Tensor, segments: Tensor) -> Match:
    chosen = torch.randperm(len(queries))[:_MASKS]
    return queries[chosen], segments[chosen]


@torch.no_grad()
def _matches(heads: Any, own: Tensor, batch: Batch) -> list[Match]:
    classes = heads.class_labels_classifier(own)
    boxes = heads.bbox_predictor(own).sigmoid()
    found = []
    for logits, boxes_, labels, true in zip(classes, boxes, batch.labels, batch.boxes, strict=True):
        l1, iou = box_cost(boxes_, true)
        found.append(match(_CLASS * class_cost(logits, labels) + _L1 * l1 + _IOU * iou))
    return found


def _chosen(rows: Any, matches: list[Match], side: int) -> Tensor:
    return torch.cat([own[pair[side]] for own, pair in zip(rows, matches, strict=True)])


RECIPE = Recipe(
    name="mini-detr",
    about=(
        "DETR with its mask head (Carion et al. 2020) at small size: 2 encoder and 3 decoder\n"
        "layers of width 128 over stride 16, 20 object queries, a ResNet of three stages."
    ),
    plan=PLAN,
    backbone=of_mask2former,
    network=network,
    losses=losses,
    features=features,
    sharpness=1.5,
    size_px=192,
    layers=(2,),
)

if __name__ == "__main__":
    main(RECIPE)

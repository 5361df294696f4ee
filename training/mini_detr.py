"""Trains ``mini-detr``: DETR with its mask head at small size, on generated scenes.

As in the paper: Hungarian matching by class and box, losses after every decoder layer, masks by
the mask head of the queries that answer for something. Unlike it:

- the backbone is mini-mask2former's, and goes on learning, norms too (they are frozen in what is
  shipped);
- the mask head's map is pulled onto the segment, by minus the logarithm of the weight there;
- cross-attention is pulled onto the segment in the same way, at every decoder layer;
- queries begin at places on a grid, near which they look at first (after Wang et al. 2022, "Anchor
  DETR"), and further queries at a random place of each segment answer for that segment (after Li et
  al. 2022, "DN-DETR");
- several groups of queries learn side by side, of which the first is shipped (Chen et al. 2023,
  "Group DETR"), and there is a loss at every place of the encoder's output.

All but the queries' start is for training alone, and shortens it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
import transformers
from safetensors.torch import load_file
from torch import Tensor, nn

from training import backbone
from training.miniature import SHIPPED, Recipe, main
from training.places import KINDS_LOSS, PLACES, Kinds, Places
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
    steps=5000,
    learning_rate=6e-4,
    warm_up=100,
    backbone="detr.model.backbone",
    backbone_times=3.0,
    average=0.995,
    stages=(
        Stage(until=0.4, size_px=128, batch=8, more=8),
        Stage(until=1.0, size_px=192, batch=4),
    ),
    clip=0.5,
)
# the paper's, for classes, L1 distance and generalised IoU; masks are as in Mask2Former
_CLASS, _L1, _IOU, _MASK, _DICE = 2.0, 5.0, 2.0, 2.0, 2.0
_LOOK = 1.0
_NO_OBJECT = 0.4
_QUERIES, _GROUPS = 20, 3
_ATTENTION_GAIN = 150.0
_NEARNESS = (1.4, 2.0, 2.4, 2.8)
"""Of heads in turn: how fast attention falls with the distance at first."""
_MASKS = 4
"""Masks of a photo that a step learns from."""
_WIDTH = 128


class Training(nn.Module):
    """The network that is shipped, and what only its training needs."""

    def __init__(self) -> None:
        super().__init__()
        self.shipped: Any = _learning_backbone(backbone.normal_norms(_network()))
        config: Any = self.shipped.config
        config._attn_implementation = "eager"  # which returns attention
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


def of_mask2former(_runs: Path, _scenes: Scenes) -> tuple[dict[str, Tensor], float]:
    """The backbone of the mini-mask2former that is shipped."""
    prefix = "model.pixel_level_module.encoder."
    weights = load_file(SHIPPED / "mini-mask2former" / "model.safetensors")
    own = {
        name.removeprefix(prefix): tensor.float()
        for name, tensor in weights.items()
        if name.startswith(prefix)
    }
    return own, 0.0


def network(weights: dict[str, Tensor]) -> nn.Module:
    """A fresh one over a trained backbone."""
    training = Training()
    mine = {name: tensor for name, tensor in weights.items() if ".stages.3." not in name}
    training.shipped.detr.model.backbone.model.load_state_dict(mine)
    heed_attention(training.shipped)
    look_around(training)
    return training


def heed_attention(detr: Any) -> None:
    """Let the mask head's first layer see the attention maps.

    They sum to 1 over hundreds of places and heads, the features beside them are near 1: with
    weights of one size the maps would not count for thousands of steps.
    """
    with torch.no_grad():
        detr.mask_head.conv1.conv.weight[:, _WIDTH:] *= _ATTENTION_GAIN


def look_around(training: Any) -> None:
    """Let each query begin at a place of its own: cross-attention there is highest around it.

    Queries start as the sines of places on a grid. Queries and keys are projected alike, to the
    slowest-falling sines of rows and columns: their product falls with the distance of two places.
    """
    model = training.shipped.detr.model
    side = 48
    sines = model.position_embedding(torch.Size((1, _WIDTH, side, side)), "cpu", torch.float32)
    sines = sines[0].permute(1, 2, 0)
    with torch.no_grad():
        for group in range(_GROUPS):
            rows, columns = ((4, 5), (5, 4), (4, 5))[group % 3]
            y = ((torch.arange(rows) + 0.5 + 0.15 * (group % 3 - 1)) / rows * side).long()
            x = ((torch.arange(columns) + 0.5 + 0.15 * (group % 3 - 1)) / columns * side).long()
            points = sines[y][:, x].flatten(0, 1)
            if group == 0:
                model.query_position_embeddings.weight.copy_(points)
            else:
                training.more_queries.weight[(group - 1) * _QUERIES : group * _QUERIES] = points
        for layer in model.decoder.layers:
            _towards_sines(layer.encoder_attn)


def _towards_sines(attention: Any) -> None:
    """Queries and keys: rows and columns. Values: what is there."""
    heads = _WIDTH // attention.head_dim
    half = attention.head_dim // 2
    chosen = torch.cat([torch.arange(half), _WIDTH // 2 + torch.arange(half)])
    for head in range(heads):
        own = slice(head * attention.head_dim, (head + 1) * attention.head_dim)
        for projection in (attention.q_proj, attention.k_proj):
            projection.weight[own] *= 0.3
            projection.weight[own, chosen] += _NEARNESS[head % 4] * torch.eye(len(chosen))
    for projection in (attention.v_proj, attention.o_proj):
        projection.weight.mul_(0.3).add_(torch.eye(_WIDTH))


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
    shares = [
        F.interpolate(m[None], size=memory_map.shape[-2:], mode="area")[0] for m in batch.masks
    ]
    hidden, looks = _decoded(training, memory, sines, _points(shares))
    own = hidden[-1][:, :_QUERIES]
    maps = [memory_map, projected, *(feature for feature, _ in seen[-2::-1])]
    return {
        **_query_losses(detr.detr, hidden, looks, shares, batch),
        **_mask_losses(detr, own, maps, _matches(detr.detr, own, batch), batch),
        "places": training.places.loss(memory_map, batch),
        "decoded": training.decoded_kinds.loss([memory_map], batch),
    }


def features(training: Any, pixels: Tensor) -> Sequence[Tensor]:
    """The backbone's maps of strides 8 and 16."""
    levels = training.shipped.detr.model.backbone.model(pixels).feature_maps
    return list(levels[2:])


def _points(shares: list[Tensor]) -> Tensor:
    """A place inside each segment, at random, (batch, segments); 0 where a photo has fewer."""
    chosen = [torch.multinomial(share.flatten(1) + 1e-6, 1)[:, 0] for share in shares]
    return nn.utils.rnn.pad_sequence(chosen, batch_first=True)


def _decoded(
    training: Any, memory: Tensor, sines: Tensor, points: Tensor
) -> tuple[list[Tensor], list[Tensor]]:
    """What queries are, and where they look, after each decoder layer.

    Args:
        training: The network.
        memory: (batch, places, width).
        sines: (1, places, width).
        points: (batch, segments), places: each becomes a query of its own, seen by no other.

    Returns:
        (batch, groups * queries + segments, width) and (batch, ..., places) for each layer.
    """
    model = training.shipped.detr.model
    learned = torch.cat([model.query_position_embeddings.weight, training.more_queries.weight])
    queries = torch.cat([learned.expand(len(memory), -1, -1), sines[0][points]], 1)
    group = torch.arange(queries.shape[1])
    group = torch.where(group < len(learned), group // _QUERIES, group)
    apart = torch.zeros(len(group), len(group)).masked_fill(group[:, None] != group, -1e9)
    hidden, layers, looks = torch.zeros_like(queries), [], []
    hooks = [
        layer.encoder_attn.register_forward_hook(lambda *call: looks.append(call[-1][1].mean(1)))
        for layer in model.decoder.layers
    ]
    for layer in model.decoder.layers:
        hidden = layer(hidden, apart[None, None], sines, queries, memory)
        layers.append(model.decoder.layernorm(hidden))
    for hook in hooks:
        hook.remove()
    return layers, looks


def _query_losses(
    heads: Any, hidden: list[Tensor], looks: list[Tensor], shares: list[Tensor], batch: Batch
) -> Losses:
    """Of all groups and of the points, after every layer: the mean."""
    sizes = [*[_QUERIES] * _GROUPS, hidden[0].shape[1] - _QUERIES * _GROUPS]
    of_points = [(torch.arange(len(labels)), torch.arange(len(labels))) for labels in batch.labels]
    found: list[Losses] = []
    for layer, look in zip(hidden, looks, strict=True):
        for i, (own, seen) in enumerate(
            zip(torch.split(layer, sizes, 1), torch.split(look, sizes, 1), strict=True)
        ):
            learned = i < _GROUPS
            matches = _matches(heads, own, batch) if learned else of_points
            no_object = _NO_OBJECT if learned else 0.0
            losses = _set_losses(heads, own, matches, batch, no_object)
            found.append(losses | {"look": _LOOK * _look_loss(seen, shares, matches)})
    return {name: torch.stack([each[name] for each in found]).mean() for name in found[0]}


def _set_losses(
    heads: Any, own: Tensor, matches: list[Match], batch: Batch, no_object: float
) -> Losses:
    classes = heads.class_labels_classifier(own)
    boxes = _chosen(heads.bbox_predictor(own).sigmoid(), matches, 0)
    l1, iou = box_loss(boxes, _chosen(batch.boxes, matches, 1))
    by_class = class_loss(classes, batch.labels, matches, no_object)
    return {"class": _CLASS * by_class, "l1": _L1 * l1, "iou": _IOU * iou}


def _look_loss(looks: Tensor, shares: list[Tensor], matches: list[Match]) -> Tensor:
    """Minus the logarithm of the attention on the own segment: looks (batch, queries, places)."""
    places = [share.flatten(1) for share in shares]
    inside = (_chosen(looks, matches, 0) * _chosen(places, matches, 1)).sum(1)
    return -inside.clamp(min=1e-4).log().mean()


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
    sharpness=2.0,
    size_px=224,
    layers=(2,),
    besides=(
        "look: minus the logarithm of the share of a matched query's cross-attention, heads\n"
        "  averaged, that falls on its segment, at every decoder layer. So this miniature was\n"
        "  told where to look; the paper's DETR is not",
        "map: the same for the mask head's map of the last layer",
        "points: one more query for each segment, at the sines of a random place in it, seen by\n"
        "  no other query; it answers for that segment, by the same losses",
        "groups: the same losses for two more sets of queries, as in Group DETR",
        PLACES.format(map="encoder's output"),
        KINDS_LOSS.format(maps="backbone (strides 8, 16) and of the encoder's output"),
    ),
    note=(
        "Its backbone begins as the one of [mini-mask2former](../mini-mask2former/README.md), and "
        "goes on learning.\nIts queries begin at the sines of places on a grid. It was made in one "
        "run of the script."
    ),
)

if __name__ == "__main__":
    main(RECIPE)

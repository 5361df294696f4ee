"""Trains ``mini-mask2former``: Mask2Former at small size, on generated scenes.

As in the paper: masked attention over three levels, a loss after every layer, Hungarian matching.
Unlike it: masks are compared at every place instead of at sampled points, for they are small;
photos grow in the course of training; a loss at every place shortens it.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
import transformers
from torch import Tensor, nn

from regard.models.mask2former.segmenter import Mask2FormerSegmenter
from training import backbone
from training.miniature import Recipe, main
from training.places import KINDS_LOSS, PLACES, Kinds, Places
from training.run import Losses, Plan, Stage
from training.scenes import NAMES, Batch
from training.sets import Match, class_cost, class_loss, mask_cost, mask_loss, match

PLAN = Plan(
    steps=2388,
    learning_rate=2e-3,
    warm_up=60,
    backbone="model.pixel_level_module.encoder",
    backbone_times=3.0,
    average=0.99,
    stages=(
        Stage(until=0.52, size_px=128, batch=4, more=16),
        Stage(until=0.58, size_px=192, batch=4),
        Stage(until=1.0, size_px=256, batch=4),
    ),
)
# the paper's, for classes, binary cross-entropy and dice
_WEIGHTS = (4.0, 5.0, 5.0)
_NO_OBJECT = 0.1
_WIDTH = 64


class Training(nn.Module):
    """The network that is shipped, and what only its training needs."""

    def __init__(self) -> None:
        super().__init__()
        self.shipped: Any = backbone.normal_norms(_network())
        self.places = Places(_WIDTH)
        self.kinds = Kinds(backbone.WIDTHS[1:])
        self.decoded_kinds = Kinds([_WIDTH] * 3)


def _network() -> nn.Module:
    config = transformers.Mask2FormerConfig(
        backbone_config=backbone.settings(4, backbone.STAGES),
        hidden_dim=_WIDTH,
        feature_size=_WIDTH,
        mask_feature_size=_WIDTH,
        encoder_layers=1,
        encoder_feedforward_dim=128,
        decoder_layers=7,  # transformers counts the prediction before the first: these are 6
        dim_feedforward=192,
        num_attention_heads=4,
        num_queries=20,
        id2label=dict(enumerate(NAMES)),
    )
    return Mask2FormerSegmenter(config)


def network(weights: dict[str, Tensor]) -> nn.Module:
    """A fresh one over a trained backbone."""
    training = Training()
    training.shipped.model.pixel_level_module.encoder.load_state_dict(weights)
    return training


def losses(training: Any, batch: Batch) -> Losses:
    """Of the learned queries and of every layer: classes, and masks by two measures."""
    model = training.shipped
    pixels = model.model.pixel_level_module(pixel_values=batch.pixels)
    out = model.model.transformer_module(
        multi_scale_features=pixels.decoder_hidden_states,
        mask_features=pixels.decoder_last_hidden_state,
    )
    total: list[Tensor] = [torch.zeros(())] * 3
    for hidden, masks in zip(out.intermediate_hidden_states, out.masks_queries_logits, strict=True):
        classes = model.class_predictor(hidden.transpose(0, 1))
        matches = _matches(classes, masks, batch)
        own = torch.cat([m[q] for m, (q, _) in zip(masks, matches, strict=True)]).flatten(1)
        true = torch.cat([m[s] for m, (_, s) in zip(batch.masks, matches, strict=True)]).flatten(1)
        parts = class_loss(classes, batch.labels, matches, _NO_OBJECT), *mask_loss(own, true)
        total = [sum_ + w * part for sum_, w, part in zip(total, _WEIGHTS, parts, strict=True)]
    count = len(out.masks_queries_logits)
    finest = pixels.decoder_hidden_states[-1]
    return {
        **dict(zip(("class", "mask", "dice"), (each / count for each in total), strict=True)),
        "places": training.places.loss(finest, batch),
        "decoded": training.decoded_kinds.loss(pixels.decoder_hidden_states, batch),
    }


def features(training: Any, pixels: Tensor) -> Sequence[Tensor]:
    """The backbone's maps of strides 8, 16 and 32."""
    maps: Sequence[Tensor] = training.shipped.model.pixel_level_module.encoder(pixels).feature_maps
    return maps[1:]


@torch.no_grad()
def _matches(classes: Tensor, masks: Tensor, batch: Batch) -> list[Match]:
    """Who answers for what; masks are compared at half their size."""
    small = F.avg_pool2d(masks, 2).flatten(2)
    found = []
    for logits, own, labels, true in zip(classes, small, batch.labels, batch.masks, strict=True):
        entropy, dice = mask_cost(own, F.avg_pool2d(true, 2).flatten(1))
        by_class, by_entropy, by_dice = _WEIGHTS
        cost = by_class * class_cost(logits, labels) + by_entropy * entropy + by_dice * dice
        found.append(match(cost))
    return found


RECIPE = Recipe(
    name="mini-mask2former",
    about=(
        "Mask2Former (Cheng et al. 2022) at small size: one layer of deformable attention, and 6\n"
        "decoder layers of width 64 that read strides 32, 16, 8 in turn; 20 object queries, a\n"
        "ResNet of four stages."
    ),
    plan=PLAN,
    backbone=backbone.trained,
    network=network,
    losses=losses,
    features=features,
    sharpness=2.0,
    size_px=256,
    layers=(3, 4, 5),
    besides=(
        PLACES.format(map="pixel decoder's finest level"),
        KINDS_LOSS.format(maps="backbone (strides 8, 16, 32) and of the pixel decoder's levels"),
    ),
    note=(
        "Its run was short, and its settings were changed while it ran: sizes of photos and "
        "batches,\nlearning rate, queries and the losses besides the paper's came to what "
        "`training/` says step by\nstep. A new run by the script will not give these bytes. From "
        "step 1660 on\nit saw 256 px alone, with a learning rate that fell from 0.0004 to 0."
    ),
)

if __name__ == "__main__":
    main(RECIPE)

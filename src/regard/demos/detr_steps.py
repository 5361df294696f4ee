"""Every intermediate of DETR's panoptic pipeline as a picture, in the order in which they come."""

from dataclasses import replace

import torch
from PIL import Image
from torch import Tensor

from regard.models.family import LoadedModel
from regard.objects.attention import ObjectAttention, panoptic
from regard.render import Look, Panel, Picture, draw_panels
from regard.render.palette import distinct

_CHANNELS = 5
_VALUES = Look(unit="value", mixing="constant", cmap="viridis")


def steps(
    photo: Image.Image, loaded: LoadedModel, xy: tuple[float, float]
) -> tuple[ObjectAttention, dict[str, Picture]]:
    """A photo through DETR with a mask head: what was found, and a picture of each step by name.

    Args:
        photo: What to look at.
        loaded: DETR with a mask head.
        xy: Point of the photo to follow: the encoder is asked about this place, and everything
            after it about the query that owns this pixel, or else about the best one.
    """
    features: list[Tensor] = []
    hook = loaded.module.get_submodule("detr.model.backbone").register_forward_hook(
        lambda _module, _inputs, levels: features.append(levels[-1][0][0])
    )
    try:
        result = panoptic(photo, model=loaded, layers="all")
    finally:
        hook.remove()
    if result.segmentation is not None and result.segmentation.query_at(*xy) is not None:
        result = result.of(query=xy)
    pictures = result.pictures
    return result, {
        "1_input": _input(result, loaded),
        "2_features": _features(result, features[0]),
        "3_encoder": _encoder(result, xy),
        "4_decoder": pictures.layers(),
        "5_boxes": _boxes(result),
        "6_mask_head_map": pictures.joint(),
        "7_mask_logits": _mask_logits(result),
        "8_kept_queries": pictures.masks(),
        "9_panoptic": pictures.segments(),
    }


def _input(result: ObjectAttention, loaded: LoadedModel) -> Picture:
    """What the network is given: resized, channel by channel around 0."""
    pixels = loaded.prepare(result.photo).inputs["pixel_values"][0].cpu()
    height, width = pixels.shape[-2:]
    names = ("red", "green", "blue")
    return draw_panels(
        result.photo.resize((width, height)),
        [[Panel(name=n, heat=channel) for n, channel in zip(names, pixels, strict=True)]],
        title="1. The input",
        lines=[f"resized to {width} x {height} px, minus the mean, over the deviation"],
        look=Look(unit="value", mixing="constant", strength=1.0, cmap="gray"),
    )


def _features(result: ObjectAttention, features: Tensor) -> Picture:
    """The backbone's last map: its length at each place, and the channels that vary most."""
    keys, channels = result.keys(), features.float().cpu().flatten(1)
    chosen = channels.var(1).argsort(descending=True)[:_CHANNELS].tolist()
    maps = {"length over all channels": channels.norm(dim=0)}
    maps |= {f"channel {i}": channels[i] for i in chosen}
    panels = [
        Panel(name=name, heat=keys.to_pixels(cells, between="cells"))
        for name, cells in maps.items()
    ]
    rows, columns = keys.grid_hw
    return draw_panels(
        result.photo,
        [panels[:3], panels[3:]],
        scale="each",
        title="2. The backbone's features",
        lines=[f"{len(channels)} channels of {rows} x {columns} places, {keys.stride_px[0]:g} px"],
        look=_VALUES,
    )


def _encoder(result: ObjectAttention, xy: tuple[float, float]) -> Picture:
    """Where each encoder layer looks from the point."""
    count = sum(call.queries == call.keys == result.keys() for call in result.recording)
    heats = [result.encoder_heat(*xy, layer) for layer in range(count)]
    return draw_panels(
        result.photo,
        [[Panel(name=f"encoder layer {i}", heat=heat) for i, heat in enumerate(heats)]],
        query_xy=xy,
        title="3. The encoder, from one place",
        lines=["self-attention of the place that is marked, mean of all heads"],
    )


def _boxes(result: ObjectAttention) -> Picture:
    """The box of every query, in panels: those that found something, and the others."""
    kept = [
        Panel(
            name=f"query {query}: {result.words_of(query)}",
            box_xyxy=result.box_xyxy(query),
            colour=distinct(place),
        )
        for place, query in enumerate(result.found)
    ]
    return draw_panels(
        result.photo,
        [kept[i : i + 4] for i in range(0, len(kept), 4)],
        title="5. Class and box of each query",
        lines=[f"the {len(kept)} of {len(result.predictions)} queries that found something"],
    )


def _mask_logits(result: ObjectAttention) -> Picture:
    """Mask logits of the queries that were kept, before they compete."""
    logits = result.predictions.photo_mask_logits(torch.tensor(result.found))
    panels = [
        Panel(name=f"query {query}: {result.words_of(query)}", heat=own.clamp(-10, 10))
        for query, own in zip(result.found, logits, strict=True)
    ]
    return draw_panels(
        result.photo,
        [panels[i : i + 4] for i in range(0, len(panels), 4)],
        title="7. Mask logits",
        lines=["above 0 the query says: this pixel is mine; cut at -10 and 10"],
        look=replace(_VALUES, cmap="coolwarm", high=10.0),
    )

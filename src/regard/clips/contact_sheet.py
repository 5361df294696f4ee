"""A clip at a glance: frames from left to right, instances from top to bottom."""

from typing import Any

import numpy as np
from PIL import Image

from regard.clips.clip import ClipAttention
from regard.errors import SelectionError
from regard.render import Look, Panel, Picture, draw_panels


def draw_contact_sheet(
    clip: ClipAttention,
    *,
    instances: int = 3,
    columns: int = 8,
    cmap: str = "inferno",
    **options: Any,
) -> Picture:
    """The best instances in frames spread evenly over the clip: mask outlined, attention over it.

    One scale holds for all panels. A frame in which an instance does not live is grey; below each
    stands how much it counts for the instance's class (offline models).

    Args:
        clip: Of `regard.video`.
        instances: How many, best first; a track that was found under several classes counts once.
        columns: Most frames.
        cmap: A matplotlib colour map.
        options: As for `VideoAttention.heat`, such as ``layers`` or ``mixing``.

    Raises:
        SelectionError: The model found nothing in the clip, or there is nothing to show.
    """
    for name, value in (("instances", instances), ("columns", columns)):
        if value < 1:
            raise SelectionError(f"{name} is {value}, expected 1 or more")
    if not clip.instances:
        raise SelectionError(f"nothing was found in {clip.video.name!r}: there is nothing to draw")
    frames = _spread(len(clip.frame_indices), columns)
    images = {place: f.image for place, f in enumerate(clip.images()) if place in frames}
    chosen = _different_rows(clip)[:instances]
    names = [
        f"{clip.class_name(one.label)} {one.score:.2f}"
        for one in (clip.instances[index] for index in chosen)
    ]
    return draw_panels(
        images[frames[0]],
        [
            [_panel(clip, index, place, images[place], options) for place in frames]
            for index in chosen
        ],
        row_names=names,
        title=clip.video.name,
        lines=[f"{len(clip.frame_indices)} frames, {len(_different_rows(clip))} instances"],
        look=Look(cmap=cmap),
    )


def _spread(count: int, most: int) -> list[int]:
    """Up to ``most`` of ``count`` frames, the first and the last among them."""
    return [round(place) for place in np.linspace(0, count - 1, min(count, most))]


def _different_rows(clip: ClipAttention) -> list[int]:
    """The best detection of each row, best first."""
    first: dict[int, int] = {}
    for index, detection in enumerate(clip.instances):
        first.setdefault(detection.row, index)
    return list(first.values())


def _panel(
    clip: ClipAttention, index: int, place: int, image: Image.Image, options: dict[str, Any]
) -> Panel:
    row = clip.instance(index).row
    name = f"frame {clip.frame_indices[place]}"
    heat = clip.attention.heat(row, place, **options)
    if heat is None:
        return Panel(name=name, note="not there", photo=image.convert("L").convert("RGB"))
    note = ""
    if clip.attention.output.refined is not None:
        weight = float(clip.attention.importance(row).weights[place])
        note = f"counts {100 * weight:.0f} %"
    mask = clip.masks(place, [row])[0].numpy()
    return Panel(name=name, note=note, heat=heat.numpy(), mask=mask, photo=image)

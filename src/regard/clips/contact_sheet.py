"""A video at a glance: frames from left to right, instances from top to bottom."""

from typing import Any

import numpy as np
from PIL import Image

from regard.errors import SelectionError
from regard.render import Look, Panel, Picture, draw_panels
from regard.runs.recorded_video import RecordedInstance, RecordedVideo


def draw_contact_sheet(
    video: RecordedVideo,
    *,
    instances: int = 3,
    columns: int = 8,
    cmap: str = "inferno",
    title: str = "",
    **options: Any,
) -> Picture:
    """The best instances in frames spread evenly over a video: mask outlined, attention over it.

    One scale holds for all panels. A frame in which an instance does not live is grey; below each
    stands how much it counts for the instance's class (offline models).

    Args:
        video: Of a run.
        instances: How many, best first; one that was found under several classes counts once.
        columns: Most frames.
        cmap: A matplotlib colour map.
        title: First line; by default the name of the video.
        options: As for `RecordedVideo.heat`, such as ``layers`` or ``mixing``.

    Raises:
        SelectionError: Nothing was found in the video, or there is nothing to show.
    """
    for name, value in (("instances", instances), ("columns", columns)):
        if value < 1:
            raise SelectionError(f"{name} is {value}, expected 1 or more")
    if not video.instances:
        raise SelectionError(f"nothing was found in {video.id!r}: there is nothing to draw")
    places = _spread(video.frame_count, columns)
    images = {place: f.image for place, f in enumerate(video.frames()) if place in places}
    rows = different_rows(video)
    chosen = rows[:instances]
    panels = [[_panel(video, one, at, images[at], options) for at in places] for one in chosen]
    return draw_panels(
        images[places[0]],
        panels,
        row_names=[f"{one.category} {one.score:.2f}" for one in chosen],
        title=title or video.id,
        lines=[f"{video.frame_count} frames, {len(rows)} instances"],
        look=Look(cmap=cmap),
    )


def different_rows(video: RecordedVideo) -> list[RecordedInstance]:
    """Each row under its best class, best first."""
    first: dict[int, RecordedInstance] = {}
    for instance in video.instances:
        first.setdefault(instance.row, instance)
    return list(first.values())


def _spread(count: int, most: int) -> list[int]:
    """Up to ``most`` of ``count`` frames, the first and the last among them."""
    return [round(place) for place in np.linspace(0, count - 1, min(count, most))]


def _panel(
    video: RecordedVideo,
    instance: RecordedInstance,
    place: int,
    image: Image.Image,
    options: dict[str, Any],
) -> Panel:
    name = f"frame {video.frame_indices[place]}"
    heat = video.heat(instance.row, place, **options)
    if heat is None:
        return Panel(name=name, note="not there", photo=image.convert("L").convert("RGB"))
    note = ""
    if video.refiner_layers:
        note = f"counts {100 * float(video.importance(instance.row).weights[place]):.0f} %"
    return Panel(name=name, note=note, heat=heat.numpy(), mask=instance.masks(place), photo=image)

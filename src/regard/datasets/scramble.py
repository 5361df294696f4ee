"""The frames of a video data set in another order, and back: does a model need to see motion?

The order of a video follows from a seed and its id: Python's `random.Random(seed + id)` shuffles
the places of its frames, as the scripts of the DVIS attention pipeline do, so the same seed gives
the same order there and here. File names, masks, boxes and areas change places together. The order
is noted in each video as ``frame_order``, so that results can be put back without the seed.
"""

import random
import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from regard.errors import FormatError

BY_FRAME = ("segmentations", "bboxes", "areas", "occlusion")
"""What annotations and results hold for each frame."""


def frame_order(frames: int, seed: int) -> list[int]:
    """The old place of the frame at each new place."""
    order = list(range(frames))
    random.Random(seed).shuffle(order)
    return order


def inverse(order: Sequence[int]) -> list[int]:
    """The order that puts back what an order did.

    >>> inverse([2, 0, 1])
    [1, 2, 0]
    """
    places = [0] * len(order)
    for new, old in enumerate(order):
        places[old] = new
    return places


def scrambled(content: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """A YTVIS data set with the frames of every video in another order.

    Args:
        content: The data set; it stays as it is.
        seed: The order of a video follows from this plus its id.

    Raises:
        FormatError: It is no YTVIS data set, has ids that are no numbers, or is scrambled already.
    """
    videos = _videos(content)
    if any("frame_order" in video for video in videos):
        raise FormatError("these videos are scrambled already; scramble the original data set")
    orders = {
        video["id"]: frame_order(len(video["file_names"]), seed + _number(video["id"]))
        for video in videos
    }
    return _reordered(content, orders, {id_: {"frame_order": o} for id_, o in orders.items()})


def unscrambled(content: Mapping[str, Any]) -> dict[str, Any]:
    """A scrambled YTVIS data set with its frames in order again.

    Args:
        content: The data set; it stays as it is. Without ``frame_order`` the numbers in the file
            names say the order.

    Raises:
        FormatError: See `orders_of`.
    """
    return _reordered(content, {id_: inverse(o) for id_, o in orders_of(content).items()}, {})


def unscrambled_results(
    rows: Sequence[Mapping[str, Any]], content: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Results of a scrambled data set with their masks in the original order.

    Args:
        rows: Of a YTVIS result file.
        content: The scrambled data set.

    Raises:
        FormatError: See `orders_of`; or rows that do not fit.
    """
    back = {id_: inverse(order) for id_, order in orders_of(content).items()}
    return [_row(row, back, f"result {number}") for number, row in enumerate(rows)]


def orders_of(content: Mapping[str, Any]) -> dict[Any, list[int]]:
    """By id of a video, the original place of the frame at each place.

    Raises:
        FormatError: It is no YTVIS data set; its file names have no numbers to go by.
    """
    return {video["id"]: _order_of(video) for video in _videos(content)}


def original_order(names: Sequence[str]) -> list[int]:
    """The original place of the frame at each place, by the numbers in the file names.

    >>> original_order(["b/10.jpg", "b/2.jpg", "b/7.jpg"])
    [2, 0, 1]

    Raises:
        FormatError: Names without a number, or with the same one twice.
    """
    numbers = [int(found[-1]) if (found := _numbers(name)) else None for name in names]
    if None in numbers or len(set(numbers)) != len(numbers):
        raise FormatError(
            f"file names such as {names[0]!r} do not number the frames; take a data set that was "
            "scrambled with its frame_order noted"
        )
    return inverse(sorted(range(len(names)), key=lambda place: numbers[place] or 0))


def _order_of(video: Mapping[str, Any]) -> list[int]:
    names, noted = video["file_names"], video.get("frame_order")
    if noted is None:
        return original_order(names)
    if not isinstance(noted, list) or sorted(map(str, noted)) != sorted(
        map(str, range(len(names)))
    ):
        raise FormatError(f"video {video['id']!r} has a frame_order that is no order of its frames")
    return [int(place) for place in noted]


def _numbers(name: str) -> list[str]:
    return re.findall(r"\d+", PurePosixPath(name).stem)


def _reordered(
    content: Mapping[str, Any], orders: Mapping[Any, list[int]], notes: Mapping[Any, dict[str, Any]]
) -> dict[str, Any]:
    videos = []
    for video in content["videos"]:
        kept = {key: value for key, value in video.items() if key != "frame_order"}
        names = [video["file_names"][place] for place in orders[video["id"]]]
        videos.append(kept | {"file_names": names} | notes.get(video["id"], {}))
    rows = content.get("annotations") or []
    changed = [_row(row, orders, f"annotation {number}") for number, row in enumerate(rows)]
    return dict(content) | {"videos": videos} | ({"annotations": changed} if rows else {})


def _row(row: Mapping[str, Any], orders: Mapping[Any, list[int]], what: str) -> dict[str, Any]:
    if not isinstance(row, dict) or row.get("video_id") not in orders:
        raise FormatError(f"{what} is of no video of the data set")
    order = orders[row["video_id"]]
    changed = dict(row)
    for key in BY_FRAME:
        values = row.get(key)
        if values is None:
            continue
        if not isinstance(values, list) or len(values) != len(order):
            raise FormatError(f"{what} has {key} that are not one for each of {len(order)} frames")
        changed[key] = [values[place] for place in order]
    return changed


def _videos(content: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    videos: Any = content.get("videos")
    whole = isinstance(videos, list) and all(
        isinstance(video, dict) and "id" in video and isinstance(video.get("file_names"), list)
        for video in videos
    )
    if not whole or not videos:
        raise FormatError("no YTVIS data set: expected videos with id and file_names")
    return list(videos)


def _number(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise FormatError(f"video id {value!r} is no whole number, which the seed is added to")
    return value

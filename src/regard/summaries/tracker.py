"""What the tracker looks at for an instance: object queries per layer and kind, and their flow.

In each frame of its life an instance is one query of the tracker. "cross" is its attention to the
frame's object queries, "self" to the tracker's queries, "slot" that of its slot to the object
queries; "temporal" is the refiner's attention from frame to frame.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from regard.analysis.tracker_flow import identity_flow, top_attended
from regard.errors import SelectionError
from regard.runs import RecordedInstance, RecordedVideo

TOP = 5
KINDS: tuple[Literal["cross", "self", "slot"], ...] = ("cross", "self", "slot")

Weights = Mapping[int, Mapping[int, np.ndarray]]
"""By layer and frame, (keys,)."""

Claims = Sequence[Mapping[str, np.ndarray]]
"""For each frame, by name of a track, its weights over the frame's object queries, (queries,)."""


def tracker_weights(
    video: RecordedVideo, row: int, kind: Literal["cross", "self", "slot"] = "cross"
) -> Weights:
    """Weights of an instance in every layer, in the frames in which it has a query.

    Raises:
        SelectionError: They were not kept.
    """
    found: dict[int, dict[int, np.ndarray]] = {}
    for layer in video.tracker_layers:
        by_frame = ((f, video.tracker(layer, row, f, kind=kind)) for f in range(video.frame_count))
        found[layer] = {f: w.double().numpy() for f, w in by_frame if w is not None}
    return found


def claims_of(video: RecordedVideo) -> Claims:
    """What all found tracks draw on in the last layer.

    Raises:
        SelectionError: It was not kept.
    """
    frames: list[dict[str, np.ndarray]] = [{} for _ in range(video.frame_count)]
    rows = {one.row: one.track_id for one in video.instances if one.track_id is not None}
    for row, track in rows.items():
        for frame, claims in enumerate(frames):
            weights = video.tracker(video.tracker_layers[-1], row, frame)
            if weights is not None:
                claims[f"track {track}"] = weights.double().numpy()
    return frames


def tracker_summary(
    video: RecordedVideo,
    instance: RecordedInstance,
    cross: Weights,
    claims: Claims,
    missing: Callable[[str, SelectionError], None],
) -> dict[str, Any]:
    """Top keys per layer and kind, and which object query carries the instance in each frame.

    Args:
        video: Of a run.
        instance: One of its instances that is a track.
        cross: Its weights over the frame's object queries.
        claims: Of all found tracks; rivals are among them.
        missing: Is told of what was not kept.
    """
    result: dict[str, Any] = {"cross": _tops(video, cross, "query")}
    for kind in KINDS[1:]:
        try:
            result[kind] = _tops(video, tracker_weights(video, instance.row, kind), kind)
        except SelectionError as error:
            missing(f"tracker {kind}-attention", error)
    assert instance.track_id is not None
    return result | {"flow": _flow(video, instance.track_id, claims)}


def temporal_summary(video: RecordedVideo, row: int) -> dict[str, Any]:
    """Per layer of the refiner, the frames that all frames of an instance attend to most.

    Raises:
        SelectionError: They were not kept, or the model is online.
    """
    return {
        str(layer): _pairs(top_attended(video.temporal(layer, row).double().mean(0).numpy(), TOP))
        for layer in video.refiner_layers
    }


def query_users(query: int, claims: Claims) -> list[dict[str, Any]]:
    """For each frame the track that draws most on an object query, by the tracker's last layer."""
    found = []
    for frame, by_track in enumerate(claims):
        shares = {track: float(weights[query]) for track, weights in by_track.items()}
        if shares:
            user = max(shares, key=shares.__getitem__)
            found.append({"frame": frame, "track": user, "share": _number(shares[user])})
    return found


def top5_entry(row: int, sequence_id: int | None, cross: Weights) -> dict[str, Any]:
    """An entry of `tracker_attention_top5.json` of the DVIS attention pipeline.

    Args:
        row: Row of the instance.
        sequence_id: Its track.
        cross: Its weights over the frame's object queries.
    """
    frames: dict[str, Any] = {}
    for frame in sorted({frame for by_frame in cross.values() for frame in by_frame}):
        of = {layer: by_frame[frame] for layer, by_frame in cross.items() if frame in by_frame}
        summed = np.sum(list(of.values()), axis=0)
        frames[str(frame)] = {str(layer): _top5(weights) for layer, weights in of.items()}
        frames[str(frame)]["sum_across_layers"] = {"attention_sum": _numbers(summed)}
    return {"refiner_id": row, "sequence_id": sequence_id, "frames": frames}


def _top5(weights: np.ndarray) -> dict[str, Any]:
    top = top_attended(weights, TOP)
    return {
        "top5_indices": [key for key, _ in top],
        "top5_values": _numbers(value for _, value in top),
        "attention_weights": _numbers(weights),
    }


def _tops(video: RecordedVideo, weights: Weights, kind: str) -> dict[str, Any]:
    """Per layer and frame the top keys: [key, weight], tracker queries by name."""
    result: dict[str, Any] = {}
    for layer, by_frame in weights.items():
        frames: dict[str, Any] = {}
        for frame, values in by_frame.items():
            names = video.tracker_names(frame) if kind == "self" else None
            frames[str(frame)] = [
                [key if names is None else names[key], _number(value)]
                for key, value in top_attended(values, TOP)
            ]
        result[str(layer)] = frames
    return result


def _flow(video: RecordedVideo, track: int, claims: Claims) -> list[dict[str, Any]]:
    return [
        {
            "frame": carrier.frame,
            "query": carrier.query,
            "share": _number(carrier.share),
            "is_new": carrier.is_new,
            "rival": carrier.rival,
        }
        for carrier in identity_flow(f"track {track}", claims)
    ]


def _pairs(top: list[tuple[int, float]]) -> list[list[Any]]:
    return [[key, _number(value)] for key, value in top]


def _number(value: Any) -> float:
    return float(f"{float(value):.9g}")


def _numbers(values: Iterable[Any]) -> list[float]:
    return [_number(value) for value in values]

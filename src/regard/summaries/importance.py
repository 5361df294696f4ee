"""How much each frame counts for an instance, in numbers.

The weights are the model's own: the class of an instance is read from the mean of its frames with
these weights. Frames outside of its life count as well; there the model looked at what it remembers
of the instance, not at the frame, so the share of such frames is told.
"""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from regard.analysis.frame_importance import (
    by_importance,
    effective_frames,
    frames_to_cover,
    frames_to_reach,
    share_within,
    shares,
    stretched,
    top_frames,
)
from regard.datasets.scramble import inverse
from regard.runs import RecordedInstance, RecordedVideo

SHARES = (0.5, 0.75, 0.9)
CSV_COLUMNS = (
    "video_id",
    "pred_category",
    "true_category",
    "frame_num",
    "frame_activation",
    "frame_activation_norm",
)


def importance(
    video: RecordedVideo, instance: RecordedInstance, annotated: Sequence[int] | None
) -> dict[str, Any]:
    """Weights and statistics of one instance.

    Args:
        video: Of a run of an offline model.
        instance: One of its instances.
        annotated: Frames in which its object is annotated; None where nobody said it.

    Raises:
        SelectionError: The model is online, or the row was not kept.
    """
    found = video.importance(instance.row)
    weights, alive = shares(found.weights), found.alive.numpy()
    logits = found.contributions
    result: dict[str, Any] = {
        "weights": _numbers(weights),
        "logits": None if logits is None else _numbers(logits[:, instance.label]),
        "alive": [int(a) for a in alive],
        "frames_to_reach": {_percent(s): frames_to_reach(weights, s) for s in SHARES},
        "frames_by_importance": by_importance(weights).tolist(),
        "effective_frames": _number(effective_frames(weights)),
        "share_outside_life": _number(share_within(weights, ~alive)),
    }
    if annotated is None:
        return result
    chosen = np.isin(np.arange(len(weights)), annotated)
    return result | {
        "share_on_annotated_frames": _number(share_within(weights, chosen)),
        "share_of_frames_annotated": _number(float(chosen.mean())),
        "frames_to_cover_annotated": {
            _percent(s): frames_to_cover(weights, chosen, s) for s in SHARES
        },
    }


def top_prediction(
    video: RecordedVideo, instance: RecordedInstance, run_name: str, order: Sequence[int] | None
) -> dict[str, Any]:
    """An entry of `activation_proj_top_predictions.json` of the DVIS attention pipeline.

    Args:
        video: Of a run of an offline model.
        instance: One of its instances.
        run_name: What the run is called.
        order: Of a scrambled video: the original place of each frame.
    """
    weights = video.importance(instance.row).weights.double().numpy()
    in_order = weights if order is None else weights[inverse(order)]
    entry = {
        "model_name": run_name,
        "refiner_id": instance.row,
        "score": instance.score,
        "category_id": instance.category_id,
        "activation_vector": _numbers(stretched(in_order)),
        "activation_vector_unnormalized": _numbers(in_order),
        "num_frames": len(weights),
        "original_min": _number(weights.min()),
        "original_max": _number(weights.max()),
        "is_scrambled": order is not None,
    }
    if order is None:
        return entry
    return entry | {
        "activation_vector_scrambled": _numbers(weights),
        "activation_vector_scrambled_normalized": _numbers(stretched(weights)),
        "is_unscrambled": True,
    }


def top_frames_csv(
    entries: Mapping[str, Mapping[str, Any]],
    true_categories: Mapping[str, int],
    share: float,
    at_most: int | None,
) -> bytes:
    """`top_frames_{share}.csv` of the DVIS attention pipeline: the frames that hold a share.

    Args:
        entries: Of `top_prediction`, by video.
        true_categories: Class of the annotated object that the instance is, by video.
        share: 0 to 1, of the importance of all frames.
        at_most: Most frames of a video.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for video, entry in entries.items():
        weights = np.array(entry["activation_vector_unnormalized"])
        chosen = top_frames(weights, share, at_most)
        whole = weights[chosen].sum()
        for frame in chosen:
            writer.writerow(
                [
                    video,
                    entry["category_id"],
                    true_categories.get(video, ""),
                    int(frame) + 1,
                    f"{weights[frame]:.9g}",
                    f"{weights[frame] / whole:.9g}",
                ]
            )
    return text.getvalue().encode()


def csv_name(share: float, at_most: int | None) -> str:
    """Name of the file of `top_frames_csv`."""
    return f"top_frames_{_percent(share)}{'' if at_most is None else f'_cap{at_most}'}.csv"


def _percent(share: float) -> str:
    return f"{100 * share:g}"


def _number(value: Any) -> float:
    """Nine significant digits: all that float32 holds."""
    return float(f"{float(value):.9g}")


def _numbers(values: Iterable[Any]) -> list[float]:
    return [_number(value) for value in values]

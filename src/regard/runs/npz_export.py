"""Writing a run as the DVIS attention pipeline would have: npz files with JSON beside them.

The layout and the keys are that pipeline's (fish-dvis, ``attention_extractor.py`` and
``temporal_ytvis_eval.py``). What it gets wrong is written as it was meant: shapes and frame ranges
are those of each file, padding is told apart from the frame, and tracks are named in every frame
of their life, the first one included. Rows that the run did not keep are NaN.
"""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from regard.errors import SelectionError
from regard.models.dvis_daq.module_paths import PREDICTOR, TIME, TRACKER_CROSS
from regard.models.dvis_daq.pixel_decoder import LEVEL_STRIDES_PX
from regard.models.dvis_daq.story import VideoStory
from regard.runs.folder import write_sealed
from regard.runs.npz_dimensions import image_dimensions
from regard.runs.npz_names import MAPS
from regard.runs.recorded_video import RecordedVideo
from regard.runs.results import RESULTS, TEMPORAL, entries
from regard.runs.run import Run

_CHAIN_ID = 10_000 * 10_000
"""Ids of rows that are linked by similarity begin here; the next is 1,000 higher."""


def export_npz(run: Run, out: Path) -> Iterator[Path]:
    """Write a run as npz and JSON files; gives the path of each once it is written.

    Args:
        run: A run of ours; with ``keep="all"`` every row can be written.
        out: Folder that becomes such a run; it is made.

    Raises:
        SelectionError: The run kept finished maps only.
        RunError: The folder cannot be written to.
    """
    if run.about.get("keep") == "maps":
        raise SelectionError(
            f"{run.path} kept finished maps, and npz files hold weights; record the videos again "
            "with --keep predicted or all"
        )
    videos = [run.video(name) for name in run.videos]
    for name, data in _files(videos):
        write_sealed(out, name, data)
        yield out / name


def _files(videos: list[RecordedVideo]) -> Iterator[tuple[str, bytes]]:
    for video in videos:
        yield from _predictor(video)
        yield from _tracker(video)
        yield from _refiner(video)
        yield from _activation(video)
    ids = {video.id: {f"frames_0_{video.frame_count - 1}": _row_ids(video)} for video in videos}
    yield f"{MAPS}/refiner_id_mappings.json", _json({"_refiner_id_to_seq_id_maps": ids})
    found = [entry for video in videos for entry in entries(video)]
    plain = ("video_id", "score", "category_id", "segmentations")
    yield RESULTS, _json([{key: entry[key] for key in plain} for entry in found])
    temporal = (*plain, "refiner_id")
    yield TEMPORAL, _json([{key: entry[key] for key in temporal} for entry in found])
    rows = {video.id: sorted({found.row for found in video.instances}) for video in videos}
    summary = {
        "refiner_ids_all": sorted(set().union(*rows.values())),
        "refiner_ids_per_video": rows,
    }
    yield "inference/results_temporal_summary.json", _json(summary)
    dimensions = {video.id: image_dimensions(video.view) for video in videos if video.view}
    yield "inference/image_dimensions.json", _json(dimensions)


def _predictor(video: RecordedVideo) -> Iterator[tuple[str, bytes]]:
    for index, window in enumerate(video.story.windows):
        for layer in video.decoder_layers:
            maps = torch.stack([video.attention.decoder_weights(layer, t) for t in window])
            level, first, last = layer % len(LEVEL_STRIDES_PX), window.start, window.stop - 1
            stem = f"video_{video.id}_frames{first}-{last}_predictor_cross_attn_layer_{layer}"
            about = {
                "source": "predictor_cross_attn",
                "layer": f"{PREDICTOR}.{layer}.multihead_attn",
                "layer_idx": layer,
                "frame_start": first,
                "frame_end": last,
                "window_idx": index,
                **_level(video, layer),
            }
            yield from _pair(f"{stem}_level_{level}", video, maps, about)


def _level(video: RecordedVideo, layer: int) -> dict[str, Any]:
    level, grid_hw = layer % len(LEVEL_STRIDES_PX), video.level_hw(layer)
    assert video.view is not None
    dimensions = image_dimensions(video.view)
    stride = float(LEVEL_STRIDES_PX[level])
    return {
        "spatial_shape": list(grid_hw),
        "feature_level": level,
        "spatial_length": grid_hw[0] * grid_hw[1],
        "num_queries": video.story.object_queries,
        "original_image_height": dimensions["original_image_height"],
        "original_image_width": dimensions["original_image_width"],
        "feature_stride": stride,
        "feature_stride_h": stride,
        "feature_stride_w": stride,
    }


def _tracker(video: RecordedVideo) -> Iterator[tuple[str, bytes]]:
    for frame in range(video.frame_count):
        of, names = video.story.tracked[frame], video.tracker_names(frame)
        tracks = dict(zip(of.left_queries, of.left, strict=True)) | dict(enumerate(of.entered))
        ids = {str(query): tracks[query] for query in sorted(tracks)}
        for layer in video.tracker_layers:
            rows = _tracker_rows(video, frame, layer, names)
            about = {
                "source": "tracker",
                "layer": f"{TRACKER_CROSS}.{layer}.multihead_attn",
                "layer_idx": layer,
                "frame_idx": frame,
                "attention_type": "cross",
                "tracker_id_to_seq_id": ids | {"num_track_queries": len(of.entered)},
            }
            stem = f"video_{video.id}_frame_{frame}_tracker_cross_layer_{layer}_attn"
            yield from _pair(stem, video, rows[None], about)


def _tracker_rows(video: RecordedVideo, frame: int, layer: int, names: tuple[str, ...]) -> Tensor:
    """Mean over heads of each query's weights, (queries, object queries); NaN if not kept."""
    rows = torch.full((len(names), video.story.object_queries), torch.nan)
    call = video.attention.calls.find(TRACKER_CROSS, frame, layer)
    if call is not None:
        where = {name: query for query, name in enumerate(names)}
        rows[[where[name] for name in call.queries.prefix]] = call.mean()[0]
    return rows


def _refiner(video: RecordedVideo) -> Iterator[tuple[str, bytes]]:
    story = video.story
    for layer in video.refiner_layers:
        rows = torch.full((len(story.rows), story.frame_count, story.frame_count), torch.nan)
        whole = video.attention.calls.find(TIME, 0, layer)
        kept = range(len(story.rows)) if _has_all(whole, story) else _found_rows(video)
        for row in kept:
            rows[row] = video.temporal(layer, row)
        about = {
            "source": "refiner",
            "layer": f"{TIME}.{layer}.self_attn",
            "layer_idx": layer,
            "frame_start": 0,
            "frame_end": story.frame_count - 1,
            "attention_type": "temporal",
        }
        yield from _pair(
            f"video_{video.id}_refiner_temporal_layer_{layer}_attn", video, rows, about
        )


def _has_all(call: Any, story: VideoStory) -> bool:
    return call is not None and "row" not in call.axes and call.shape[0] == len(story.rows)


def _found_rows(video: RecordedVideo) -> list[int]:
    return sorted({found.row for found in video.instances})


def _activation(video: RecordedVideo) -> Iterator[tuple[str, bytes]]:
    weights = video.story.frame_weights
    if weights is None:
        return
    rows, frames = weights.shape
    by_frame = weights.T.contiguous()
    arrays = {
        "activation_weights": by_frame[None, None, ..., None].numpy(),
        "last_layer_activation": by_frame[None, ..., None].numpy(),
        "per_frame_importance": by_frame.mean(1)[None, :, None].numpy(),
        "num_layers": np.int64(1),
        "batch_size": np.int64(1),
        "num_frames": np.int64(frames),
        "num_queries": np.int64(rows),
        "decoder_output_shape": np.array([1, 1, frames, rows, video.story.channels], np.int64),
    }
    about = {
        "source": "refiner_activation_proj",
        "layer": "refiner.activation_proj",
        "frame_start": 0,
        "frame_end": frames - 1,
        "attention_type": "activation_proj",
    }
    stem = f"{MAPS}/video_{video.id}_activation_proj_weights"
    yield f"{stem}.npz", _npz(arrays)
    shape = [1, 1, frames, rows, 1]
    yield f"{stem}.meta.json", _json(_META | {"video_id": _number(video), "shape": shape} | about)


def _row_ids(video: RecordedVideo) -> list[int]:
    """Track id of each row; rows linked by similarity get ids of their own."""
    chains, ids = 0, []
    for row in video.story.rows:
        if row.track_id is None:
            ids.append(_CHAIN_ID + 1000 * chains)
            chains += 1
        else:
            ids.append(row.track_id)
    return ids


_META = dict.fromkeys(
    (
        *("source", "layer", "shape", "spatial_shape", "layer_idx", "feature_level"),
        *("spatial_length", "num_queries", "original_image_height", "original_image_width"),
        *("feature_stride", "feature_stride_h", "feature_stride_w", "video_id", "frame_idx"),
        *("frame_start", "frame_end", "window_idx", "attention_type", "tracker_id_to_seq_id"),
        *("num_heads", "sequence_length"),
    )
)
"""Keys of a meta file, as that pipeline fills them where it knows nothing."""


def _pair(
    stem: str, video: RecordedVideo, weights: Tensor, about: dict[str, Any]
) -> Iterator[tuple[str, bytes]]:
    array = weights.float().contiguous().numpy()
    yield f"{MAPS}/{stem}.npz", _npz({"attention_weights": array})
    known = {"video_id": _number(video), "shape": list(array.shape)}
    yield f"{MAPS}/{stem}.meta.json", _json(_META | known | about)


def _npz(arrays: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def _json(content: Any) -> bytes:
    return (json.dumps(content, indent=1) + "\n").encode()


def _number(video: RecordedVideo) -> int | str:
    return int(video.id) if video.id.isdecimal() else video.id

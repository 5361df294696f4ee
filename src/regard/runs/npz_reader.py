"""Reading a run of the DVIS attention pipeline: npz files with JSON beside them.

What its files do not say is not guessed: single heads, unmasked weights, the query of a track in
its first frame. The size of the model's input is worked out from that of the frames and must fit
all layers.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from regard.errors import FormatError
from regard.geometry import ViewTransform
from regard.media.ytvis import YtvisVideos, read_ytvis
from regard.models.dvis_daq.pixel_decoder import LEVEL_STRIDES_PX
from regard.models.dvis_daq.preparation import view_of
from regard.models.dvis_daq.settings import Settings
from regard.models.dvis_daq.story import RowStory, VideoStory
from regard.models.dvis_daq.track_attention import TrackAttention
from regard.models.dvis_daq.tracks import TrackedFrame
from regard.runs.npz_calls import NpzCalls, array_shape, read_array, read_json
from regard.runs.npz_names import MAPS, NpzFiles, meta_path, npz_files
from regard.runs.recorded_video import RecordedInstance, VideoContent
from regard.runs.run import Run

TEMPORAL = "inference/results_temporal.json"
ID_MAPS = f"{MAPS}/refiner_id_mappings.json"


def open_npz(folder: Path, short_side_px: int) -> Run:
    """The run in a folder of the DVIS attention pipeline."""
    results = _results(folder / TEMPORAL)
    files = npz_files(folder)
    dataset = _dataset(folder)
    known = {str(number): name for number, name in (dataset.categories if dataset else {}).items()}
    ids = sorted({entry["category_id"] for rows in results.values() for entry in rows})
    categories = {int(number): name for number, name in known.items()} or {
        number: f"class {number}" for number in ids
    }
    videos = list(dict.fromkeys([*results, *sorted(files, key=_number_first)]))
    reader = partial(_content, folder, files, results, dataset, categories, short_side_px)
    return Run(
        path=folder,
        categories=categories,
        videos=tuple(video for video in videos if video in files),
        failed={video: "it has no attention maps" for video in videos if video not in files},
        about={},
        _read=reader,
    )


def _content(
    folder: Path,
    all_files: Mapping[str, NpzFiles],
    results: Mapping[str, list[dict[str, Any]]],
    dataset: YtvisVideos | None,
    categories: Mapping[int, str],
    short_side_px: int,
    name: str,
) -> VideoContent:
    files, found = all_files[name], results.get(name, [])
    frames = _frame_count(folder, name, files)
    tracked = _tracked(files, frames)
    size_hw = _size_hw(found, dataset, name)
    story = VideoStory(
        rows=_rows(folder, name, files, tracked),
        tracked=tuple(tracked),
        windows=_windows(files, frames),
        view=None if size_hw is None else _view(files, size_hw, short_side_px),
        object_queries=_object_queries(files),
        channels=0,
        candidates=_candidates(files),
        tracker_layers=1 + max((layer for _, layer in files.tracker), default=-1),
        refiner_layers=1 + max(files.refiner, default=-1),
        layers=tuple(sorted({layer for _, layer in files.predictor})),
        keep="predicted",
        frame_weights=_frame_weights(files),
    )
    calls = NpzCalls(files, dict(enumerate(tracked)))
    names = _frame_names(folder, dataset, name)
    return VideoContent(
        attention=TrackAttention(story=story, calls=calls),
        instances=_instances(folder, found, story, categories, size_hw or (1, 1), frames),
        size_hw=size_hw or (1, 1),
        frame_indices=tuple(range(frames)),
        frame_seconds=(None,) * frames,
        frame_names=names,
        frames_per_second=None,
        source=None,
    )


def _results(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Entries of each video, best first."""
    content = read_json(path)
    by_video: dict[str, list[dict[str, Any]]] = {}
    try:
        for entry in content:
            row = {
                "score": float(entry["score"]),
                "category_id": int(entry["category_id"]),
                "refiner_id": int(entry["refiner_id"]),
                "segmentations": list(entry["segmentations"]),
            }
            by_video.setdefault(str(entry["video_id"]), []).append(row)
    except (KeyError, TypeError, ValueError) as error:
        raise FormatError(
            f"{path} lists no results: {type(error).__name__} {error}; expected video_id, score, "
            "category_id, refiner_id and segmentations in each entry"
        ) from error
    for rows in by_video.values():
        rows.sort(key=lambda row: -float(row["score"]))
    return by_video


def _dataset(folder: Path) -> YtvisVideos | None:
    """The YTVIS file that was copied into the run; ``None`` if there is none."""
    paths = sorted(folder.glob("*val*.json"))
    if len(paths) > 1:
        names = ", ".join(path.name for path in paths)
        raise FormatError(f"{folder} holds several datasets ({names}); leave the one it was run on")
    return read_ytvis(paths[0], folder) if paths else None


def _frame_count(folder: Path, name: str, files: NpzFiles) -> int:
    if files.activation is not None:
        return array_shape(files.activation, "activation_weights")[2]
    if files.refiner:
        return array_shape(next(iter(files.refiner.values())), "attention_weights")[2]
    if files.predictor:
        first, layer = max(files.predictor)
        return first + array_shape(files.predictor[first, layer], "attention_weights")[0]
    raise FormatError(
        f"{folder / MAPS}: video {name} has no file that tells how many frames it has"
    )


def _windows(files: NpzFiles, frames: int) -> tuple[range, ...]:
    starts = sorted({first for first, _ in files.predictor})
    if not starts:  # nobody says how the video was cut, and nothing is asked for by window
        return (range(frames),)
    return tuple(
        range(start, stop) for start, stop in zip(starts, [*starts[1:], frames], strict=True)
    )


def _tracked(files: NpzFiles, frames: int) -> list[TrackedFrame]:
    """Which query was which track; in its first frame a track's query is not known."""
    layers = dict(sorted(files.tracker, reverse=True))
    by_frame = [
        _tracks_of(files.tracker[frame, layers[frame]], _candidates(files))
        if frame in layers
        else {}
        for frame in range(frames)
    ]
    return [
        TrackedFrame(
            frame=frame,
            entered=tuple(tracks.values()),
            left=tuple(tracks.values()),
            left_queries=tuple(tracks),
            left_seen=(True,) * len(tracks),
        )
        for frame, tracks in enumerate(by_frame)
    ]


def _tracks_of(npz: Path, candidates: int) -> dict[int, int]:
    """Track id by tracker query.

    The pipeline's cap on track queries leaves its list of ids longer than the tracks; the ids that
    then stand beside candidates are those of tracks that are gone. Behind the end of the list
    stand, in runs that `export_npz` wrote, the tracks that begin in the frame.
    """
    ids, count = _ids(npz)
    rooms = array_shape(npz, "attention_weights")[1] - candidates
    return {query: track for query, track in ids.items() if not rooms <= query < count}


def _ids(npz: Path) -> tuple[dict[int, int], int]:
    """Track id by tracker query as a file says, and how many tracks it says that there were."""
    mapping = read_json(meta_path(npz)).get("tracker_id_to_seq_id") or {}
    ids = {int(q): int(track) for q, track in mapping.items() if q != "num_track_queries"}
    return dict(sorted(ids.items())), int(mapping.get("num_track_queries", len(ids)))


def _candidates(files: NpzFiles) -> int:
    """Queries for new tracks in each frame: what a frame has beyond its tracks."""
    first_layers = {frame: path for (frame, layer), path in files.tracker.items() if layer == 0}
    beyond = [
        array_shape(path, "attention_weights")[1] - _ids(path)[1]
        for frame, path in first_layers.items()
        if frame > 0
    ]
    return max(beyond, default=0)


def _object_queries(files: NpzFiles) -> int:
    for path in files.predictor.values():
        return array_shape(path, "attention_weights")[1]
    for path in files.tracker.values():
        return array_shape(path, "attention_weights")[2]
    return 0


def _rows(
    folder: Path, name: str, files: NpzFiles, tracked: list[TrackedFrame]
) -> tuple[RowStory, ...]:
    ids = _row_ids(folder, name)
    lives: dict[int, list[int]] = {}
    for frame in tracked:
        for track in frame.left:
            lives.setdefault(track, []).append(frame.frame)
    count = _row_count(files)
    known = [ids[row] if row < len(ids) else None for row in range(max(count, len(ids)))]
    return tuple(
        RowStory(track_id=track, life=range(lives[track][0], lives[track][-1] + 1))
        if track in lives
        else RowStory(track_id=None, life=range(0))
        for track in known
    )


def _row_ids(folder: Path, name: str) -> list[int]:
    """Track id of each row of the refiner; those that are linked by similarity have high ones."""
    if not (folder / ID_MAPS).is_file():
        return []
    maps = read_json(folder / ID_MAPS)
    try:
        of_video = maps["_refiner_id_to_seq_id_maps"].get(name, {})
        lists = list(of_video.values())
        return [int(number) for number in lists[-1]] if lists else []
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise FormatError(f"{folder / ID_MAPS} maps no rows to tracks: {error}") from error


def _row_count(files: NpzFiles) -> int:
    if files.activation is not None:
        return array_shape(files.activation, "activation_weights")[3]
    for path in files.refiner.values():
        return array_shape(path, "attention_weights")[0]
    return 0


def _frame_weights(files: NpzFiles) -> Any:
    if files.activation is None:
        return None
    return read_array(files.activation, "activation_weights", 5)[0, 0, :, :, 0].T.contiguous()


def _size_hw(
    found: list[dict[str, Any]], dataset: YtvisVideos | None, name: str
) -> tuple[int, int] | None:
    """Size of the original frames: that of the masks, or of the dataset."""
    for entry in found:
        for mask in entry["segmentations"]:
            if mask is not None:
                return int(mask["size"][0]), int(mask["size"][1])
    video = dataset.videos.get(int(name)) if dataset is not None and name.isdecimal() else None
    return None if video is None else video.size_hw


def _view(files: NpzFiles, size_hw: tuple[int, int], short_side_px: int) -> ViewTransform | None:
    """Where the model's pixels lie, if the cells of every layer agree with it."""
    view = view_of(size_hw, Settings(short_side_px=short_side_px))
    seen: set[int] = set()
    for (_, layer), path in files.predictor.items():
        if layer in seen:
            continue
        seen.add(layer)
        stride = LEVEL_STRIDES_PX[layer % len(LEVEL_STRIDES_PX)]
        cells = (view.input_hw[0] // stride) * (view.input_hw[1] // stride)
        if array_shape(path, "attention_weights")[2] != cells:
            return None
    return view


def _instances(
    folder: Path,
    found: list[dict[str, Any]],
    story: VideoStory,
    categories: Mapping[int, str],
    size_hw: tuple[int, int],
    frames: int,
) -> tuple[RecordedInstance, ...]:
    instances = []
    for entry in found:
        row, category = entry["refiner_id"], entry["category_id"]
        if not 0 <= row < len(story.rows) or len(entry["segmentations"]) != frames:
            raise FormatError(
                f"{folder / TEMPORAL}: row {row} with {len(entry['segmentations'])} masks, but "
                f"the maps have {len(story.rows)} rows and {frames} frames"
            )
        of = story.rows[row]
        instances.append(
            RecordedInstance(
                row=row,
                score=entry["score"],
                category_id=category,
                category=categories.get(category, f"class {category}"),
                label=sorted({*categories, category}).index(category),
                track_id=of.track_id,
                life=of.life,
                rles=tuple(entry["segmentations"]),
                size_hw=size_hw,
            )
        )
    return tuple(instances)


def _frame_names(folder: Path, dataset: YtvisVideos | None, name: str) -> tuple[str, ...] | None:
    if dataset is None or not name.isdecimal() or int(name) not in dataset.videos:
        return None
    paths = (Path(path) for path in dataset.videos[int(name)].paths)
    return tuple(path.relative_to(folder).as_posix() for path in paths)


def _number_first(name: str) -> tuple[int, str]:
    return (int(name), "") if name.isdecimal() else (0, name)

"""A run over three short videos, their annotations, and a run of the DVIS attention pipeline."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from regard.datasets.run_lengths import run_lengths
from regard.runs import Run
from runs.conftest import (  # noqa: F401
    SIZE_HW,
    RunDataset,
    network,
    run_dataset,
    write_dataset,
)

FRAMES = 5
FISH, EEL = 8, 13  # two classes of the data set


def square(video: int, frame: int) -> np.ndarray:
    """Where the bright square is in a frame of a video of the data set."""
    mask = np.zeros(SIZE_HW, bool)
    left = 5 + 8 * frame + 5 * video
    mask[15:35, left : left + 20] = True
    return mask


def annotate(dataset: Path, out: Path) -> Path:
    """Annotations: the square, but not in the last frame; in video 1 also a strip at the top."""
    content = json.loads(dataset.read_text())
    last = len(content["videos"][0]["file_names"]) - 1
    places = {v["id"]: v.get("frame_order", range(last + 1)) for v in content["videos"]}
    rows: list[dict[str, Any]] = []
    for number, order in places.items():
        masks = [None if p == last else run_lengths(square(number, p)) for p in order]
        rows.append({"video_id": number, "category_id": FISH, "segmentations": masks})
    strip = np.zeros(SIZE_HW, bool)
    strip[:4] = True
    masks = [run_lengths(strip) if p == last else None for p in places[1]]
    rows.append({"video_id": 1, "category_id": EEL, "segmentations": masks})
    content["annotations"] = [row | {"id": i} for i, row in enumerate(rows, 1)]
    out.write_text(json.dumps(content))
    return out


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("dataset"), videos=2, frames=FRAMES)


@pytest.fixture(scope="session")
def made(
    dataset: Path,
    run_dataset: RunDataset,  # noqa: F811
    tmp_path_factory: pytest.TempPathFactory,
) -> Run:
    """A run over the dataset; not to be changed."""
    return run_dataset(dataset, tmp_path_factory.mktemp("made") / "run").run


@pytest.fixture(scope="session")
def annotations(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return annotate(dataset, tmp_path_factory.mktemp("truth") / "anything.json")


@pytest.fixture
def run(made: Run, tmp_path: Path) -> Path:
    """A copy of the run, to write a summary into."""
    return Path(shutil.copytree(made.path, tmp_path / "run"))


def write_npz_run(folder: Path, *, tracks: int = 2, candidates: int = 3) -> Path:
    """A run of the DVIS attention pipeline over one video of three frames.

    One track is called as many as there are tracks, which the pipeline's search took for the count
    of tracks; the number of tracker queries is not its 200.
    """
    maps, inference = folder / "attention_maps", folder / "inference"
    maps.mkdir(parents=True)
    inference.mkdir()
    draw = np.random.default_rng(0)
    weights = draw.dirichlet(np.ones(3), size=2).T.reshape(1, 1, 3, 2, 1).astype(np.float32)
    np.savez(maps / "video_7_activation_proj_weights.npz", activation_weights=weights)
    cells = draw.dirichlet(np.ones(6), size=(3, 4)).astype(np.float32)
    np.savez(maps / "video_7_frames0-2_predictor_cross_attn_layer_0.npz", attention_weights=cells)
    for frame in range(3):
        names = {str(q): (tracks if q == 0 else 50 + q) for q in range(tracks)}
        ids = None if frame == 0 else names | {"num_track_queries": tracks}
        for layer in range(2):
            rows = draw.dirichlet(np.ones(4), size=(1, tracks + candidates)).astype(np.float32)
            stem = maps / f"video_7_frame_{frame}_tracker_cross_layer_{layer}_attn"
            np.savez(stem.with_suffix(".npz"), attention_weights=rows)
            meta = {"tracker_id_to_seq_id": ids, "frame_idx": frame, "layer_idx": layer}
            Path(f"{stem}.meta.json").write_text(json.dumps(meta))
    of_rows = {"_refiner_id_to_seq_id_maps": {"7": {"frames_0_2": [51, tracks]}}}
    (maps / "refiner_id_mappings.json").write_text(json.dumps(of_rows))
    mask = {"size": [4, 6], "counts": [8, 4, 12]}
    results = [
        {
            "video_id": 7,
            "score": score,
            "category_id": category,
            "refiner_id": row,
            "segmentations": [mask, None, mask],
        }
        for row, category, score in ((1, 3, 0.9), (0, 5, 0.4))
    ]
    (inference / "results_temporal.json").write_text(json.dumps(results))
    return folder

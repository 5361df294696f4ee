"""mini-dvis-daq on clips that it has not seen: average precision, and identities."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from regard.clips.clip import video
from regard.clips.files import save
from regard.datasets.rle import Mask, decode_mask
from regard.datasets.shapes import clip, write_ytvis
from regard.evaluation.videos import VideoEvaluation, evaluate_videos
from regard.models.dvis_daq.pretrained import Pretrained, pretrained
from regard.runs.results import TEMPORAL

MODEL = "mini-dvis-daq"
HELD_OUT = range(2_000_000, 2_000_016)  # training takes seeds from 0
FRAMES = 8
_LEAST_PX = 60
_LEAST_OVERLAP = 0.3

Results = list[dict[str, Any]]


@pytest.fixture(scope="module")
def model() -> Pretrained:
    return pretrained(MODEL)


def run(model: Pretrained, annotations: Path, seeds: Sequence[int], folder: Path) -> Results:
    found: Results = []
    for seed in seeds:
        frames = annotations.parent / "JPEGImages" / f"{seed:06d}"
        with video(frames, model=model) as seen:
            list(save(seen, folder / str(seed), instances=0))
        found += json.loads((folder / str(seed) / TEMPORAL).read_text())
    return found


@pytest.fixture(scope="module")
def annotations(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_ytvis(tmp_path_factory.mktemp("clips"), HELD_OUT, frames=FRAMES)


@pytest.fixture(scope="module")
def results(
    model: Pretrained, annotations: Path, tmp_path_factory: pytest.TempPathFactory
) -> Results:
    return run(model, annotations, HELD_OUT, tmp_path_factory.mktemp("runs"))


def precision(results: Sequence[Mapping[str, Any]], annotations: Path) -> float:
    evaluation: VideoEvaluation = evaluate_videos(results, annotations)
    return 100 * float(evaluation.video.values["AP"])


@pytest.fixture(scope="module")
def online(annotations: Path, tmp_path_factory: pytest.TempPathFactory) -> Results:
    model = pretrained(MODEL, online=True)
    return run(model, annotations, HELD_OUT, tmp_path_factory.mktemp("online"))


def test_average_precision_on_held_out_clips(
    results: Results, online: Results, annotations: Path
) -> None:
    """What was reached, 31.9 offline and 38.4 online; the aim of 50 is still open."""
    assert precision(results, annotations) >= 29
    assert precision(online, annotations) >= 35


@pytest.fixture(scope="module")
def shuffled(online: Results) -> Results:
    """The control: the same masks, but in each frame they belong to any instance of the clip."""
    random = np.random.default_rng(0)
    moved: Results = []
    for seed in HELD_OUT:
        of_clip = [result for result in online if result["video_id"] == seed]
        order = [random.permutation(len(of_clip)) for _ in range(FRAMES)]
        for place, result in enumerate(of_clip):
            masks = [of_clip[order[f][place]]["segmentations"][f] for f in range(FRAMES)]
            moved.append(result | {"segmentations": masks})
    return moved


def test_shuffled_identities_have_no_precision(shuffled: Results, annotations: Path) -> None:
    assert precision(shuffled, annotations) < 15


def test_identities_are_kept_while_objects_are_hidden(online: Results, shuffled: Results) -> None:
    """Objects that are seen, then not at all for a frame or more, then seen again.

    5 of 12 were reached, of shuffled ones 2; most of them are the aim, which is still open.
    """
    kept, hidden = identities_kept(online)
    assert hidden >= 10, "the clips have such objects"
    assert kept / hidden >= 0.4
    assert identities_kept(shuffled)[0] < kept / 2


def identities_kept(results: Results) -> tuple[int, int]:
    """Hidden objects that are one instance before and after, and how many there are."""
    kept = hidden = 0
    for seed in HELD_OUT:
        masks = clip(seed, frames=FRAMES).masks
        for thing in range(masks.shape[1]):
            for before, after in _gaps(masks[:, thing].sum((1, 2))):
                rows = [_row_on(results, seed, f, masks[f, thing]) for f in (before, after)]
                kept += rows[0] == rows[1] is not None
                hidden += 1
    return kept, hidden


def _gaps(areas_px: np.ndarray) -> list[tuple[int, int]]:
    """Frames between which an object is out of sight, and in which it is well seen."""
    seen = np.flatnonzero(areas_px >= _LEAST_PX)
    pairs = zip(seen[:-1].tolist(), seen[1:].tolist(), strict=True)
    return [(before, after) for before, after in pairs if (areas_px[before:after] == 0).any()]


def _row_on(results: Results, seed: int, frame: int, mask: Mask) -> int | None:
    """The instance whose mask lies on an object, if one does."""
    best, most = None, _LEAST_OVERLAP
    for result in results:
        stored = result["segmentations"][frame]
        if result["video_id"] == seed and stored is not None:
            found = decode_mask(stored)
            overlap = (found & mask).sum() / (found | mask).sum()
            if overlap > most:
                best, most = int(result["refiner_id"]), overlap
    return best

"""mini-dvis-daq on clips that it has not seen: average precision, and identities."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from regard.datasets.rle import Mask, decode_mask
from regard.datasets.shapes import clip, write_ytvis
from regard.evaluation.videos import VideoEvaluation, evaluate_videos
from regard.models.dvis_daq.pretrained import pretrained
from training.video_export import results

HELD_OUT = range(2_000_000, 2_000_048)  # training takes seeds from 0
FRAMES = 8
_LEAST_PX = 60
_LEAST_OVERLAP = 0.3

Results = list[dict[str, Any]]


@pytest.fixture(scope="module")
def annotations(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_ytvis(tmp_path_factory.mktemp("clips"), HELD_OUT, frames=FRAMES)


@pytest.fixture(scope="module")
def found() -> dict[str, Results]:
    return results(pretrained("mini-dvis-daq"), HELD_OUT)


@pytest.fixture(scope="module")
def online(found: dict[str, Results]) -> Results:
    return found["online"]


def precision(results: Sequence[Mapping[str, Any]], annotations: Path) -> float:
    evaluation: VideoEvaluation = evaluate_videos(results, annotations)
    return 100 * float(evaluation.video.values["AP"])


@pytest.mark.parametrize("way", ["offline", "online"])
def test_average_precision_on_held_out_clips(
    found: dict[str, Results], annotations: Path, way: str
) -> None:
    """58.8 and 59.3; 55.3 and 55.8 of the first 240 clips."""
    assert precision(found[way], annotations) >= 50


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
    """Objects that are seen, then not at all for a frame or more, then seen again: 32 of 41."""
    kept, hidden = identities_kept(online)
    assert hidden >= 40, "the clips have such objects"
    assert kept / hidden >= 0.7
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
        if result["video_id"] == seed:
            found = decode_mask(result["segmentations"][frame])
            overlap = (found & mask).sum() / (found | mask).sum()
            if overlap > most:
                best, most = int(result["refiner_id"]), overlap
    return best

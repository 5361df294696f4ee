"""One evaluation beside those over scrambled videos."""

import json
from pathlib import Path

import numpy as np
import pytest

from regard.errors import FormatError
from regard.evaluation.scrambled import Spread, compare_scrambled


def evaluation(ap: float, scores: dict[str, float]) -> dict[str, object]:
    return {"average_precision": {"video": {"AP": ap, "AP50": None}}, "best_scores": scores}


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    paths = []
    for seed, ap in enumerate((0.2, 0.3, 0.4)):
        paths.append(tmp_path / f"{seed}.json")
        paths[-1].write_text(json.dumps(evaluation(ap, {"1": 0.5 + ap, "2": 0.1})))
    return paths


def test_mean_and_scatter_are_those_of_a_sample(files: list[Path]) -> None:
    found = compare_scrambled(evaluation(0.6, {"1": 0.9, "2": 0.95}), files)
    assert found.average_precision.keys() == {"AP"}, "what has no number is left out"
    spread = found.average_precision["AP"]
    assert spread.original == 0.6
    assert spread.mean == pytest.approx(0.3)
    assert spread.deviation == pytest.approx(0.1)
    assert spread.error == pytest.approx(0.1 / np.sqrt(3))
    assert found.ranked[0].tolist() == [0.95, 0.9]
    assert found.ranked[1].shape == (3, 2)
    assert found.to_json()["seeds"] == 3


def test_a_single_seed_has_no_scatter() -> None:
    assert Spread(original=1.0, scrambled=(0.5,)).to_json()["sd"] is None


@pytest.mark.parametrize("content", ["[]", "{}", '{"average_precision": {"video": {}}}', "{"])
def test_other_files_are_refused_by_name(files: list[Path], content: str) -> None:
    files[1].write_text(content)
    with pytest.raises(FormatError, match=r"1\.json"):
        compare_scrambled(evaluation(0.6, {"1": 0.9, "2": 0.95}), files)


def test_evaluations_of_other_videos_are_refused(files: list[Path]) -> None:
    with pytest.raises(FormatError, match="not of the original's 1"):
        compare_scrambled(evaluation(0.6, {"1": 0.9}), files)

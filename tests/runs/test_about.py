"""How a run is made, written down: what may share a folder, and what may not."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from regard.errors import RunError
from regard.models.dvis_daq.settings import Settings
from regard.runs.about import About, relative_source, weights_sha256

ABOUT = About(
    model="daq.pth",
    model_sha256="0" * 64,
    settings=Settings(),
    keep="predicted",
    layers=(6, 7, 8),
    frames=":",
    categories=((1, "fish"),),
    videos=(("a", "../a.mp4"),),
)
THERE = json.loads(ABOUT.to_bytes())
"""As a folder says it."""


def test_the_same_run_gives_the_same_bytes() -> None:
    assert ABOUT.to_bytes() == replace(ABOUT).to_bytes()
    assert json.loads(ABOUT.to_bytes())["videos"] == [{"id": "a", "source": "../a.mp4"}]


def test_videos_are_added_behind_those_that_are_there() -> None:
    more = replace(ABOUT, videos=(("b", "../b.mp4"), ("a", "../a.mp4")))
    assert more.joined_with(THERE).videos == (("a", "../a.mp4"), ("b", "../b.mp4"))


def test_another_video_of_the_same_name_is_refused() -> None:
    other = replace(ABOUT, videos=(("a", "../elsewhere/a.mp4"),))
    with pytest.raises(RunError, match="has a video 'a' already, made of"):
        other.joined_with(THERE)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"frames": "0:5"}, "frames: ':' there, '0:5' now"),
        ({"model_sha256": "1" * 64}, "model.sha256"),
        ({"settings": Settings(window=7)}, "settings.window: 5 there, 7 now"),
    ],
)
def test_another_way_of_making_it_is_refused(changes: dict[str, object], said: str) -> None:
    with pytest.raises(RunError, match=said):
        replace(ABOUT, **changes).joined_with(THERE)  # type: ignore[arg-type]


def test_weights_are_told_by_values_names_and_shapes() -> None:
    one, same, other = torch.nn.Linear(2, 3), torch.nn.Linear(2, 3), torch.nn.Linear(2, 3)
    same.load_state_dict(one.state_dict())
    assert weights_sha256(one) == weights_sha256(same) != weights_sha256(other)
    assert weights_sha256(torch.nn.Sequential(one)) != weights_sha256(one)


def test_sources_are_seen_from_the_run(tmp_path: Path) -> None:
    assert relative_source(tmp_path / "clips" / "a.mp4", tmp_path / "runs" / "1") == (
        "../../clips/a.mp4"
    )

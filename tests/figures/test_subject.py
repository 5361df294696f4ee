"""What a figure is about: chosen by instance, class, track or object query."""

from typing import Any

import pytest
import torch

from regard.errors import SelectionError
from regard.figures.subject import choose, subjects
from regard.runs import RecordedVideo, Run


def test_the_best_instance_is_the_default(discs: RecordedVideo) -> None:
    (found,) = choose(discs)
    assert (found.name, found.words, found.life) == ("instance_0", "salmon, score 0.94", range(8))


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        ({"instances": [2, 0]}, ["instance_2", "instance_0"]),
        ({"category": "trout"}, ["instance_1", "instance_2"]),
        ({"category": "Trout"}, ["instance_1", "instance_2"]),
        ({"category": "1"}, ["instance_0", "instance_3"]),
        ({"track": 0}, ["instance_0"]),  # under its best class
        ({"track": 1}, ["instance_1"]),
        ({"query": 2}, ["query_2"]),
    ],
)
def test_it_is_chosen_in_every_way(
    discs: RecordedVideo, asked: dict[str, Any], names: list[str]
) -> None:
    assert [found.name for found in choose(discs, **asked)] == names


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"instances": [4]}, "instance 4 does not exist; 4 were found"),
        ({"category": "cod"}, "class 'cod'; there are salmon, trout"),
        ({"track": 7}, "track 7; there are 0, 1$"),
        ({"query": 5}, "object query 5 does not exist; there are 5"),
        ({"query": 1, "track": 1}, "not by several of them"),
    ],
)
def test_what_is_not_there_is_said(
    discs: RecordedVideo, asked: dict[str, Any], message: str
) -> None:
    with pytest.raises(SelectionError, match=message):
        choose(discs, **asked)


def test_a_query_looks_where_the_predictor_says(discs: RecordedVideo) -> None:
    (query,) = choose(discs, query=2)
    weights = query.cell_weights(5, 8)
    assert weights is not None
    assert torch.equal(weights, discs.attention.decoder_weights(8, 5)[2])
    assert query.mask(5) is None
    with pytest.raises(SelectionError, match="query 2 has no weights of frames"):
        query.frame_weights()


def test_a_video_without_the_choice_does_not_stop_the_others(run: Run) -> None:
    told: list[Exception] = []
    names = [found.video.id for found in subjects(run, ["nowhere", "discs"], {}, told.append)]
    assert names == ["discs"]
    assert "has no video 'nowhere'" in str(told[0])

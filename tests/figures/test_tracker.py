"""What the tracker reads, frame by frame."""

from typing import Any

import numpy as np
import pytest

from regard.errors import SelectionError
from regard.figures.subject import Subject, choose
from regard.figures.tracker import IdentityFlow, draw_tracker
from regard.runs import RecordedVideo

Golden = Any


def test_layers_and_the_strongest_share(trout: Subject, golden: Golden) -> None:
    picture = draw_tracker(trout)
    golden(picture, "tracker")
    assert "the track does not live" in picture.lines


def test_weights_are_those_of_the_run(discs: RecordedVideo, trout: Subject) -> None:
    flow = IdentityFlow.of(trout)
    assert flow.weights.shape == (3, 8, 5)
    for layer in range(3):
        row = discs.tracker(layer, 1, 4)
        assert row is not None
        np.testing.assert_array_equal(flow.weights[layer, 4], row)
    assert np.isnan(flow.weights[:, [0, 1, 6, 7]]).all()
    assert flow.top() == [None, None, 1, 1, 1, 1, None, None]


def test_queries_that_lead_somewhere_are_always_shown(trout: Subject) -> None:
    weights = np.full((1, 3, 40), 0.01, np.float32)
    for frame, query in enumerate((3, 39, 20)):
        weights[0, frame, query] = 0.2
    weights[0, 0, :3] = 0.15
    flow = IdentityFlow(trout, (0,), weights)
    assert flow.strongest(2) == [3, 20, 39]
    assert flow.strongest(5) == [0, 1, 3, 20, 39]


def test_what_is_no_track_is_said(discs: RecordedVideo) -> None:
    with pytest.raises(SelectionError, match="instance_3 of video 'discs' is no track"):
        draw_tracker(choose(discs, instances=[3])[0])

"""Which frames count, and what attention does along a track; and all on one page."""

from typing import Any

import numpy as np
import pytest

from made_video import disc, photos
from regard.errors import SelectionError
from regard.figures.importance import AlongTrack, draw_importance
from regard.figures.overview import draw_overview
from regard.figures.subject import Subject, choose
from regard.runs import RecordedVideo

Golden = Any


def test_shares_are_those_of_the_exact_map(discs: RecordedVideo, trout: Subject) -> None:
    along = AlongTrack.of(trout)
    heat = discs.heat(1, 3, between="cells")
    assert heat is not None
    mask = disc(1, 3)
    # the map is drawn at whole pixels here, and spread by exact area there
    assert along.in_mask[3] == pytest.approx(float(heat[mask].sum() / heat.sum()), abs=0.01)
    assert along.mask_area[3] == pytest.approx(mask.mean())
    assert np.isnan(along.in_mask).tolist() == [True] * 2 + [False] * 4 + [True] * 2


def test_even_attention_is_spread_over_everything(discs: RecordedVideo) -> None:
    (even,) = choose(discs, query=4)
    along = AlongTrack.of(even, [8])
    np.testing.assert_allclose(along.spread, 1, rtol=1e-5)


def test_charts_and_frames(trout: Subject) -> None:
    lines = draw_importance(trout, photos(*range(8))).lines
    assert lines.index("weight 33.8 %") < lines.index("weight 27.0 %"), "most first"
    assert "weight 1.4 %, absent" in lines
    assert "lives" in lines


def test_an_online_model_has_charts_of_attention_alone(online: RecordedVideo) -> None:
    lines = draw_importance(choose(online)[0]).lines
    assert "attention along the track" in lines
    assert "weight of each frame for the class" not in lines


def test_an_object_query_is_refused(discs: RecordedVideo) -> None:
    with pytest.raises(SelectionError, match="choose one instead of an object query"):
        draw_importance(choose(discs, query=0)[0])


def test_one_page(trout: Subject, golden: Golden) -> None:
    picture = draw_overview(trout, photos(1, 2, 3, 4, 5, 6))
    golden(picture, "overview")
    assert picture.to_bytes("pdf").startswith(b"%PDF")


def test_one_page_of_an_online_model_and_of_a_query(online: RecordedVideo) -> None:
    lines = draw_overview(choose(online)[0], photos(0, 4)).lines
    assert "object queries that the tracker reads" in lines
    assert not any("rollout" in line for line in lines)
    assert "Object query 1" in draw_overview(choose(online, query=1)[0], photos(0)).lines

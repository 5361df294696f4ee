"""Which object query carries a track."""

import pytest

from regard.analysis.tracker_flow import identity_flow, top_attended


def test_top_keys_are_largest_first_and_equal_ones_in_order() -> None:
    assert top_attended([0.1, 0.4, 0.1, 0.4], 3) == [(1, 0.4), (3, 0.4), (0, 0.1)]
    assert len(top_attended([0.5, 0.5])) == 2


def test_the_carrier_changes_and_may_be_contested() -> None:
    frames = [
        {"a": [0.2, 0.8], "b": [0.9, 0.1]},
        {"b": [0.5, 0.5]},
        {"a": [3.0, 1.0], "b": [1.0, 0.0]},
        {"a": [0.6, 0.4], "b": [0.9, 0.1]},
        {"a": [0.6, 0.4], "c": [0.6, 0.4]},
    ]
    flow = identity_flow("a", frames)
    assert [carrier.frame for carrier in flow] == [0, 2, 3, 4]
    assert [carrier.query for carrier in flow] == [1, 0, 0, 0]
    assert [carrier.share for carrier in flow] == pytest.approx([0.8, 0.75, 0.6, 0.6])
    assert [carrier.is_new for carrier in flow] == [False, True, False, False]
    assert [carrier.rival for carrier in flow] == [None, None, "b", None]
    assert identity_flow("nobody", frames) == []

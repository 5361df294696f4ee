"""Frames by instances on one sheet."""

from typing import Any

import pytest

from regard.clips.clip import ClipAttention
from regard.clips.contact_sheet import draw_contact_sheet
from regard.errors import SelectionError


def test_a_row_an_instance_and_a_column_a_frame(found: ClipAttention) -> None:
    lines = draw_contact_sheet(found, instances=2).lines
    assert lines.count("frame 1") == lines.count("frame 3") == 2
    best = found.instance(0)
    assert f"{found.class_name(best.label)} {best.score:.2f}" in lines


def test_what_a_frame_counts_stands_below_it(found: ClipAttention) -> None:
    lines = draw_contact_sheet(found, instances=1).lines
    weights = found.attention.importance(found.instance(0).row).weights
    life = found.frames_of(0)
    shown = [f"counts {100 * float(weights[frame]):.0f} %" for frame in life]
    assert [line for line in lines if line.startswith("counts")] == shown
    assert lines.count("not there") == len(found.frame_indices) - len(life)


def test_the_first_and_the_last_frame_are_shown(found: ClipAttention) -> None:
    assert "frame 1" in draw_contact_sheet(found, instances=1, columns=1).lines
    with pytest.raises(SelectionError, match="columns is 0"):
        draw_contact_sheet(found, columns=0)


def test_a_clip_without_instances_is_said(
    found: ClipAttention, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing: Any = property(lambda _: [])
    monkeypatch.setattr(ClipAttention, "instances", nothing)
    with pytest.raises(SelectionError, match="nothing was found in 'grey'"):
        draw_contact_sheet(found)
